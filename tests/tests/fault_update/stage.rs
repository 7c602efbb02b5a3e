//! One stage of a component: its extensions and the expected result.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sysext_image::tree::Metadata;
use tests::node::{Node, Publisher, Snapshot, image};

use crate::scene::Scene;
use crate::{FEATURE, NAME, TWICE_STRIDE};

/// One stage of a component.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// The extensions of the component.
    pub(crate) extensions: &'static [&'static str],
    /// The extension whose feature is disabled when the stage begins.
    pub(crate) dropped: Option<&'static str>,
    pub(crate) layout: Layout,
    /// Versions that are installed, one after another, before the stage begins.
    pub(crate) before: &'static [&'static str],
    /// The version to install.
    pub(crate) coming: &'static str,
    pub(crate) health: Health,
    pub(crate) activate: Activate,
    /// The least number of points: fewer would mean that some are not seen.
    pub(crate) points_min: usize,
}

/// The directories of the images and links.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Our default.
    Ours,
    /// In `/opt` with links in `/etc`, while another extension covers `/opt`.
    Opt,
    /// Our default, but the removed extension is in `/var/lib/extensions` itself.
    ByName,
}

/// Properties of the version to install.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Unhealthy,
}

/// Whether versions are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activate {
    Refresh,
    None,
}

impl Stage {
    pub(crate) fn live(&'static self) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        // In memory, because syncing to disk would take most of the time, and a kill does not need it. Images
        // in memory are mounted through loop devices.
        let in_memory = File::options().write(true).open("/dev/loop-control").is_ok();
        if in_memory {
            let none = None::<&str>;
            mount(Some("tmpfs"), scratch.path(), Some("tmpfs"), MsFlags::empty(), none)?;
        }
        let lived = self.live_in(scratch.path());
        if in_memory {
            umount2(scratch.path(), MntFlags::MNT_DETACH)?;
        }
        lived
    }

    pub(crate) fn live_in(&'static self, scratch: &Path) -> Result<()> {
        let scene = Scene::new(self, scratch)?;

        scene.reset()?;
        let uninterrupted = scene.run(None)?;
        let expected_status = i32::from(self.health == Health::Unhealthy);
        uninterrupted.ended(expected_status)?;
        let end = Snapshot::take(&scene.node.root)?;
        scene.is_tidy()?;
        ensure!(scene.merged()?.as_deref() == self.after(), "{:?} is merged", scene.merged()?);
        let points = scene.points()?;
        ensure!(points.len() >= self.points_min, "only {} points: {points:#?}", points.len());

        for number in 0..points.len() {
            let context = || format!("killed {} (point {} of {})", points[number], number + 1, points.len());
            scene.kill(number, &points[number], None, &end).with_context(context)?;
        }
        let twice: Vec<_> = (0..points.len()).step_by(TWICE_STRIDE).collect();
        for &number in &twice {
            // Visits all points in large steps, whatever their number is.
            let second = number * 7 % points.len();
            let context = || format!("killed {} and then at point {}", points[number], second + 1);
            scene.kill(number, &points[number], Some(second), &end).with_context(context)?;
        }
        scene.clear()?;
        println!("{}: killed at {} points, and at {} twice", self.name, points.len(), twice.len());
        Ok(())
    }

    /// The active version before the stage.
    pub(crate) fn old(&self) -> Option<&'static str> {
        self.before.last().copied()
    }

    /// The merged version before the stage.
    pub(crate) fn merged_before(&self) -> Option<&'static str> {
        self.old().filter(|_| self.activate == Activate::Refresh)
    }

    /// The merged version after the stage.
    pub(crate) fn after(&self) -> Option<&'static str> {
        match (self.activate, self.health) {
            (Activate::None, _) => None,
            (Activate::Refresh, Health::Healthy) => Some(self.coming),
            (Activate::Refresh, Health::Unhealthy) => self.old(),
        }
    }

    /// Whether an extension is merged under its file name, without a link.
    pub(crate) fn goes_by_name(&self, name: &str) -> bool {
        self.layout == Layout::ByName && self.dropped == Some(name)
    }

    /// The directory of an extension's images, relative to the root.
    pub(crate) fn images(&self, name: &str) -> String {
        match self.layout {
            Layout::ByName if self.goes_by_name(name) => "var/lib/extensions".to_owned(),
            Layout::Ours | Layout::ByName => format!("var/lib/sysupdate/images/{name}"),
            Layout::Opt => format!("opt/extensions/{name}"),
        }
    }

    /// The link to the active image, relative to the root.
    pub(crate) fn link(&self, name: &str) -> String {
        match self.layout {
            Layout::Ours | Layout::ByName => format!("var/lib/extensions/{name}.raw"),
            Layout::Opt => format!("etc/extensions/{name}.raw"),
        }
    }

    pub(crate) fn definition(&self, publisher: &Publisher, name: &str) -> String {
        let activate = match self.activate {
            Activate::Refresh => "Activate=refresh\n",
            Activate::None => "Activate=none\n",
        };
        let mut definition = publisher.transfer_into(name, &format!("/{}", self.images(name)), activate);
        if self.dropped == Some(name) {
            definition = format!("[Transfer]\nFeatures={FEATURE}\n{definition}");
        }
        let link = format!("/var/lib/extensions/{name}.raw");
        if self.goes_by_name(name) {
            return definition.replace(&format!("CurrentSymlink={link}\n"), "");
        }
        definition.replace(&link, &format!("/{}", self.link(name)))
    }

    /// The drop-in that enables or disables the feature.
    pub(crate) fn feature(&self, node: &Node, enabled: bool) -> Result<()> {
        let text = format!("[Feature]\nEnabled={enabled}\n");
        node.write(&format!("etc/sysupdate.{NAME}.d/{FEATURE}.feature"), text)
    }

    /// The extensions that are kept.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &'static str> {
        self.extensions.iter().copied().filter(|name| self.dropped != Some(name))
    }

    pub(crate) fn offer(&self, publisher: &mut Publisher, version: &str, health: Health) -> Result<()> {
        for name in self.extensions {
            if self.goes_by_name(name) {
                // Merged under its file name, without a link that the checks of the catalog could use.
                let mut tree = image::tree(name, version)?;
                let file = Publisher::file(name, version)?;
                let release = format!("extension-release.{}", file.trim_end_matches(".raw"));
                let release = format!("usr/lib/extension-release.d/{release}");
                tree.insert_bytes(release, "ID=_any\n", Metadata::new(0o644))?;
                tree.insert_bytes(format!("usr/bin/{name}-check"), "", Metadata::new(0o755))?;
                publisher.offer(name, version, image::bytes(&tree)?)?;
                continue;
            }
            let image = match health {
                Health::Healthy => image::with_check(name, version, 0)?,
                // A check that fails would be repeated; this one fails at once.
                Health::Unhealthy => image::with_broken_check(name, version)?,
            };
            publisher.offer(name, version, image)?.health =
                vec![format!("exec:/usr/bin/{name}-check").parse()?];
        }
        publisher.issue()
    }
}
