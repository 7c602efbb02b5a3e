//! Errors of the machine during an update: strace makes one system call fail once.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};
use serde_json::json;
use tests::node::{Node, Publisher, image, merged};
use tests::programs::program;

use crate::NAME;

/// Each system call fails so often, in different runs: the first time, the second time, and so on.
const TIMES: usize = 3;

/// The system calls of a merge and of a health check, and what the kernel may answer to each of them.
const FAULTS: [(&str, &str); 5] = [
    ("fsopen", "ENODEV"),
    ("fsconfig", "EIO"),
    ("fsmount", "ENOSPC"),
    ("open_tree", "EMFILE"),
    ("clone,clone3,fork,vfork", "EAGAIN"),
];

/// After each fault, version 1 or 2 is merged and neither is bad, and the next update activates version 2.
pub(crate) fn is_not_the_fault_of_the_version() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for (calls, errno) in FAULTS {
        let mut failed = 0;
        for time in 1..=TIMES {
            let what = format!("{calls} fails with {errno} at time {time}");
            let root = scratch.path().join(format!("{errno}-{time}"));
            fs::create_dir(&root)?;
            let fault = format!("inject={calls}:error={errno}:when={time}");
            failed += usize::from(one(&root, &fault).with_context(|| what)?);
        }
        ensure!(failed > 0, "no update noticed that {calls} failed");
    }
    Ok(())
}

/// Whether the update failed.
fn one(root: &Path, fault: &str) -> Result<bool> {
    let mut publisher = Publisher::new("example")?.today()?;
    let sysupdate = program("sysupdate")?;
    let node = Node::at(root, sysupdate)?;
    node.trust(&publisher)?;
    node.define(NAME, &publisher.transfer(NAME, "Activate=refresh\nHealthTimeout=2s\n"))?;
    for version in ["1", "2"] {
        let image = image::with_check(NAME, version, 0)?;
        publisher.offer(NAME, version, image)?.health = vec![format!("exec:/usr/bin/{NAME}-check").parse()?];
        publisher.issue()?;
        if version == "1" {
            node.run(&["update", "-C", NAME])?.well()?;
        }
    }

    let update = node.command(&["update", "-C", NAME]);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-q", "-o", "/dev/null", "-e", fault])
        .arg(update.get_program())
        .args(update.get_args());
    for (name, value) in update.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let output = traced.output().context("strace")?;
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let failed = !output.status.success();
    ensure!(!failed || output.status.code() == Some(1), "{}: {said}", output.status);
    let expected = if failed { ["1", "2"] } else { ["2", "2"] };
    let shown = merged(&node.root, NAME)?;
    ensure!(shown.as_deref().is_some_and(|shown| expected.contains(&shown)), "{shown:?} is merged: {said}");
    let record = node.record(NAME)?;
    ensure!(record["bad"] == json!([]), "a version is bad: {record}\n{said}");

    let again = node.run(&["update", "-C", NAME])?.well()?;
    ensure!(merged(&node.root, NAME)?.as_deref() == Some("2"), "{said}\nthe next update: {again:?}");
    let record = node.record(NAME)?;
    ensure!(record["last_good"] == "2" && record["bad"] == json!([]), "{record}\n{said}");
    for hierarchy in ["usr", "opt"] {
        // A hierarchy that nothing is merged over is not a mount
        while umount2(&node.path(hierarchy), MntFlags::MNT_DETACH).is_ok() {}
    }
    Ok(failed)
}
