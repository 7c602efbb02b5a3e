//! Recorded state that is damaged, or locked by another process.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sysupdate::host::lock::Lock;
use tests::node::Snapshot;

use crate::{Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_rejects_update_with_damaged_trust_marks", marks),
    ("fault_rejects_update_with_trust_marks_of_another_format", marks_of_another_format),
    ("fault_downloads_catalog_when_copy_is_damaged", copy),
    ("fault_continues_with_damaged_record", record),
    ("fault_reports_holder_of_the_lock", lock),
    ("fault_installs_again_when_active_image_is_missing", image_is_gone),
    ("fault_ignores_trust_marks_of_other_keys", other_keys),
];

const STATE: &str = "var/lib/sysupdate/repositories/example/state.json";
const COPY: &str = "var/lib/sysupdate/repositories/example/catalog.json";
const RECORD: &str = "var/lib/sysupdate/extensions/demo.json";

fn marks() -> Result<()> {
    let mut site = Site::new()?;
    site.update()?.well()?;
    site.offer("2")?;
    let whole = fs::read(site.node.path(STATE))?;
    for damaged in [&b"{\"version\": 1, \"mar"[..], b"", b"\0\0\0\0"] {
        site.node.write(STATE, damaged)?;
        let before = Snapshot::take(&site.node.root)?;
        let seen = site.update()?.ended(1)?;
        ensure!(seen.stderr.starts_with(&format!("error: demo: ROOT/{STATE} is not readable: ")), "{seen}");
        let hint = "\nhint: to accept an older catalog once, reset the trust state: `sysupdate trust reset example`\n";
        ensure!(seen.stderr.ends_with(hint), "{seen}");
        let after = Snapshot::take(&site.node.root)?;
        ensure!(after == before, "the node changed:\n{}", before.difference(&after));
    }
    ensure!(site.publisher.server.requests().len() == 2, "someone was asked");
    // The hint is correct.
    site.node.run(&["trust", "reset", "example"])?.well()?;
    site.update()?.well()?;
    site.uses("2")?;
    ensure!(fs::read(site.node.path(STATE))? != whole);
    Ok(())
}

fn marks_of_another_format() -> Result<()> {
    let site = Site::new()?;
    site.update()?.well()?;
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(site.node.path(STATE))?)?;
    state["version"] = 2.into();
    site.node.write(STATE, serde_json::to_vec(&state)?)?;
    site.refuses(&format!(
        "error: demo: ROOT/{STATE} is not readable: it has format 2, this program reads 1\n\
         hint: to accept an older catalog once, reset the trust state: `sysupdate trust reset example`\n"
    ))
}

/// The copy only serves to answer 304; a damaged copy must not be used.
fn copy() -> Result<()> {
    let site = Site::new()?;
    site.update()?.well()?;
    let whole = fs::read(site.node.path(COPY))?;
    for damaged in [&b"{}"[..], b"", b"\xff", &whole[..whole.len() / 2]] {
        site.node.write(COPY, damaged)?;
        site.update()?.well()?.prints("demo: up to date\n")?;
        ensure!(fs::read(site.node.path(COPY))? == whole, "the copy was not replaced");
    }
    site.publisher.server.forget();
    site.update()?.well()?;
    let statuses: Vec<_> = site.publisher.server.requests().iter().map(|request| request.status).collect();
    ensure!(statuses == [304], "{statuses:?}");
    Ok(())
}

fn record() -> Result<()> {
    let mut site = Site::new()?;
    site.update()?.well()?;
    site.offer("2")?;
    site.node.write(RECORD, "{\"version\": 1, \"last_good\": ")?;
    let seen = site.update()?.well()?;
    let expected = format!(
        "warning: ROOT/{RECORD} is unreadable (EOF while parsing a value at line 1 \
         column 28): the list of failed versions was lost\n"
    );
    let seen = seen.prints("demo: updated from 1 to 2\n")?;
    ensure!(seen.stderr.ends_with(&expected), "{seen}");
    site.uses("2")?;
    ensure!(
        fs::read_to_string(site.node.path(&format!("{RECORD}.corrupt")))?
            == "{\"version\": 1, \"last_good\": "
    );
    ensure!(site.node.record("demo")?["last_good"] == "2");
    site.update()?.well()?.prints("demo: up to date\n")?;
    Ok(())
}

fn lock() -> Result<()> {
    let site = Site::new()?;
    site.update()?.well()?;
    let since = "2026-11-25T11:59:00Z".parse()?;
    let held = Lock::take(&site.node.path("run/sysupdate/lock"), "vacuum", since)?;
    let before = Snapshot::take(&site.node.root)?;
    for arguments in [&["update", "-C", "demo"][..], &["sysext", "refresh"], &["sysext", "unmerge"]] {
        site.node.run(arguments)?.ended(1)?.prints("")?.says(&format!(
            "error: another `sysupdate vacuum` is running (PID {}, since 2026-11-25T11:59:00Z)\n",
            std::process::id()
        ))?;
    }
    let after = Snapshot::take(&site.node.root)?;
    ensure!(after == before, "the node changed:\n{}", before.difference(&after));
    // Queries need no lock.
    for verb in ["list", "plan"] {
        site.node.run(&[verb, "-C", "demo"])?.well()?;
    }
    drop(held);
    site.update()?.well()?;
    Ok(())
}

fn image_is_gone() -> Result<()> {
    let site = Site::new()?;
    site.update()?.well()?;
    let image = fs::canonicalize(site.node.path("var/lib/extensions/demo.raw")).context("no link")?;
    fs::remove_file(image)?;
    site.update()?.well()?;
    site.uses("1")
}

/// With other keys the recorded marks do not apply.
fn other_keys() -> Result<()> {
    let mut site = Site::new()?;
    site.offer("2")?;
    site.update()?.well()?;
    let mut successor = tests::node::Publisher::new("example")?;
    successor.offer("demo", "3", tests::node::image::data("demo", "3")?)?;
    successor.issue()?;
    site.node.trust(&successor)?;
    site.node.run(&["update", "-C", "demo"])?.well()?.prints("demo: updated from 2 to 3\n")?;
    let state: serde_json::Value = serde_json::from_slice(&fs::read(site.node.path(STATE))?)?;
    ensure!(state["marks"]["serial"] == 1, "{state}");
    Ok(())
}
