//! Kills and failures in the middle of a merge.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sysupdate::merge::report::{MergeOutcome, Warning};
use sysupdate::merge::{self, MergeError, Options};

use crate::CHILD;
use crate::site::Site;
use crate::stopping::{Age, Stop, Stopping};
use crate::swaps::{always_there, choose_set, offer_sets};

/// The program that is killed.
pub(crate) fn child(root: &Path, at: &str) -> ExitCode {
    let site = Site::existing(root);
    let Ok(at) = at.parse() else { return ExitCode::FAILURE };
    match merge::refresh(&Stopping::new(Age::Running, Stop::Kill, at), &site.paths, &Options::default()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start_child(site: &Site, at: usize) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHILD).arg(&site.root).arg(at.to_string());
    Ok(command.stdin(Stdio::null()).spawn()?)
}

/// After a kill, all files exist, of one set or the other; after the next run, exactly those of the new set.
fn converges(site: &Site, set: &str, merged: &BTreeMap<String, usize>, when: &str) -> Result<()> {
    for path in always_there(site) {
        ensure!(path.exists(), "{when}: {} is missing after the kill", path.display());
    }
    let report = site.refresh().with_context(|| format!("{when}: the next run fails"))?;
    let only_interrupted = report.warnings.iter().all(|one| matches!(one, Warning::Interrupted { .. }));
    ensure!(only_interrupted && report.quarantined.is_empty(), "{when}: {report}");
    for path in ["usr/share/alpha/set", "usr/bin/beta"] {
        ensure!(site.read(path)? == set, "{when}: the next run did not merge the new set");
    }
    ensure!(site.mounts()? == *merged, "{when}: left behind: {:#?}\nexpected {merged:#?}", site.mounts()?);
    Ok(())
}

pub(crate) fn killed_at_each_step() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    site.refresh()?;
    let merged = site.mounts()?;
    let mut steps = 0;
    for at in 0.. {
        let set = if at % 2 == 0 { "b" } else { "a" };
        choose_set(&site, set)?;
        let status = start_child(&site, at)?.wait()?;
        let killed = status.signal() == Some(9);
        ensure!(killed || status.success(), "step {at}: {status}");
        converges(&site, set, &merged, &format!("killed before step {at}"))?;
        if !killed {
            steps = at;
            break;
        }
    }
    // Two hierarchies, each attached and detached, are already four steps.
    ensure!(steps > 10, "only {steps} steps");
    println!("{steps} steps");
    site.unmerge()?;
    ensure!(site.overlays("usr")? + site.overlays("opt")? == 0);
    site.no_loop_device_is_left()
}

pub(crate) fn first_killed_at_each_step() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    let bare = site.mounts()?;
    for at in 0.. {
        let killed = start_child(&site, at)?.wait()?.signal() == Some(9);
        for path in ["usr/bin/base", "usr/share/mnt/file"] {
            ensure!(site.path(path).exists(), "killed before step {at}: {path} is missing");
        }
        site.refresh().with_context(|| format!("killed before step {at}: the next run fails"))?;
        ensure!(site.read("usr/share/alpha/set")? == "a" && site.read("usr/share/mnt/file")? == "below");
        ensure!(site.overlays("usr")? == 1 && site.overlays("opt")? == 1, "killed before step {at}");
        site.unmerge()?;
        ensure!(site.mounts()? == bare, "killed before step {at}: {:#?}\nbefore: {bare:#?}", site.mounts()?);
        if !killed {
            ensure!(at > 10, "only {at} steps");
            return site.no_loop_device_is_left();
        }
    }
    Ok(())
}

pub(crate) fn killed_at_any_time() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    site.refresh()?;
    let merged = site.mounts()?;
    let (mut killed, rounds) = (0, 60);
    for round in 0..rounds {
        let set = if round % 2 == 0 { "b" } else { "a" };
        choose_set(&site, set)?;
        let mut child = start_child(&site, usize::MAX)?;
        // Another moment each time, within the duration of a refresh.
        std::thread::sleep(Duration::from_micros(250 * round));
        child.kill()?;
        killed += u64::from(child.wait()?.signal() == Some(9));
        converges(&site, set, &merged, &format!("killed in round {round}"))?;
    }
    println!("{killed} of {rounds} were killed before they ended");
    ensure!(killed > rounds / 4, "only {killed} of {rounds} were killed before they ended");
    site.unmerge()?;
    site.no_loop_device_is_left()
}

pub(crate) fn failed_step_changes_nothing(age: Age) -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    site.refresh()?;
    let merged = site.mounts()?;
    let mut failed = 0;
    for at in 0.. {
        choose_set(&site, "b")?;
        let mounts = Stopping::new(age, Stop::Fail, at);
        let result = merge::refresh(&mounts, &site.paths, &Options::default());
        if !mounts.was_reached() {
            result?;
            break;
        }
        for path in always_there(&site) {
            // An unreadable image is not merged, so its files are missing.
            let left_out = result.as_ref().is_ok_and(|report| !report.quarantined.is_empty());
            ensure!(left_out || path.exists(), "step {at}: {} is missing", path.display());
        }
        match result {
            // What failed was done at the second attempt.
            Ok(report) if report.quarantined.is_empty() => {
                let merged_now = site.mounts()?;
                ensure!(
                    site.read("usr/share/alpha/set")? == "b" && merged_now == merged,
                    "step {at}: {report}"
                );
            }
            Ok(report) => ensure!(report.quarantined.len() == 1, "step {at}: {report}"),
            Err(MergeError::Detach { .. }) => {}
            Err(error) => {
                failed += 1;
                ensure!(
                    site.read("usr/share/alpha/set")? == "a",
                    "step {at}: {error}, but the set has changed"
                );
                ensure!(site.mounts()? == merged, "step {at}: {error}, but {:#?}", site.mounts()?);
            }
        }
        choose_set(&site, "a")?;
        site.refresh()?;
        ensure!(site.read("usr/share/alpha/set")? == "a" && site.mounts()? == merged, "step {at}");
    }
    ensure!(failed > 6, "only {failed} steps failed");
    Ok(())
}

pub(crate) fn old_kernel() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    site.refresh()?;
    let merged = site.mounts()?;
    choose_set(&site, "b")?;
    let report = merge::refresh(&Stopping::never(Age::Old), &site.paths, &Options::default())?;
    let gaps = report.warnings.iter().filter(|one| matches!(one, Warning::Gap { .. })).count();
    ensure!(report.outcome == MergeOutcome::Refreshed && gaps == 2, "{report}");
    ensure!(site.read("usr/share/alpha/set")? == "b" && site.mounts()? == merged, "{:#?}", site.mounts()?);
    ensure!(always_there(&site).iter().all(|path| path.exists()));
    Ok(())
}
