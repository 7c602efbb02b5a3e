//! The real systemd 257 of Debian trixie and 262 of sid, each in its own root: that they work here at all, on
//! bytes that the test writes.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared, merged_into_usr, run};
use tests::programs::program;
use tests::server::{Fault, Server, Times};

const SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";

// Not shorter: systemd-pull takes a body that is shorter than a compression's magic number for a broken one.
const FIRST: &[u8] = b"the first version";
const SECOND: &[u8] = b"the second version";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for peer in Peer::ALL {
        let images = [Need::Filesystem("erofs"), Need::Filesystem("overlay")];
        let mut add = |what: &str, needs: &[Need], body: fn(Peer) -> Result<()>| {
            let name = format!("peer_systemd_{}_{what}", peer.systemd());
            suite.isolated(&name, &[&[Need::Peer(peer)], needs].concat(), move || body(peer));
        };
        add("is_the_running_version", &[], is_what_runs);
        add("sysupdate_installs_over_http", &[], installs);
        add("sysupdate_rejects_a_flipped_byte", &[], refuses_flipped);
        add("accepts_versions_with_these_characters", &[], alphabet);
        add("works_on_a_root_with_our_programs", &[], ours_run_beside);
        add("sysext_merges_erofs", &images, merges);
    }
    suite.run()
}

fn is_what_runs(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    for program in [SYSUPDATE, "systemd-sysext"] {
        let version = run(program, &["--version"])?;
        ensure!(version.starts_with(&format!("systemd {} ", peer.systemd())), "{program}: {version}");
    }
    Ok(())
}

fn installs(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    let server = publish(&[("demo-1.raw", FIRST), ("demo-2.raw", SECOND)])?;
    configure(&server)?;
    ensure!(run(SYSUPDATE, &["check-new"])?.trim() == "2");
    run(SYSUPDATE, &["update"])?;
    let listed = run(SYSUPDATE, &["list", "--json=short"])?;
    ensure!(listed.trim() == r#"{"current":"2","all":["2","1"],"appstreamUrls":[]}"#, "{listed}");
    ensure!(fs::read("/var/lib/demo/demo-2.raw")? == SECOND);
    ensure!(fs::read_link("/var/lib/demo/current.raw")? == Path::new("demo-2.raw"));
    ensure!(fs::read_dir("/var/lib/demo")?.count() == 2, "more than the newest version and its link");
    let again = Command::new(SYSUPDATE).arg("check-new").output()?;
    ensure!(again.status.code() == Some(1) && again.stdout.is_empty(), "{again:?}");
    Ok(())
}

fn refuses_flipped(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    let server = publish(&[("demo-2.raw", SECOND)])?;
    server.fault("/demo-2.raw", Fault::FlipByte(0), Times::Always);
    configure(&server)?;
    let output = Command::new(SYSUPDATE).arg("update").output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "installed what the manifest does not name");
    let reason = match peer {
        Peer::Trixie => "DOWNLOAD INVALID: Checksum",
        Peer::Sid => "Checksum of downloaded resource does not match",
    };
    ensure!(diagnostics.contains(reason), "{diagnostics}");
    ensure!(!Path::new("/var/lib/demo/demo-2.raw").exists());
    Ok(())
}

/// The characters that stock accepts in versions: one file for each ASCII character that a name may have. The
/// rules in `Version` depend on this.
fn alphabet(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    for directory in ["/srv/source", "/var/lib/demo", "/etc/sysupdate.d"] {
        fs::create_dir_all(directory)?;
    }
    let transfer = "[Source]\nType=regular-file\nPath=/srv/source\nMatchPattern=demo-@v.raw\n\n\
                    [Target]\nType=regular-file\nPath=/var/lib/demo\nMatchPattern=demo-@v.raw\n";
    fs::write("/etc/sysupdate.d/demo.transfer", transfer)?;
    // Counted, because versions that differ only in separators are equal.
    let texts =
        || (' '..='~').filter(|character| *character != '/').zip(1..).map(|(c, n)| format!("{n}{c}0"));
    for text in texts() {
        fs::write(format!("/srv/source/demo-{text}.raw"), "")?;
    }
    let listed: serde_json::Value = serde_json::from_str(&run(SYSUPDATE, &["list", "--json=short"])?)?;
    let listed: Vec<String> = serde_json::from_value(listed["all"].clone())?;
    for text in texts() {
        let ours = text.parse::<Version>().ok();
        let expected = ours.is_some_and(|version| match peer {
            Peer::Trixie => version.is_seen_by_257(),
            Peer::Sid => version.is_seen_by_262(),
        });
        ensure!(listed.contains(&text) == expected, "{text:?}: we say {expected}, stock says otherwise");
    }
    Ok(())
}

fn ours_run_beside(peer: Peer) -> Result<()> {
    let bakery = program("bakery")?;
    let directory = bakery.parent().context("a program is in a directory")?;
    peer.enter(&[Shared { host: directory, peer: Path::new("/opt/ours") }])?;
    for name in ["bakery", "sysupdate"] {
        run(&format!("/opt/ours/{name}"), &["--help"])?;
    }
    ensure!(run(SYSUPDATE, &["--version"])?.starts_with("systemd "));
    Ok(())
}

fn merges(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    let release = Path::new("/tmp/tree/usr/lib/extension-release.d");
    fs::create_dir_all(release)?;
    fs::write(release.join("extension-release.demo"), "ID=_any\n")?;
    fs::create_dir_all("/tmp/tree/usr/share/demo")?;
    fs::write("/tmp/tree/usr/share/demo/word", "merged")?;
    fs::create_dir_all("/var/lib/extensions")?;
    run("mkfs.erofs", &["-zlz4hc", "/var/lib/extensions/demo.raw", "/tmp/tree"])?;

    let word = Path::new("/usr/share/demo/word");
    ensure!(!word.exists(), "there before the merge");
    run("systemd-sysext", &["merge"])?;
    ensure!(fs::read(word)? == b"merged");
    ensure!(Path::new(SYSUPDATE).exists(), "the peer's own /usr is hidden");
    ensure!(merged_into_usr()? == ["demo"]);
    run("systemd-sysext", &["unmerge"])?;
    ensure!(!word.exists(), "there after the unmerge");
    ensure!(merged_into_usr()?.is_empty());
    Ok(())
}

/// A transfer for `demo` from that server.
fn configure(server: &Server) -> Result<()> {
    fs::create_dir_all("/etc/sysupdate.d")?;
    fs::create_dir_all("/var/lib/demo")?;
    let url = server.url();
    let transfer = format!(
        "[Transfer]\nVerify=no\n\n\
         [Source]\nType=url-file\nPath={url}\nMatchPattern=demo-@v.raw\n\n\
         [Target]\nType=regular-file\nPath=/var/lib/demo\nMatchPattern=demo-@v.raw\nCurrentSymlink=current.raw\n"
    );
    fs::write("/etc/sysupdate.d/demo.transfer", transfer).context("cannot write the transfer file")
}

/// The files on a server, and the manifest that lists them.
fn publish(files: &[(&str, &[u8])]) -> Result<Server> {
    let directory = Path::new("/srv/public");
    fs::create_dir_all(directory)?;
    let mut sums = String::new();
    for (name, bytes) in files {
        sums.push_str(&format!("{}  {name}\n", Sha256::of(bytes)));
        fs::write(directory.join(name), bytes)?;
    }
    fs::write(directory.join("SHA256SUMS"), sums)?;
    Server::serve(directory).context("cannot serve")
}
