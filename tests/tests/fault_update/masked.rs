//! A version that another extension masks: it is neither healthy nor unhealthy.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::node::{Node, Publisher, image, merged};
use tests::programs::program;

use crate::NAME;

pub(crate) fn is_neither_good_nor_bad() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut publisher = Publisher::new("example")?.today()?;
    let node = Node::at(&scratch.path().join("root"), program("sysupdate")?)?;
    node.trust(&publisher)?;
    node.define(NAME, &publisher.transfer(NAME, "Activate=refresh\n"))?;
    let mut offer = |version: &str, status: u8| -> Result<()> {
        let image = image::with_check(NAME, version, status)?;
        publisher.offer(NAME, version, image)?.health = vec![format!("exec:/usr/bin/{NAME}-check").parse()?];
        publisher.issue()
    };
    let update = || node.run(&["update", "-C", NAME])?.well();
    let image = |version: &str| -> Result<String> {
        Ok(format!("{NAME} (/var/lib/sysupdate/images/{NAME}/{})", Publisher::file(NAME, version)?))
    };
    offer("1", 0)?;
    update()?.prints("demo: installed 1\n")?;

    // Its check would fail, but does not run, because its program is not merged.
    let mask = node.path("etc/extensions/demo.raw");
    fs::create_dir_all(node.path("etc/extensions"))?;
    symlink("/dev/null", &mask)?;
    offer("2", 1)?;
    let because = format!("{}: masked by /etc/extensions/demo.raw", image("2")?);
    let news = format!("demo: 2 is installed but not merged, so it was not checked: {because}\n");
    update()?.prints(&news)?.mentions(&format!("demo: 2 is not merged: {because}\n"))?;
    ensure!(merged(&node.root, NAME)?.is_none(), "it is merged");
    ensure!(node.in_use(NAME)? == Some(Publisher::file(NAME, "2")?), "something else is in use");
    let record = node.record(NAME)?;
    ensure!(record["last_good"] == "1" && record["bad"] == json!([]), "{record}");
    let last = record["history"].as_array().and_then(|history| history.last()).cloned().unwrap_or_default();
    ensure!(record["trial"] == Value::Null && last["event"] == "masked", "{record}");
    update()?.prints("demo: up to date\n")?;

    // Another extension of that name, in a directory of higher priority.
    fs::remove_file(&mask)?;
    fs::write(&mask, image::data(NAME, "of another")?)?;
    offer("3", 1)?;
    let because = format!("{}: overridden by /etc/extensions/demo.raw", image("3")?);
    update()?.prints(&format!("demo: 3 is installed but not merged, so it was not checked: {because}\n"))?;
    ensure!(merged(&node.root, NAME)?.as_deref() == Some("of another"), "it is not the other one");
    ensure!(node.record(NAME)?["last_good"] == "1", "it counts as good");

    // A version that is no longer masked is checked as usual.
    fs::remove_file(&mask)?;
    offer("4", 0)?;
    update()?.prints("demo: updated from 3 to 4\n")?;
    ensure!(merged(&node.root, NAME)?.as_deref() == Some("4"), "it is not merged");
    ensure!(node.record(NAME)?["last_good"] == "4", "it does not count as good");
    Ok(())
}
