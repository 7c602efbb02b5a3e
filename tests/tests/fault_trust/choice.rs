//! Which version is chosen, and which versions are kept.

use std::fs;

use anyhow::{Result, ensure};
use tests::node::image;
use tests::server::{Fault, Times};

use crate::{Site, Trial, UNMERGED};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_skips_withdrawn_version", withdrawn),
    ("fault_updates_component_when_another_fails", one_fails),
    ("fault_skips_version_below_minimum", minimum),
    ("fault_does_not_update_held_component", held),
    ("fault_removes_surplus_versions_but_not_active_ones", surplus),
    ("fault_keeps_active_and_last_good_versions", active_and_last_good),
    ("fault_keeps_protected_version", protected),
    ("fault_installs_older_version_by_name", downgrade),
];

fn withdrawn() -> Result<()> {
    let mut site = Site::new()?;
    site.publisher.offer("demo", "2", image::data("demo", "2")?)?.withdrawn =
        Some("it eats disks".to_owned());
    site.publisher.issue()?;
    let expected = "demo: installed 1\n  skipped 2: withdrawn by its publisher: it eats disks\n";
    site.update()?.well()?.prints(expected)?;
    site.has(&["1"])?;
    // An active version stays until a newer one is on offer.
    site.offer("3")?;
    site.update()?.well()?;
    site.publisher.offer("demo", "3", image::data("demo", "3")?)?.withdrawn = Some("so does this".to_owned());
    site.publisher.issue()?;
    site.update()?.well()?.prints("demo: up to date\n")?;
    site.uses("3")
}

fn one_fails() -> Result<()> {
    let mut site = Site::new()?;
    site.publisher.offer("other", "7", image::data("other", "7")?)?;
    site.publisher.issue()?;
    site.node.define("other", &site.publisher.transfer("other", UNMERGED))?;
    site.node.define("unreadable", "[Source]\nType=tape\n")?;
    site.publisher.server.fault(
        &format!("/demo/{}", tests::node::Publisher::file("demo", "1")?),
        Fault::Status(403),
        Times::Always,
    );
    let seen = site.node.run(&["update", "-A"])?.ended(1)?;
    let seen = seen.mentions("error: demo: gave up after 1 attempt: ")?;
    let seen = seen.mentions("\nother: installed 7\n")?;
    seen.mentions("error: unreadable: ROOT/etc/sysupdate.unreadable.d/")?;
    site.has(&[])?;
    ensure!(site.node.in_use("other")?.is_some());
    Ok(())
}

fn minimum() -> Result<()> {
    let mut site = Site::new()?;
    let with_minimum = |text: &str| text.replace("[Transfer]\n", "[Transfer]\nMinVersion=2\n");
    site.redefine(with_minimum)?;
    site.update()?.well()?.prints("demo: nothing to install\n  skipped 1: older than MinVersion=2\n")?;
    site.update_to("1")?.ended(1)?.says("error: demo: cannot use 1: older than MinVersion=2\n")?;
    site.has(&[])?;
    site.offer("2")?;
    site.update()?.well()?;
    site.has(&["2"])
}

fn held() -> Result<()> {
    let mut site = Site::new()?;
    site.update()?.well()?;
    site.offer("2")?;
    site.redefine(|text| format!("{text}Hold=yes\n"))?;
    site.update()?.well()?.prints("demo: on hold; 2 is available\n")?;
    site.has(&["1"])?;
    // A version that is named explicitly is installed.
    site.update_to("2")?.well()?.prints("demo: updated from 1 to 2\n")?;
    site.uses("2")
}

fn surplus() -> Result<()> {
    let mut site = Site::new()?;
    site.redefine(|text| text.replace("[Target]\n", "[Target]\nInstancesMax=2\n"))?;
    for version in ["1", "2", "3"] {
        site.offer(version)?;
        site.update()?.well()?;
    }
    // With three versions and a limit of two, the oldest was removed.
    site.has(&["2", "3"])?;
    // The older one is active now, so the other one is removed.
    site.update_to("2")?.well()?;
    site.offer("4")?;
    site.update()?.well()?;
    site.has(&["2", "4"])?;
    site.uses("4")
}

/// An operator may have changed the link; the active and the last healthy version then differ.
fn active_and_last_good() -> Result<()> {
    let mut site = Site::new()?;
    site.redefine(|text| text.replace("[Target]\n", "[Target]\nInstancesMax=2\n"))?;
    for version in ["1", "2", "3"] {
        site.offer(version)?;
        site.update()?.well()?;
    }
    let link = site.node.path("var/lib/extensions/demo.raw");
    fs::remove_file(&link)?;
    let older = format!("../sysupdate/images/demo/{}", tests::node::Publisher::file("demo", "2")?);
    std::os::unix::fs::symlink(older, &link)?;
    site.uses("2")?;
    ensure!(site.node.record("demo")?["last_good"] == "3");
    site.offer("4")?;
    site.update()?.well()?.prints("demo: updated from 2 to 4\n")?;
    site.has(&["2", "3", "4"])?;
    site.uses("4")
}

fn protected() -> Result<()> {
    let mut site = Site::new()?;
    site.redefine(|text| {
        let text = text.replace("[Transfer]\n", "[Transfer]\nProtectVersion=1\n");
        text.replace("[Target]\n", "[Target]\nInstancesMax=2\n")
    })?;
    for version in ["1", "2", "3", "4"] {
        site.offer(version)?;
        site.update()?.well()?;
    }
    // The protected and the previous version are kept, whatever the limit is.
    site.has(&["1", "3", "4"])
}

fn downgrade() -> Result<()> {
    let mut site = Site::new()?;
    site.offer("2")?;
    site.update()?.well()?.prints("demo: installed 2\n")?;
    site.update_to("1")?.well()?.prints("demo: updated from 2 to 1\n")?;
    site.uses("1")?;
    ensure!(site.node.record("demo")?["last_good"] == "1");
    site.publisher.server.forget();
    site.update()?.well()?.prints("demo: updated from 1 to 2\n")?;
    site.uses("2")?;
    let paths: Vec<_> = site.publisher.server.requests().into_iter().map(|request| request.path).collect();
    ensure!(paths == ["/catalog/catalog.json"], "what was here was fetched again: {paths:?}");
    site.update_to("3")?.ended(1)?.says("error: demo: cannot use 3: neither installed nor available\n")?;
    site.uses("2")?;
    // An installed version that is no longer on offer can still be activated.
    fs::remove_file(site.publisher.path(format!("demo/{}", tests::node::Publisher::file("demo", "1")?)))?;
    site.publisher.catalog.extensions.entry("demo".to_owned()).or_default().instances.remove(0);
    site.publisher.issue()?;
    site.update_to("1")?.well()?;
    ensure!(site.node.in_use("demo")? == Some(tests::node::Publisher::file("demo", "1")?));
    Ok(())
}
