//! Which extensions are merged, which are not, and which mounts are kept.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount, umount};
use sysext_manifests::hint::Hint as _;
use sysupdate::host::mounts::Mounts as _;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge::quarantine::{HostKind, QuarantineReason, Unsupported};
use sysupdate::merge::report::{MergeOutcome, MergeReport};
use sysupdate::merge::{self, MergeError, Options, Policy};

use crate::site::{self, Site, expect};
use crate::stock::run;
use crate::swaps::{choose_set, offer_sets};

pub(crate) fn comes_and_goes() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    let bare = site.mounts()?;
    ensure!(site.refresh()?.hierarchies == [Path::new("/usr"), Path::new("/opt")]);
    ensure!(site.read("usr/share/alpha/set")? == "a" && site.path("opt/host").is_dir());
    ensure!(site.overlays("usr")? == 1 && site.overlays("opt")? == 1);
    ensure!(matches!(site.merge(), Err(MergeError::AlreadyMerged { .. })));

    let marker = |file: &str| site.read(&format!("usr/.systemd-sysext/{file}"));
    ensure!(marker("extensions")? == "alpha\nbeta\n");
    ensure!(marker("extensions")? == site.read("opt/.systemd-sysext/extensions")?);
    let origin: serde_json::Value = serde_json::from_str(&marker("origin")?)?;
    ensure!(origin["extensions"]["alpha"]["path"] == "/var/lib/images/alpha-a-x86-64.raw", "{origin}");
    let status = merge::status(&Kernel, &site.paths)?;
    ensure!(status.hierarchies.iter().all(|one| one.extensions == ["alpha", "beta"] && one.since.is_some()));

    let before = marker("dev")?;
    let unchanged = site.refresh()?;
    expect(&unchanged, MergeOutcome::Unchanged)?;
    ensure!(unchanged.extensions.len() == 2 && marker("dev")? == before, "{unchanged}");
    println!("unchanged in {:?}", unchanged.took);
    expect(&site.refresh_always()?, MergeOutcome::Refreshed)?;
    ensure!(marker("dev")? != before, "the same overlay");

    // No extension contains /opt any more.
    site.offer("alpha", "c", &[("usr/share/alpha/set", "c")])?;
    let report = site.refresh()?;
    expect(&report, MergeOutcome::Refreshed)?;
    ensure!(report.hierarchies == [Path::new("/usr")] && site.overlays("opt")? == 0, "{report}");
    ensure!(report.extensions[0].version.as_ref().is_some_and(|version| version.as_str() == "c"), "{report}");

    // An image that was overwritten in place, with the same name and size.
    site.bake("alpha", "c", &[("usr/share/alpha/set", "d")])?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    ensure!(site.read("usr/share/alpha/set")? == "d");

    // A directory becomes a file: files of the old merge do not count as the host's.
    site.offer("alpha", "d", &[("usr/share/alpha/set/x", "d")])?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    site.offer("alpha", "e", &[("usr/share/alpha/set", "e")])?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    ensure!(site.read("usr/share/alpha/set")? == "e");

    // A directory deep in which something changes.
    let tree = site.path("var/lib/extensions/tree/usr");
    fs::create_dir_all(tree.join("lib/extension-release.d"))?;
    fs::write(
        tree.join("lib/extension-release.d/extension-release.tree"),
        "ID=_any\nEXTENSION_RELOAD_MANAGER=1\n",
    )?;
    fs::create_dir_all(tree.join("share/tree"))?;
    fs::write(tree.join("share/tree/x"), "1")?;
    ensure!(site.refresh()?.reload == ["tree"]);
    expect(&site.refresh()?, MergeOutcome::Unchanged)?;
    fs::write(tree.join("share/tree/y"), "2")?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    ensure!(site.read("usr/share/tree/y")? == "2");

    // Masked by an empty directory with higher priority.
    fs::create_dir_all(site.path("etc/extensions/beta"))?;
    std::os::unix::fs::symlink("/dev/null", {
        fs::create_dir_all(site.path("run/extensions"))?;
        site.path("run/extensions/tree")
    })?;
    let report = site.refresh()?;
    ensure!(report.extensions.len() == 1 && report.reload == ["tree"], "{report}");
    fs::create_dir_all(site.path("etc/extensions/alpha"))?;
    expect(&site.refresh()?, MergeOutcome::Unmerged)?;
    expect(&site.refresh()?, MergeOutcome::Unchanged)?;
    ensure!(site.mounts()? == bare);
    expect(&site.unmerge()?, MergeOutcome::Unchanged)
}

pub(crate) fn quarantines() -> Result<()> {
    let site = Site::new()?;
    site.offer("good", "1", &[("usr/bin/good", "good")])?;
    site.offer("collides", "1", &[("usr/bin/good", "other")])?;
    // In the order of the layers `collides` is first, so `good` is not merged.
    let report = site.refresh()?;
    ensure!(report.quarantined[0].name == "good" && site.read("usr/bin/good")? == "other", "{report}");
    site.offer("collides", "1", &[("usr/bin/collides", "other")])?;

    let extensions = site.path("var/lib/extensions");
    site.offer("masks", "1", &[("usr/sbin/x", "x")])?;
    site.offer("identity", "1", &[("usr/lib/os-release", "ID=other\n")])?;
    fs::write(extensions.join("garbage.raw"), "garbage")?;
    fs::write(extensions.join("empty.raw"), "")?;
    let mut cut = fs::read(site.bake("cut", "1", &[])?)?;
    cut.truncate(1100);
    fs::write(extensions.join("cut.raw"), cut)?;
    let mut ddi = vec![0; 8192];
    ddi[512..520].copy_from_slice(b"EFI PART");
    fs::write(extensions.join("ddi.raw"), ddi)?;
    fs::create_dir_all(extensions.join("versioned.raw.v"))?;
    std::os::unix::fs::symlink("/nowhere", extensions.join("dangling.raw"))?;
    fs::copy(site.bake("renamed-from", "1", &[])?, extensions.join("renamed.raw"))?;
    fs::write(extensions.join("README"), "not an extension")?;
    fs::write(extensions.join(".sysupdate.partial.x.raw"), "under way")?;

    let report = site.refresh()?;
    let reason = |name: &str| {
        let found = report.quarantined.iter().find(|one| one.name == name);
        found.map(|one| one.reason.clone()).with_context(|| format!("{name} was not left out"))
    };
    let not_read_yet = |what| QuarantineReason::NotSupported { what };
    ensure!(
        reason("masks")? == QuarantineReason::HidesHost { path: "/usr/sbin".into(), host: HostKind::Link }
    );
    ensure!(reason("identity")? == QuarantineReason::CarriesOsRelease);
    ensure!(
        reason("garbage")? == QuarantineReason::Superblock
            && reason("empty")? == QuarantineReason::Superblock
    );
    ensure!(matches!(reason("cut")?, QuarantineReason::Mount { .. } | QuarantineReason::Unreadable { .. }));
    ensure!(reason("ddi")? == not_read_yet(Unsupported::PartitionTable));
    ensure!(reason("versioned")? == not_read_yet(Unsupported::VersionedDirectory));
    ensure!(matches!(reason("dangling")?, QuarantineReason::Dangling { .. }));
    ensure!(reason("renamed")? == QuarantineReason::ReleaseName { found: vec!["renamed-from".into()] });
    ensure!(report.quarantined.len() == 9, "{report}");
    println!("{report}");
    let merged: Vec<&str> = report.extensions.iter().map(|one| one.name.as_str()).collect();
    ensure!(merged == ["collides", "good"] && site.read("usr/bin/good")? == "good", "{report}");

    // It is not read again to know that it cannot be merged.
    let again = site.refresh()?;
    ensure!(again.outcome == MergeOutcome::Unchanged && again.quarantined == report.quarantined, "{again}");
    ensure!(merge::status(&Kernel, &site.paths)?.quarantined == report.quarantined);

    let good = site.path("var/lib/images/good-1-x86-64.raw");
    let inside = site.paths.as_seen_inside(&good);
    let signed = Options { policy: Policy::Signed([inside].into()), ..Options::default() };
    let report = merge::refresh(&Kernel, &site.paths, &signed)?;
    ensure!(report.extensions.len() == 1, "{report}");
    ensure!(report.quarantined.iter().any(|one| one.reason == QuarantineReason::Unsigned), "{report}");
    let because = "needs what is not there".to_owned();
    let held = Options { hold_back: [("good".to_owned(), because.clone())].into(), ..Options::default() };
    let report = merge::refresh(&Kernel, &site.paths, &held)?;
    ensure!(
        report
            .quarantined
            .iter()
            .any(|one| one.reason == QuarantineReason::HeldBack { reason: because.clone() })
    );
    ensure!(!site.path("usr/bin/good").exists());
    site.unmerge()?;
    site.no_loop_device_is_left()
}

pub(crate) fn keeps_submounts() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    let point = site.mount_below_usr()?;
    fs::create_dir(point.join("nested"))?;
    mount(Some("nested"), &point.join("nested"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(point.join("nested/file"), "nested")?;
    let bare = site.mounts()?;
    expect(&site.refresh()?, MergeOutcome::Merged)?;
    ensure!(site.read("usr/share/mnt/nested/file")? == "nested");
    let once = |key: &str| {
        Ok::<_, anyhow::Error>(site.mounts()?.get(&format!("{} tmpfs {key}", point.display())) == Some(&1))
    };
    ensure!(once("below")?, "mounted twice: {:#?}", site.mounts()?);

    // Mounted, and unmounted, while extensions are merged.
    let later = site.path("usr/bin");
    mount(Some("later"), &later, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(later.join("later"), "later")?;
    choose_set(&site, "b")?;
    expect(&site.refresh()?, MergeOutcome::Refreshed)?;
    ensure!(site.read("usr/bin/later")? == "later" && site.read("usr/share/mnt/file")? == "below");
    site.unmerge()?;
    ensure!(site.read("usr/bin/later")? == "later" && site.read("usr/share/mnt/nested/file")? == "nested");
    umount(&later)?;
    ensure!(site.read("usr/bin/base")? == "base");
    ensure!(site.mounts()? == bare, "{:#?}", site.mounts()?);
    Ok(())
}

pub(crate) fn refuses() -> Result<()> {
    let site = Site::new()?;
    offer_sets(&site)?;
    site.refresh()?;
    let merged = site.mounts()?;

    // A mount point that only the extension contains.
    site.offer("place", "1", &[("usr/share/place/x", "x")])?;
    site.refresh()?;
    let place = site.path("usr/share/place");
    mount(Some("place"), &place, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::remove_file(site.path("var/lib/extensions/place.raw"))?;
    let error = site.refresh().err().context("a mount was lost")?;
    ensure!(error.to_string().contains("usr/share/place") && error.hint().is_some(), "{error}");
    let error = site.unmerge().err().context("a mount was lost")?;
    ensure!(error.to_string().contains("usr/share/place"), "{error}");
    ensure!(site.overlays("usr")? == 1 && site.read("usr/share/alpha/set")? == "a");
    umount(&place)?;
    site.refresh()?;
    ensure!(site.mounts()? == merged);

    // A mount that the kernel does not copy.
    let point = site.mount_below_usr()?;
    mount(None::<&str>, &point, None::<&str>, MsFlags::MS_UNBINDABLE, None::<&str>)?;
    let error = site.refresh_always().err().context("a mount was lost")?;
    ensure!(error.to_string().contains("unbindable"), "{error}");
    umount(&point)?;
    site.refresh_always()?;

    // A foreign mount on top of ours.
    mount(Some("foreign"), &site.path("usr"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    for result in [site.refresh(), site.refresh_always(), site.unmerge()] {
        ensure!(matches!(result, Err(MergeError::Covered { .. })), "{result:?}");
    }
    umount(&site.path("usr"))?;
    ensure!(site.mounts()? == merged);

    // Without os-release, no extension matches.
    fs::remove_file(site.path("etc/os-release"))?;
    site.unmerge()?;
    fs::remove_file(site.path("usr/lib/os-release"))?;
    ensure!(matches!(site.refresh(), Err(MergeError::NoOsRelease { .. })));
    Ok(())
}

pub(crate) fn writes_beneath() -> Result<()> {
    let site = Site::new()?;
    let opt = site.path("opt");
    ensure!(Kernel.beneath(&opt)?.is_none(), "nothing is merged yet");
    offer_sets(&site)?;
    site.refresh()?;
    ensure!(fs::write(opt.join("new"), "").is_err(), "merged /opt can be written to");
    let mounted = site.mounts()?;
    let fd = Kernel.beneath(&opt)?.context("/opt is merged")?;
    let under = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    fs::create_dir(under.join("images"))?;
    fs::write(under.join("images/.new"), "new")?;
    fs::rename(under.join("images/.new"), under.join("images/new"))?;
    ensure!(!under.join("alpha").exists(), "the extension is seen beneath");
    ensure!(site.mounts()? == mounted, "to look beneath has changed the mounts");
    drop(fd);
    site.unmerge()?;
    ensure!(site.read("opt/images/new")? == "new");
    Ok(())
}

/// `/opt` is a link, as on hosts where only `/var` is writable.
pub(crate) fn images_below_opt() -> Result<()> {
    let site = Site::new()?;
    fs::create_dir_all(site.path("var/opt"))?;
    fs::remove_dir_all(site.path("opt"))?;
    std::os::unix::fs::symlink("/var/opt", site.path("opt"))?;
    reads_images_below_opt(&site, "var/opt")?;
    reads_images_below_opt(&Site::new()?, "opt")
}

fn reads_images_below_opt(site: &Site, opt_inside: &str) -> Result<()> {
    fs::create_dir_all(site.path(opt_inside).join("extensions"))?;
    let place = |set: &str| -> Result<()> {
        let image = site.bake("inopt", set, &[("usr/share/inopt", set), ("opt/inopt/x", set)])?;
        let opt = Kernel.beneath(&site.path(opt_inside))?;
        let opt = opt.as_ref().map_or_else(
            || site.path(opt_inside),
            |fd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())),
        );
        let link = site.path("var/lib/extensions/inopt.raw");
        fs::copy(image, opt.join(format!("extensions/inopt-{set}.raw")))?;
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        Ok(std::os::unix::fs::symlink(format!("/opt/extensions/inopt-{set}.raw"), link)?)
    };
    for (set, outcome) in
        [("1", MergeOutcome::Merged), ("2", MergeOutcome::Refreshed), ("3", MergeOutcome::Refreshed)]
    {
        place(set)?;
        expect(&site.refresh()?, outcome)?;
        ensure!(site.read("usr/share/inopt")? == set && site.read(&format!("{opt_inside}/inopt/x"))? == set);
        expect(&site.refresh()?, MergeOutcome::Unchanged)?;
    }
    site.unmerge()?;
    Ok(())
}

/// The target is 100 ms for 50 images, and 20 ms without changes. The limits here are for busy machines;
/// systemd takes 2.9 s for 50.
pub(crate) fn takes_many() -> Result<()> {
    for (count, limit) in [(3, 500), (10, 500), (50, 1500), (300, 20_000)] {
        let site = Site::new()?;
        let disk =
            tempfile::tempdir_in(std::env::current_exe()?.parent().context("a program is in a directory")?)?;
        site.images_on_disk(disk.path())?;
        for number in 0..count {
            let own: Vec<String> = (0..50).map(|file| format!("usr/share/many{number}/{file}")).collect();
            let files: Vec<(&str, &str)> = own.iter().map(|path| (path.as_str(), "x")).collect();
            site.offer(&format!("many{number}"), "1", &files)?;
        }
        let first = site.refresh()?;
        expect(&first, MergeOutcome::Merged)?;
        ensure!(first.extensions.len() == count);
        ensure!(site::loop_devices(disk.path())?.is_empty(), "a loop device where none is needed");
        let times = |refresh: &dyn Fn() -> Result<MergeReport, MergeError>| -> Result<Vec<Duration>> {
            let mut times = (0..9).map(|_| Ok(refresh()?.took)).collect::<Result<Vec<_>>>()?;
            times.sort();
            Ok(times)
        };
        let always = times(&|| site.refresh_always())?;
        let unchanged = times(&|| site.refresh())?;
        println!("{count}: first {:?}, refresh {:?}, unchanged {:?}", first.took, always[4], unchanged[4]);
        ensure!(always[4] < Duration::from_millis(limit), "{count} extensions: {always:?}");
        ensure!(count > 50 || unchanged[4] < Duration::from_millis(200), "{count} extensions: {unchanged:?}");
        site.unmerge()?;
    }
    Ok(())
}

pub(crate) fn squashfs() -> Result<()> {
    let site = Site::new()?;
    let make = |set: &str| -> Result<()> {
        let tree = site.path(&format!("var/tree-{set}"));
        fs::create_dir_all(tree.join("usr/lib/extension-release.d"))?;
        fs::write(tree.join("usr/lib/extension-release.d/extension-release.squash"), "ID=_any\n")?;
        fs::write(tree.join("usr/lib/squash"), set)?;
        let image = site.path(&format!("var/lib/images/squash-{set}-x86-64.raw"));
        run(Command::new("mksquashfs").arg(&tree).arg(&image).args(["-noappend", "-quiet", "-no-progress"]))?;
        site.choose("squash", set)
    };
    for (set, outcome) in
        [("1", MergeOutcome::Merged), ("2", MergeOutcome::Refreshed), ("3", MergeOutcome::Refreshed)]
    {
        make(set)?;
        expect(&site.refresh()?, outcome)?;
        ensure!(site.read("usr/lib/squash")? == set);
        ensure!(!site::loop_devices(&site.root)?.is_empty(), "no loop device");
    }
    site.unmerge()?;
    site.no_loop_device_is_left()
}
