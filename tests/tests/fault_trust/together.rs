//! Components that require each other: they are updated together or not at all.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::interrupt;
use tests::node::{Publisher, image, leftovers, merged};

use crate::{Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_requirement_on_another_component", requirement),
    ("fault_version_that_relies_on_an_unhealthy_one", unhealthy),
    ("fault_version_that_relies_on_one_that_cannot_be_downloaded", not_downloaded),
    ("fault_kill_in_update_of_two_that_rely_on_each_other", killed),
];

const CHECK: &str = "exec:/usr/bin/other-check";

/// Version 1 of demo and other is installed. Version 2 of demo requires version 2 of other.
fn site(other: Vec<u8>) -> Result<Site> {
    let mut site = Site::with("HealthTimeout=3s\n")?;
    site.node.define("other", &site.publisher.transfer("other", "HealthTimeout=3s\n"))?;
    site.publisher.offer("other", "1", image::data("other", "1")?)?;
    site.publisher.issue()?;
    site.node.run(&["update", "-A"])?.well()?.prints("demo: installed 1\nother: installed 1\n")?;
    let demo = site.publisher.offer("demo", "2", image::data("demo", "2")?)?;
    demo.requires = vec!["other >=2".parse()?];
    site.publisher.offer("other", "2", other)?.health = vec![CHECK.parse()?];
    site.publisher.issue()?;
    Ok(site)
}

fn uses(site: &Site, version: &str) -> Result<()> {
    for name in ["demo", "other"] {
        let found = site.node.in_use(name)?;
        ensure!(found == Some(Publisher::file(name, version)?), "{found:?} of {name} is in use");
        let found = merged(&site.node.root, name)?;
        ensure!(found.as_deref() == Some(version), "{found:?} of {name} is merged");
    }
    Ok(())
}

fn requirement() -> Result<()> {
    let site = site(image::with_check("other", "2", 0)?)?;
    let alone = "demo: up to date\n  skipped 2: requires other >=2, but other 1 is installed\n";
    site.update()?.well()?.prints(alone)?;
    let refused = "error: demo: cannot use 2: requires other >=2, but other 1 is installed\n";
    site.update_to("2")?.ended(1)?.says(refused)?;
    uses(&site, "1")?;
    let plan = site.node.run(&["plan", "-A"])?.well()?;
    plan.mentions("demo: install 2 (now 1)\n")?
        .mentions("  requires other >=2: this run installs other 2\n")?;
    let both = "demo: updated from 1 to 2\nother: updated from 1 to 2\n";
    site.node.run(&["update", "-A"])?.well()?.prints(both)?;
    uses(&site, "2")?;
    // The catalog is not asked: what demo requires was recorded when it was installed.
    let held = "error: other: cannot use 1: held by demo 2, which requires other >=2\n";
    site.node.run(&["update", "-C", "other", "1"])?.ended(1)?.says(held)?;
    uses(&site, "2")
}

fn unhealthy() -> Result<()> {
    let site = site(image::with_broken_check("other", "2")?)?;
    let seen = site.node.run(&["update", "-A"])?.ended(1)?;
    seen.mentions("demo: rolled back from 2 to 1: it relies on other 2, which is not in use\n")?
        .mentions("other: rolled back from 2 to 1: ")?;
    uses(&site, "1")?;
    ensure!(site.node.record("demo")?["bad"] == json!([]), "demo 2 is not to blame");
    let next = "demo: up to date\n  skipped 2: requires other >=2, but other 1 is installed\n";
    site.node.run(&["update", "-A"])?.well()?.mentions(next)?;
    Ok(())
}

fn not_downloaded() -> Result<()> {
    let site = site(image::with_check("other", "2", 0)?)?;
    std::fs::remove_file(site.publisher.path("other").join(Publisher::file("other", "2")?))?;
    let seen = site.node.run(&["update", "-A"])?.ended(1)?;
    seen.mentions("error: demo: 2 was not activated: it relies on other 2, which failed\n")?;
    uses(&site, "1")
}

/// One is unhealthy. Wherever the run is killed, the next ones end with version 1 of both.
fn killed() -> Result<()> {
    const STRIDE: usize = 7;
    for at in (1..).step_by(STRIDE) {
        let site = site(image::with_broken_check("other", "2")?)?;
        let mut command = site.node.command(&["update", "-A"]);
        command.env(interrupt::AT, at.to_string());
        let seen = site.node.see(command)?;
        let ended = seen.status.code().is_some();
        if !ended {
            site.node.run(&["update", "-A"]).context("the run afterwards")?;
            site.node.run(&["update", "-A"])?.well().context("the last run")?;
        }
        uses(&site, "1").with_context(|| format!("killed at point {at}"))?;
        ensure!(leftovers(&site.node.root)?.is_empty(), "{:?}", leftovers(&site.node.root)?);
        ensure!(site.node.record("demo")?["bad"] == json!([]), "demo 2 is not to blame");
        if ended {
            ensure!(at > 10 * STRIDE, "it ended at point {at}");
            return Ok(());
        }
    }
    Ok(())
}
