//! Mounts that somebody else made at a hierarchy.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use sysupdate::merge::report::MergeOutcome;

use crate::site::{Site, expect};
use crate::swaps::{choose_set, offer_sets};

/// `mount -o bind,ro /opt /opt`, as administrators protect a directory. The bind mount shares with the file system
/// below it, so that the kernel attaches a second copy of the overlay below the bind mount.
pub(crate) fn keeps_a_bind_mount() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    let opt = site.path("opt");
    mount(Some(&opt), &opt, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, &opt, None::<&str>, read_only, None::<&str>)?;
    let bare = site.mounts()?;
    let is_protected = || fs::write(opt.join("new"), "").is_err();
    ensure!(is_protected(), "the trial can write to the bind mount");

    expect(&site.refresh()?, MergeOutcome::Merged)?;
    let merged = site.mounts()?;
    ensure!(
        site.overlays("opt")? == 2,
        "the kernel propagates nothing, so that this proves nothing: {merged:#?}"
    );
    for set in ["b", "a"] {
        choose_set(&site, set)?;
        expect(&site.refresh()?, MergeOutcome::Refreshed)?;
        ensure!(site.read("usr/share/alpha/set")? == set);
        ensure!(site.mounts()? == merged, "{:#?}\nexpected {merged:#?}", site.mounts()?);
    }
    expect(&site.refresh()?, MergeOutcome::Unchanged)?;
    expect(&site.unmerge()?, MergeOutcome::Unmerged)?;
    ensure!(site.mounts()? == bare, "{:#?}\nexpected {bare:#?}", site.mounts()?);
    ensure!(is_protected() && opt.join("host").is_dir(), "/opt lost its bind mount");
    site.refresh()?;
    fs::remove_file(site.path("var/lib/extensions/alpha.raw")).context("alpha is offered")?;
    let report = site.refresh()?;
    ensure!(report.hierarchies.len() == 1 && site.overlays("opt")? == 0, "{report}");
    ensure!(is_protected(), "/opt lost its bind mount when no extension had it any more");
    Ok(())
}
