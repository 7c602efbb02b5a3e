//! The real systemd 257 of Debian trixie, in a root of its own: first that it works here at all, on
//! bytes made by hand, then that it takes what we publish.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared, merged_into_usr, run};
use tests::programs::program;
use tests::server::{Fault, Server, Times};

const SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";

// Not shorter: systemd-pull takes a body of fewer bytes than a compression's magic for a broken one.
const FIRST: &[u8] = b"the first version";
const SECOND: &[u8] = b"the second version";

fn main() -> ExitCode {
    let trixie = [Need::Peer(Peer::Trixie)];
    let extensions = [Need::Peer(Peer::Trixie), Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    let mut suite = Suite::new();
    suite.isolated("peer_systemd_257_is_what_runs", &trixie, is_257);
    suite.isolated("peer_systemd_sysupdate_installs_over_http", &trixie, installs);
    suite.isolated("peer_systemd_sysupdate_refuses_a_flipped_byte", &trixie, refuses_flipped);
    suite.isolated("peer_systemd_and_our_programs_share_a_root", &trixie, ours_run_beside);
    suite.isolated("peer_systemd_sysext_merges_erofs", &extensions, merges);
    suite.run()
}

fn is_257() -> Result<()> {
    Peer::Trixie.enter(&[])?;
    for program in [SYSUPDATE, "systemd-sysext"] {
        let version = run(program, &["--version"])?;
        ensure!(version.starts_with("systemd 257 "), "{program}: {version}");
    }
    Ok(())
}

fn installs() -> Result<()> {
    Peer::Trixie.enter(&[])?;
    let server = publish(&[("demo-1.raw", FIRST), ("demo-2.raw", SECOND)])?;
    configure(&server)?;
    ensure!(run(SYSUPDATE, &["check-new"])?.trim() == "2");
    run(SYSUPDATE, &["update"])?;
    ensure!(fs::read("/var/lib/demo/demo-2.raw")? == SECOND);
    ensure!(fs::read_link("/var/lib/demo/current.raw")? == Path::new("demo-2.raw"));
    ensure!(fs::read_dir("/var/lib/demo")?.count() == 2, "more than the newest version and its link");
    let again = Command::new(SYSUPDATE).arg("check-new").output()?;
    ensure!(again.status.code() == Some(1) && again.stdout.is_empty(), "{again:?}");
    Ok(())
}

fn refuses_flipped() -> Result<()> {
    Peer::Trixie.enter(&[])?;
    let server = publish(&[("demo-2.raw", SECOND)])?;
    server.fault("/demo-2.raw", Fault::FlipByte(0), Times::Always);
    configure(&server)?;
    let output = Command::new(SYSUPDATE).arg("update").output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "installed what the manifest does not name");
    ensure!(diagnostics.contains("DOWNLOAD INVALID: Checksum"), "{diagnostics}");
    ensure!(!Path::new("/var/lib/demo/demo-2.raw").exists());
    Ok(())
}

fn ours_run_beside() -> Result<()> {
    let bakery = program("bakery")?;
    let directory = bakery.parent().context("a program is in a directory")?;
    Peer::Trixie.enter(&[Shared { host: directory, peer: Path::new("/opt/ours") }])?;
    for name in ["bakery", "sysupdate"] {
        run(&format!("/opt/ours/{name}"), &["--help"])?;
    }
    ensure!(run(SYSUPDATE, &["--version"])?.starts_with("systemd "));
    Ok(())
}

fn merges() -> Result<()> {
    Peer::Trixie.enter(&[])?;
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
    ensure!(merged_into_usr()? == serde_json::json!(["demo"]));
    run("systemd-sysext", &["unmerge"])?;
    ensure!(!word.exists(), "there after the unmerge");
    ensure!(merged_into_usr()? == serde_json::json!("none"));
    Ok(())
}

/// A definition that takes `demo` from that server.
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

/// The files, and the manifest that names them, on a server.
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
