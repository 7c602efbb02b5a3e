//! Closed outputs: no program panics because of them, and none stops in the middle of its work.

use std::fs::File;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use tests::needs::Suite;
use tests::node::{Node, Publisher, image};
use tests::programs::program;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("fault_update_completes_with_closed_output", &[], update);
    suite.trial("fault_queries_exit_with_1_and_closed_output", &[], answers);
    suite.trial("fault_bake_completes_with_closed_output", &[], bake);
    suite.run()
}

/// A pipe without a reader.
fn unread() -> Result<Stdio> {
    let (_, writer) = std::io::pipe()?;
    Ok(writer.into())
}

fn node() -> Result<(Publisher, Node)> {
    let mut publisher = Publisher::new("example")?.today()?;
    publisher.offer("demo", "1", image::data("demo", "1")?)?;
    publisher.issue()?;
    let node = Node::new(program("sysupdate")?)?;
    node.trust(&publisher)?;
    node.define("demo", &publisher.transfer("demo", "Activate=none\n"))?;
    Ok((publisher, node))
}

fn update() -> Result<()> {
    let (_publisher, node) = node()?;
    // A warning is printed before the download.
    node.write("etc/sysupdate.demo.d/demo.transfer.d/odd.conf", "[X-Sysupdate]\nUnknown=1\n")?;
    let status = node.command(&["update", "-C", "demo"]).stdout(unread()?).stderr(unread()?).status()?;
    ensure!(status.code() == Some(1), "{status}");
    ensure!(node.in_use("demo")?.is_some(), "the update stopped half-way");
    Ok(())
}

fn answers() -> Result<()> {
    let (_publisher, node) = node()?;
    for arguments in [&["list", "-C", "demo"], &["plan", "-C", "demo"], &["list", "-C", "none"]] {
        let unread = node.command(arguments).stdout(unread()?).stderr(unread()?).status()?;
        ensure!(unread.code() == Some(1), "{arguments:?}: {unread}");
    }
    let full = node.command(&["list", "-C", "demo"]).stdout(File::create("/dev/full")?).output()?;
    let said = String::from_utf8_lossy(&full.stderr);
    ensure!(
        full.status.code() == Some(1)
            && said.starts_with("error: cannot write to the standard output: No space"),
        "{full:?}"
    );
    Ok(())
}

fn bake() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tree = directory.path().join("tree/usr/share/demo");
    std::fs::create_dir_all(&tree)?;
    std::fs::write(tree.join("file"), "bytes")?;
    let store = directory.path().join("store");
    let status = Command::new(program("bakery")?)
        .args(["bake", "--name", "demo", "--version", "1", "--tree"])
        .arg(directory.path().join("tree"))
        .arg("--out")
        .arg(&store)
        .stderr(unread()?)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "{status}");
    let baked = std::fs::read_dir(store.join("demo")).context("nothing was baked")?.count();
    ensure!(baked == 2, "{baked} files");
    Ok(())
}
