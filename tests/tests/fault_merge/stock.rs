//! systemd-sysext and sysupdate continue from each other's merges.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use sysupdate::host::mounts::Mounts as _;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge::report::MergeOutcome;
use sysupdate::merge::{self, MergeError};
use tests::peer::Peer;

use crate::site::{Site, expect};

pub(crate) fn stock_here() -> Result<()> {
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    // As PID 1 does; nothing here is in the peer group of the host.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)?;
    goes_on(&Site::here()?, &[])?;
    let site = Site::new()?;
    goes_on(&site, &[&format!("--root={}", site.root.display())])
}

pub(crate) fn stock_257() -> Result<()> {
    Peer::Trixie.enter(&[])?;
    let site = Site::here()?;
    goes_on(&site, &[])?;

    // Writable merges are left to systemd.
    run(Command::new("systemd-sysext").args(["merge", "--mutable=ephemeral"]))?;
    for result in [site.refresh(), site.unmerge()] {
        ensure!(matches!(result, Err(MergeError::Mutable { .. })), "{result:?}");
    }
    run(Command::new("systemd-sysext").arg("unmerge"))?;

    // A merged /etc, which sysupdate never merges, is writable below the overlay.
    let etc = Path::new("/run/confexts/settings/etc");
    fs::create_dir_all(etc.join("extension-release.d"))?;
    fs::write(etc.join("extension-release.d/extension-release.settings"), "ID=_any\n")?;
    fs::write(etc.join("setting"), "on")?;
    run(Command::new("systemd-confext").arg("merge"))?;
    ensure!(Path::new("/etc/setting").exists() && fs::write("/etc/new", "").is_err(), "/etc is not merged");
    let fd = Kernel.beneath(Path::new("/etc"))?.context("/etc is merged")?;
    fs::write(format!("/proc/self/fd/{}/new", fd.as_raw_fd()), "new")?;
    run(Command::new("systemd-confext").arg("unmerge"))?;
    ensure!(fs::read_to_string("/etc/new")? == "new");
    Ok(())
}

/// systemd continues from our merge, and sysupdate from its merge.
fn goes_on(site: &Site, options: &[&str]) -> Result<()> {
    let stock = |verb: &[&str]| run(Command::new("systemd-sysext").args(options).args(verb));
    site.bake("alpha", "a", &[("usr/share/alpha/set", "a")])?;
    site.bake("alpha", "b", &[("usr/share/alpha/set", "b")])?;
    // With --root= 252 does not follow links.
    let choose =
        |set: &str| if options.is_empty() { site.choose("alpha", set) } else { site.place("alpha", set) };
    choose("a")?;
    let set = site.path("usr/share/alpha/set");
    let merged = || -> Result<serde_json::Value> {
        let status: serde_json::Value = serde_json::from_str(&stock(&["status", "--json=short"])?)?;
        let rows = status.as_array().context("status is no list")?;
        let usr = rows.iter().find(|row| row["hierarchy"] == "/usr").context("no row for /usr")?;
        Ok(usr["extensions"].clone())
    };
    ensure!(!set.exists());
    site.refresh()?;
    // With --root= 252 looks for the marker of the running system.
    if options.is_empty() {
        let shown = merged()?;
        ensure!(shown == serde_json::json!(["alpha"]), "{shown}");
    }
    stock(&["unmerge"])?;
    ensure!(!set.exists() && site.overlays("usr")? == 0, "systemd does not take away what we merged");

    stock(&["merge"])?;
    let ours = merge::status(&Kernel, &site.paths)?;
    ensure!(ours.hierarchies[0].extensions == ["alpha"], "{ours:?}");
    ensure!(matches!(site.merge(), Err(MergeError::AlreadyMerged { .. })));
    expect(&site.unmerge()?, MergeOutcome::Unmerged)?;
    ensure!(!set.exists() && site.overlays("usr")? == 0, "we do not take away what systemd merged");

    stock(&["merge"])?;
    choose("b")?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    ensure!(fs::read_to_string(&set)? == "b" && site.overlays("usr")? == 1);
    choose("a")?;
    stock(&["refresh"])?;
    ensure!(fs::read_to_string(&set)? == "a" && site.overlays("usr")? == 1);
    site.unmerge()?;
    Ok(())
}

pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}
