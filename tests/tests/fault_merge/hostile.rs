//! Images that hide files of the host, and a root with links that lead out of it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use anyhow::{Context as _, Result, ensure};
use sysext_image::entry::{Device, Special};
use sysext_image::tree::Metadata;
use sysupdate::merge::quarantine::QuarantineReason;
use sysupdate::merge::report::{MergeOutcome, Warning};
use tests::node::image;

use crate::site::{Site, expect};

/// An opaque directory, a whiteout and a directory that only root may read: each hides files of the host.
pub(crate) fn quarantines_what_hides_the_host() -> Result<()> {
    let site = Site::new()?;
    site.offer("good", "1", &[("usr/bin/good", "good")])?;
    let offer = |name: &str, change: &dyn Fn(&mut sysext_image::Tree) -> Result<()>| -> Result<()> {
        let mut tree = image::tree(name, "1")?;
        change(&mut tree)?;
        Ok(fs::write(site.path(&format!("var/lib/extensions/{name}.raw")), image::bytes(&tree)?)?)
    };
    let directory = Metadata::new(0o755);
    offer("opaque", &|tree| {
        Ok(tree.insert_directory("usr/bin", directory.clone().xattr("trusted.overlay.opaque", "y"))?)
    })?;
    offer("user", &|tree| {
        Ok(tree.insert_directory("usr/bin", directory.clone().xattr("user.overlay.opaque", "y"))?)
    })?;
    offer("whiteout", &|tree| {
        let device = Special::Character(Device { major: 0, minor: 0 });
        Ok(tree.insert_special("usr/bin/base", device, Metadata::new(0o644))?)
    })?;
    offer("closed", &|tree| Ok(tree.insert_directory("usr/bin", Metadata::new(0o700))?))?;
    let mut owned = Metadata::new(0o755);
    owned.uid = 1000;
    offer("owned", &|tree| Ok(tree.insert_directory("usr/share", owned.clone())?))?;

    let report = site.refresh()?;
    println!("{report}");
    let reason = |name: &str| {
        let found = report.quarantined.iter().find(|one| one.name == name);
        found.map(|one| one.reason.clone()).with_context(|| format!("{name} was not left out: {report}"))
    };
    let attribute =
        |name: &str| QuarantineReason::OverlayAttribute { path: "/usr/bin".into(), name: name.to_owned() };
    ensure!(reason("opaque")? == attribute("trusted.overlay.opaque"));
    ensure!(reason("user")? == attribute("user.overlay.opaque"));
    ensure!(reason("whiteout")? == QuarantineReason::Whiteout { path: "/usr/bin/base".into() });
    ensure!(matches!(reason("closed")?, QuarantineReason::TakesRight { mode: 0o700, .. }));
    ensure!(report.quarantined.len() == 4, "{report}");
    ensure!(
        matches!(&report.warnings[..], [Warning::Directory { extension, others: 0, .. }] if extension == "owned"),
        "{report}"
    );
    ensure!(site.read("usr/bin/base")? == "base" && site.read("usr/bin/good")? == "good");
    let mode = fs::metadata(site.path("usr/bin"))?.permissions().mode() & 0o7777;
    ensure!(mode == 0o755 && fs::metadata(site.path("usr/share"))?.uid() == 1000, "{mode:o}");
    Ok(())
}

/// `/run` and `/opt` are absolute links, whose targets exist outside of the root too.
pub(crate) fn stays_below_its_root() -> Result<()> {
    let outside = tempfile::tempdir()?;
    let outside = outside.path().canonicalize()?;
    let inside = outside.strip_prefix("/")?.to_str().context("a temporary directory is UTF-8")?.to_owned();
    let site = Site::new()?;
    for name in ["run", "opt"] {
        fs::remove_dir_all(site.path(name))?;
        fs::create_dir(outside.join(name))?;
        symlink(outside.join(name), site.path(name))?;
    }
    site.offer("alpha", "1", &[("usr/share/alpha/set", "1"), ("opt/alpha/set", "1")])?;
    expect(&site.refresh()?, MergeOutcome::Merged)?;
    ensure!(site.path(&format!("{inside}/run/sysupdate/staging")).is_dir(), "the links are not followed");
    ensure!(site.read(&format!("{inside}/opt/alpha/set"))? == "1");
    expect(&site.unmerge()?, MergeOutcome::Unmerged)?;
    for name in ["run", "opt"] {
        let found = fs::read_dir(outside.join(name))?.count();
        ensure!(found == 0, "{found} files were created in {name} outside of the root");
    }
    Ok(())
}
