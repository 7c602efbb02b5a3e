//! Runs a stage: creates the start, runs, kills, and checks.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};
use sysext_image::tree::Metadata;
use sysext_manifests::digest::Sha256;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge;
use sysupdate::paths::Paths;
use tests::interrupt;
use tests::node::{Node, Publisher, Seen, Snapshot, image, leftovers, merged};
use tests::programs::program;

use crate::stage::{Activate, Health, Layout, Stage};
use crate::{INTERRUPTED, NAME};

/// A stage that runs.
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) publisher: Publisher,
    /// The root of every run; created again for each.
    pub(crate) node: Node,
    /// The content of the root at the start.
    pub(crate) start: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) real: PathBuf,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(stage: &'a Stage, scratch: &Path) -> Result<Self> {
        let mut publisher = Publisher::new("example")?.today()?;
        let root = scratch.join("root");
        let real = program("sysupdate")?;
        let node = Node::at(&root, INTERRUPTED)?;
        node.trust(&publisher)?;
        for name in stage.extensions {
            let definition = stage.definition(&publisher, name);
            node.write(&format!("etc/sysupdate.{NAME}.d/{name}.transfer"), definition)?;
        }
        if stage.layout == Layout::Opt {
            let mut tree = image::tree("tools", "1")?;
            tree.insert_bytes("opt/tools/word", "tools", Metadata::new(0o644))?;
            node.write("var/lib/extensions/tools.raw", image::bytes(&tree)?)?;
        }
        stage.feature(&node, true)?;
        for version in stage.before {
            stage.offer(&mut publisher, version, Health::Healthy)?;
            node.run_with(&real, &["update", "-C", NAME])?.well()?;
        }
        let scene =
            Self { stage, publisher, node, start: scratch.join("start"), log: scratch.join("log"), real };
        ensure!(scene.merged()?.as_deref() == stage.merged_before());
        stage.feature(&scene.node, stage.dropped.is_none())?;
        unmount(&scene.node.root)?;
        fs::rename(&root, &scene.start)?;
        let mut scene = scene;
        if stage.old() != Some(stage.coming) {
            stage.offer(&mut scene.publisher, stage.coming, stage.health)?;
        }
        Ok(scene)
    }

    /// Creates the start.
    pub(crate) fn reset(&self) -> Result<()> {
        self.clear()?;
        copy(&self.start, &self.node.root)?;
        if self.stage.merged_before().is_some() {
            merge::merge(&Kernel, &Paths::new(&self.node.root), &merge::Options::default())?;
        }
        ensure!(self.merged()?.as_deref() == self.stage.merged_before());
        Ok(())
    }

    pub(crate) fn clear(&self) -> Result<()> {
        if self.node.root.exists() {
            unmount(&self.node.root)?;
            fs::remove_dir_all(&self.node.root)?;
        }
        if self.log.exists() {
            fs::remove_file(&self.log)?;
        }
        Ok(())
    }

    /// Runs the program up to a point, or to the end.
    pub(crate) fn run(&self, at: Option<usize>) -> Result<Seen> {
        let mut command = self.node.command(&["update", "-C", NAME]);
        command.env(interrupt::LOG, &self.log);
        if let Some(number) = at {
            command.env(interrupt::AT, (number + 1).to_string());
        }
        self.node.see(command)
    }

    /// The points of the last run.
    pub(crate) fn points(&self) -> Result<Vec<String>> {
        Ok(fs::read_to_string(&self.log)?.lines().map(str::to_owned).collect())
    }

    /// The merged version, which is the same for all extensions.
    pub(crate) fn merged(&self) -> Result<Option<String>> {
        let version = merged(&self.node.root, NAME)?;
        for name in self.stage.staying() {
            let other = merged(&self.node.root, name)?;
            ensure!(other == version, "{version:?} of {NAME} is merged with {other:?} of {name}");
        }
        Ok(version)
    }

    /// Kills at a point, checks, optionally kills the next run too, and runs again.
    pub(crate) fn kill(
        &self,
        number: usize,
        point: &str,
        second: Option<usize>,
        end: &Snapshot,
    ) -> Result<()> {
        self.reset()?;
        let killed = self.run(Some(number))?;
        ensure!(killed.status.signal() == Some(9), "it was not killed: {killed}");
        let passed = self.points()?;
        ensure!(
            passed.len() == number + 1 && passed.last().map(String::as_str) == Some(point),
            "{passed:#?}"
        );
        self.is_sound()?;
        if let Some(second) = second {
            // It may have less to do than a whole run, and then it ends.
            self.run(Some(second))?;
            self.is_sound()?;
        }

        let judged = self.is_judged()?;
        let again = self.node.run_with(&self.real, &["update", "-C", NAME])?;
        // The run that rolls back reports it, whichever run activated the version.
        let status = i32::from(self.stage.health == Health::Unhealthy && !judged);
        let again = again.ended(status).context("the run afterwards")?;
        let news = if status == 0 { "" } else { "rolled back " };
        ensure!(
            again.stdout.contains(news) && !again.stderr.contains("error: "),
            "the run afterwards: {again}"
        );
        let found = Snapshot::take(&self.node.root)?;
        ensure!(found == *end, "not where the uninterrupted run ended:\n{}{again}", end.difference(&found));
        self.is_tidy()
    }

    /// Whether the record contains the failed version.
    pub(crate) fn is_judged(&self) -> Result<bool> {
        let path = self.node.path(&format!("var/lib/sysupdate/extensions/{NAME}.json"));
        if !path.exists() {
            return Ok(false);
        }
        let record = self.node.record(NAME)?;
        let history = record["history"].as_array().context("no history")?;
        Ok(history.iter().any(|event| event["event"] == "rolled-back"))
    }

    /// Requirements at every instant.
    pub(crate) fn is_sound(&self) -> Result<()> {
        let root = &self.node.root;
        let now = self.merged()?;
        let allowed = match self.stage.activate {
            Activate::None => [None, None],
            Activate::Refresh => [self.stage.old(), Some(self.stage.coming)],
        };
        ensure!(allowed.contains(&now.as_deref()), "{now:?} is merged");
        ensure!(root.join("usr/lib/os-release").is_file(), "the host's own files are gone");
        let tools = fs::read_to_string(root.join("opt/tools/word")).is_ok();
        ensure!(tools == (self.stage.layout == Layout::Opt), "the other extension is gone");
        if let Some(name) = self.stage.dropped {
            self.is_going(name).with_context(|| name.to_owned())?;
        }
        self.stage.staying().try_for_each(|name| {
            self.is_whole(name, now.as_deref())
                .and_then(|()| self.is_kept(name))
                .with_context(|| name.to_owned())
        })
    }

    /// A removed extension is merged completely or not at all, and its files exist as long as it is merged:
    /// they tell the next run that there is something left to remove.
    pub(crate) fn is_going(&self, name: &str) -> Result<()> {
        let now = merged(&self.node.root, name)?;
        ensure!(now.is_none() || now.as_deref() == self.stage.old(), "{now:?} is merged");
        self.is_whole(name, now.as_deref())?;
        let files = self.node.names(&self.stage.images(name))?;
        let link = self.node.path(&self.stage.link(name));
        ensure!(!link.is_symlink() || link.exists(), "the link leads nowhere");
        let left = files.iter().any(|file| file.contains(&format!("{name}-")));
        ensure!(left || now.is_none(), "its files are gone, and it is merged: {files:?}");
        Ok(())
    }

    /// The merged files of an extension are of one version.
    pub(crate) fn is_whole(&self, name: &str, version: Option<&str>) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        let usr = self.node.path("usr");
        let ballast = fs::read(usr.join("share").join(name).join("ballast"))?;
        ensure!(ballast.iter().all(|byte| version.as_bytes().contains(byte)), "of two versions");
        ensure!(usr.join("bin").join(format!("{name}-check")).is_file(), "only half is merged");
        Ok(())
    }

    /// Files with a final name have the published bytes, and the previous version is installed.
    pub(crate) fn is_kept(&self, name: &str) -> Result<()> {
        let (images, published) = (self.node.path(&self.stage.images(name)), self.publisher.path(name));
        for file in self.node.names(&self.stage.images(name))? {
            if !file.starts_with('.') {
                let genuine = Sha256::of(&fs::read(published.join(&file))?);
                ensure!(
                    Sha256::of(&fs::read(images.join(&file))?) == genuine,
                    "{file} is not what it should be"
                );
            }
        }
        // The previous version is the last healthy one in every stage.
        let link = self.node.path(&self.stage.link(name));
        if let Some(old) = self.stage.old() {
            ensure!(images.join(Publisher::file(name, old)?).is_file(), "{old}, the last good one, is gone");
            ensure!(link.is_symlink(), "no version is in use");
        }
        if link.is_symlink() {
            let file = fs::canonicalize(&link).context("the link leads nowhere")?;
            let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut known = [self.stage.old(), Some(self.stage.coming)].into_iter().flatten();
            let known = known.any(|version| Publisher::file(name, version).is_ok_and(|known| known == file));
            ensure!(known, "{file} is in use");
        }
        Ok(())
    }

    /// Requirements after every complete run.
    pub(crate) fn is_tidy(&self) -> Result<()> {
        let left = leftovers(&self.node.root)?;
        ensure!(left.is_empty(), "left over: {left:?}");
        if let Some(name) = self.stage.dropped {
            let files = self.node.names(&self.stage.images(name))?;
            let file = files.iter().find(|file| file.starts_with(&format!("{name}-")));
            ensure!(file.is_none(), "{file:?} is still there");
            ensure!(!self.node.path(&self.stage.link(name)).is_symlink(), "its link is still there");
            ensure!(merged(&self.node.root, name)?.is_none(), "it is still merged");
        }
        Ok(())
    }
}

/// Unmounts everything at the hierarchies.
pub(crate) fn unmount(root: &Path) -> Result<()> {
    for hierarchy in ["usr", "opt"] {
        let path = root.join(hierarchy);
        while umount2(&path, MntFlags::MNT_DETACH).is_ok() {}
    }
    Ok(())
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}
