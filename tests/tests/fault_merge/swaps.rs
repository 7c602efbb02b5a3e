//! Swaps while a watcher looks at the files.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use sysupdate::merge::report::MergeOutcome;
use sysupdate::merge::{self, Options};

use crate::site::{Site, expect};
use crate::stopping::{Age, Stopping};
use crate::watcher::{Hears, Watcher};

const SWAPS: u32 = 200;
const LOOKS_PER_SWAP: u64 = 50;

/// Two extensions in two sets each, one of which has files in `/opt` too.
pub(crate) fn offer_sets(site: &Site) -> Result<()> {
    for set in ["a", "b"] {
        let both = ("usr/share/alpha/both", "in both");
        site.bake("alpha", set, &[("usr/share/alpha/set", set), both, ("opt/alpha/both", "in both")])?;
        site.bake("beta", set, &[("usr/bin/beta", set)])?;
    }
    choose_set(site, "a")
}

pub(crate) fn choose_set(site: &Site, set: &str) -> Result<()> {
    site.choose("alpha", set)?;
    site.choose("beta", set)
}

/// Files that exist in both sets.
pub(crate) fn always_there(site: &Site) -> Vec<PathBuf> {
    ["usr/share/alpha/both", "opt/alpha/both", "usr/bin/base", "usr/bin/beta", "usr/share/mnt/file"]
        .map(|path| site.path(path))
        .into()
}

pub(crate) fn swaps(hears: Hears) -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    expect(&site.refresh()?, MergeOutcome::Merged)?;
    let merged = site.mounts()?;
    let watcher = Watcher::start(hears, site.path("usr/share/alpha/set"), always_there(&site))?;
    let mut moves = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut total = Duration::ZERO;
    for swap in 1..=SWAPS {
        let looks = watcher.looks();
        choose_set(&site, if swap % 2 == 1 { "b" } else { "a" })?;
        let mounts = Stopping::never(Age::Running);
        let report = merge::refresh(&mounts, &site.paths, &Options::default())?;
        moves.push(mounts.beneath.get());
        expect(&report, MergeOutcome::Refreshed)?;
        watcher.has_seen(u64::from(swap), LOOKS_PER_SWAP)?;
        ensure!(watcher.looks() >= looks + LOOKS_PER_SWAP);
        slowest = slowest.max(report.took);
        total += report.took;
    }
    let counted = watcher.stop()?;
    moves.sort();
    println!("move median {:?}, slowest {:?}", moves[moves.len() / 2], moves[moves.len() - 1]);
    println!("{hears:?}: {} looks, refresh mean {:?}, slowest {slowest:?}", counted.looks, total / SWAPS);
    ensure!(counted.misses == 0 && counted.changes == u64::from(SWAPS), "{counted:?}");
    ensure!(site.mounts()? == merged, "{:#?}\nbefore: {merged:#?}", site.mounts()?);
    Ok(())
}

pub(crate) fn watcher_sees_a_gap() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.mount_below_usr()?;
    site.refresh()?;
    for hears in [Hears::AsPeer, Hears::AsSlave] {
        let watcher = Watcher::start(hears, site.path("usr/share/alpha/set"), always_there(&site))?;
        for _ in 0..20 {
            site.unmerge()?;
            site.merge()?;
            watcher.has_seen(0, LOOKS_PER_SWAP)?;
        }
        let counted = watcher.stop()?;
        ensure!(counted.misses > 0, "{hears:?}: a watcher that sees no gap is no watcher: {counted:?}");
    }
    Ok(())
}
