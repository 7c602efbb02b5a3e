//! The real systemd 257 of Debian trixie, in a root of its own: first that it works here at all, on
//! bytes made by hand, then that it takes what we publish.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use sysext_manifests::digest::Sha256;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared};
use tests::programs::program;

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
    configure(serve(publish(&[("demo-1.raw", FIRST), ("demo-2.raw", SECOND)]))?)?;
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
    let mut files = publish(&[("demo-2.raw", SECOND)]);
    files.get_mut("demo-2.raw").context("published")?[0] ^= 1;
    configure(serve(files)?)?;
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

/// What `systemd-sysext status` says is merged into `/usr`: a list, or 257's word for nothing.
fn merged_into_usr() -> Result<serde_json::Value> {
    let status: serde_json::Value =
        serde_json::from_str(&run("systemd-sysext", &["status", "--json=short"])?)?;
    let rows = status.as_array().context("status is not a list")?;
    let usr = rows.iter().find(|row| row["hierarchy"] == "/usr").context("no row for /usr")?;
    Ok(usr["extensions"].clone())
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}\n{text}{diagnostics}", output.status);
    }
    Ok(text)
}

/// A definition that takes `demo` from that port.
fn configure(port: u16) -> Result<()> {
    fs::create_dir_all("/etc/sysupdate.d")?;
    fs::create_dir_all("/var/lib/demo")?;
    let transfer = format!(
        "[Transfer]\nVerify=no\n\n\
         [Source]\nType=url-file\nPath=http://127.0.0.1:{port}/\nMatchPattern=demo-@v.raw\n\n\
         [Target]\nType=regular-file\nPath=/var/lib/demo\nMatchPattern=demo-@v.raw\nCurrentSymlink=current.raw\n"
    );
    fs::write("/etc/sysupdate.d/demo.transfer", transfer).context("cannot write the transfer file")
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files, and the manifest that names them.
fn publish(files: &[(&str, &[u8])]) -> Files {
    let sums =
        files.iter().map(|(name, bytes)| format!("{}  {name}\n", Sha256::of(bytes))).collect::<String>();
    let manifest = [("SHA256SUMS", sums.as_bytes())];
    files.iter().chain(&manifest).map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

/// Serves the files on a free port of the loopback device until the process ends.
fn serve(files: Files) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away in the middle sees its own error; the next one is served.
            if let Err(error) = stream.and_then(|stream| answer(stream, &files)) {
                eprintln!("server: {error}");
            }
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let (status, body) = match files.get(name) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", &[][..]),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}
