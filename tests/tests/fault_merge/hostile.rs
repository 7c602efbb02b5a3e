//! Images that hide files of the host.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::{Context as _, Result, ensure};
use sysext_image::entry::{Device, Special};
use sysext_image::tree::Metadata;
use sysupdate::merge::quarantine::QuarantineReason;
use sysupdate::merge::report::Warning;
use tests::node::image;

use crate::site::Site;

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
