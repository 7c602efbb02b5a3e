//! SIGKILL at every effect of an update's life, and a plain run afterwards.
//!
//! Each stage of the life is run once to the end, which names its points. Then, for every point, the
//! same start is laid out anew, the program is killed there, what is left is looked at as it is, and
//! the real program, run plainly, must arrive where the uninterrupted run did.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, umount2};
use sysext_manifests::digest::Sha256;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge;
use sysupdate::paths::Paths;
use tests::interrupt;
use tests::needs::{Need, Suite};
use tests::node::{Node, Publisher, Seen, Snapshot, image, leftovers, merged};
use tests::programs::program;

const INTERRUPTED: &str = env!("CARGO_BIN_EXE_interrupted");

/// The extension whose life is lived.
const NAME: &str = "demo";

/// More points than this are sampled: every distinct one, and of the others each so many-th.
const POINTS_MAX: usize = 150;

fn main() -> ExitCode {
    let needs = [Need::Filesystem("erofs"), Need::Filesystem("overlay"), Need::Kernel(6, 5)];
    let mut suite = Suite::new();
    for stage in &STAGES {
        suite.isolated(stage.name, &needs, || stage.live());
    }
    suite.run()
}

/// One stage of an extension's life.
struct Stage {
    name: &'static str,
    /// Versions that are installed, one after the other, before the stage begins.
    before: &'static [&'static str],
    /// The version that comes.
    coming: &'static str,
    health: Health,
    activate: Activate,
    /// The least number of points there must be: fewer would mean that some are not seen.
    points_min: usize,
}

/// How the version that comes is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Sick,
}

/// Whether versions are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activate {
    Refresh,
    None,
}

static STAGES: [Stage; 5] = [
    Stage {
        name: "fault_kill_in_first_install",
        before: &[],
        coming: "1",
        health: Health::Well,
        activate: Activate::Refresh,
        points_min: 60,
    },
    Stage {
        name: "fault_kill_in_update",
        before: &["1"],
        coming: "2",
        health: Health::Well,
        activate: Activate::Refresh,
        points_min: 60,
    },
    Stage {
        name: "fault_kill_in_update_with_return",
        before: &["1", "2"],
        coming: "3",
        health: Health::Sick,
        activate: Activate::Refresh,
        points_min: 80,
    },
    Stage {
        name: "fault_kill_in_first_install_with_return",
        before: &[],
        coming: "1",
        health: Health::Sick,
        activate: Activate::Refresh,
        points_min: 80,
    },
    Stage {
        name: "fault_kill_in_download_only",
        before: &["1", "2", "3"],
        coming: "4",
        health: Health::Well,
        activate: Activate::None,
        points_min: 40,
    },
];

/// A stage under way.
struct Scene<'a> {
    stage: &'a Stage,
    publisher: Publisher,
    /// Where every run works; laid out anew for each.
    node: Node,
    /// What is laid out there.
    start: PathBuf,
    log: PathBuf,
    real: PathBuf,
}

impl Stage {
    fn live(&'static self) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        let scene = Scene::new(self, scratch.path())?;

        scene.reset()?;
        let uninterrupted = scene.run(None)?;
        let expected_status = i32::from(self.health == Health::Sick);
        uninterrupted.ended(expected_status)?;
        let end = Snapshot::take(&scene.node.root)?;
        scene.is_tidy()?;
        ensure!(scene.merged()?.as_deref() == self.after(), "{:?} is merged", scene.merged()?);
        let points = scene.points()?;
        ensure!(points.len() >= self.points_min, "only {} points: {points:#?}", points.len());

        let chosen = choose(&points);
        for &number in &chosen {
            scene.kill(number, &points[number], &end).with_context(|| {
                format!("killed {} (point {} of {})", points[number], number + 1, points.len())
            })?;
        }
        scene.clear()?;
        println!("{}: {} points, {} killed at", self.name, points.len(), chosen.len());
        Ok(())
    }

    /// The version that is in use before.
    fn old(&self) -> Option<&'static str> {
        self.before.last().copied()
    }

    /// The version that is merged in the end.
    fn after(&self) -> Option<&'static str> {
        match (self.activate, self.health) {
            (Activate::None, _) => None,
            (Activate::Refresh, Health::Well) => Some(self.coming),
            (Activate::Refresh, Health::Sick) => self.old(),
        }
    }
}

/// Every point, or, of too many, every one that is named only here and a share of the rest.
fn choose(points: &[String]) -> Vec<usize> {
    let stride = points.len().div_ceil(POINTS_MAX);
    let mut seen = BTreeSet::new();
    let first = |number: &usize| seen.insert(&points[*number]);
    let distinct: BTreeSet<usize> = (0..points.len()).filter(first).collect();
    (0..points.len()).filter(|number| number % stride == 0 || distinct.contains(number)).collect()
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage, scratch: &Path) -> Result<Self> {
        let mut publisher = Publisher::new("example")?.today()?;
        let root = scratch.join("root");
        let real = program("sysupdate")?;
        let node = Node::at(&root, INTERRUPTED)?;
        node.trust(&publisher)?;
        let activate = match stage.activate {
            Activate::Refresh => "refresh",
            Activate::None => "none",
        };
        node.define(NAME, &publisher.transfer(NAME, &format!("Activate={activate}\n")))?;
        for version in stage.before {
            offer(&mut publisher, version, Health::Well)?;
            node.run_with(&real, &["update", "-C", NAME])?.well()?;
        }
        let scene =
            Self { stage, publisher, node, start: scratch.join("start"), log: scratch.join("log"), real };
        ensure!(scene.merged()?.is_some() == (stage.activate == Activate::Refresh && stage.old().is_some()));
        unmount(&scene.node.root)?;
        fs::rename(&root, &scene.start)?;
        let mut scene = scene;
        offer(&mut scene.publisher, stage.coming, stage.health)?;
        Ok(scene)
    }

    /// Lays out the start.
    fn reset(&self) -> Result<()> {
        self.clear()?;
        copy(&self.start, &self.node.root)?;
        if self.stage.activate == Activate::Refresh && self.stage.old().is_some() {
            merge::merge(&Kernel, &Paths::new(&self.node.root), &merge::Options::default())?;
        }
        ensure!(
            self.merged()?.is_some()
                == (self.stage.activate == Activate::Refresh && self.stage.old().is_some())
        );
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        if self.node.root.exists() {
            unmount(&self.node.root)?;
            fs::remove_dir_all(&self.node.root)?;
        }
        if self.log.exists() {
            fs::remove_file(&self.log)?;
        }
        Ok(())
    }

    /// Runs the program that dies at a point, or to the end.
    fn run(&self, at: Option<usize>) -> Result<Seen> {
        let mut command = self.node.command(&["update", "-C", NAME]);
        command.env(interrupt::LOG, &self.log);
        if let Some(number) = at {
            command.env(interrupt::AT, (number + 1).to_string());
        }
        self.node.see(command)
    }

    /// The points that the last run passed.
    fn points(&self) -> Result<Vec<String>> {
        Ok(fs::read_to_string(&self.log)?.lines().map(str::to_owned).collect())
    }

    fn merged(&self) -> Result<Option<String>> {
        merged(&self.node.root, NAME)
    }

    /// Kills at a point, looks, and runs again.
    fn kill(&self, number: usize, point: &str, end: &Snapshot) -> Result<()> {
        self.reset()?;
        let killed = self.run(Some(number))?;
        ensure!(killed.status.signal() == Some(9), "it was not killed: {killed}");
        let passed = self.points()?;
        ensure!(
            passed.len() == number + 1 && passed.last().map(String::as_str) == Some(point),
            "{passed:#?}"
        );
        self.is_sound()?;

        let again = self.node.run_with(&self.real, &["update", "-C", NAME])?;
        // Whether the sick version was judged before the kill or only now is all that may differ.
        let fine = again.status.code() == Some(0)
            || self.stage.health == Health::Sick && again.status.code() == Some(1);
        ensure!(fine && !again.stdout.contains("error: "), "the run afterwards: {again}");
        let found = Snapshot::take(&self.node.root)?;
        ensure!(found == *end, "not where the uninterrupted run ended:\n{}{again}", end.difference(&found));
        self.is_tidy()
    }

    /// What holds at every instant.
    fn is_sound(&self) -> Result<()> {
        let Stage { coming, activate, .. } = self.stage;
        let old = self.stage.old();
        let root = &self.node.root;

        let now = self.merged()?;
        let allowed = match activate {
            Activate::None => [None, None],
            Activate::Refresh => [old, Some(*coming)],
        };
        ensure!(allowed.contains(&now.as_deref()), "{now:?} is merged");
        ensure!(root.join("usr/lib/os-release").is_file(), "the host's own files are gone");
        if let Some(version) = &now {
            let ballast = fs::read(root.join("usr/share").join(NAME).join("ballast"))?;
            ensure!(ballast.iter().all(|byte| version.as_bytes().contains(byte)), "of two versions");
            ensure!(root.join("usr/bin").join(format!("{NAME}-check")).is_file(), "only half is merged");
        }

        let images = root.join("var/lib/sysupdate/images").join(NAME);
        for name in self.node.names(&format!("var/lib/sysupdate/images/{NAME}"))? {
            if !name.starts_with('.') {
                let genuine = Sha256::of(&fs::read(self.publisher.path(NAME).join(&name))?);
                ensure!(
                    Sha256::of(&fs::read(images.join(&name))?) == genuine,
                    "{name} is not what it should be"
                );
            }
        }
        // The active version is the last good one in every stage.
        let in_use = self.node.in_use(NAME)?;
        if let Some(old) = old {
            ensure!(images.join(Publisher::file(NAME, old)?).is_file(), "{old}, the last good one, is gone");
            ensure!(in_use.is_some(), "no version is in use");
        }
        if let Some(name) = in_use {
            let mut known = [old, Some(*coming)].into_iter().flatten();
            let known = known.any(|version| Publisher::file(NAME, version).is_ok_and(|file| file == name));
            ensure!(known, "{name} is in use");
        }
        Ok(())
    }

    /// What holds after every complete run.
    fn is_tidy(&self) -> Result<()> {
        let left = leftovers(&self.node.root)?;
        ensure!(left.is_empty(), "left over: {left:?}");
        Ok(())
    }
}

fn offer(publisher: &mut Publisher, version: &str, health: Health) -> Result<()> {
    let image = match health {
        Health::Well => image::with_check(NAME, version, 0)?,
        // One that fails would be tried again and again; this one is judged at once.
        Health::Sick => image::with_broken_check(NAME, version)?,
    };
    publisher.offer(NAME, version, image)?.health = vec![format!("exec:/usr/bin/{NAME}-check")];
    publisher.issue()
}

/// Takes away whatever is mounted at the hierarchies, however much it is.
fn unmount(root: &Path) -> Result<()> {
    for hierarchy in ["usr", "opt"] {
        let path = root.join(hierarchy);
        while umount2(&path, MntFlags::MNT_DETACH).is_ok() {}
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
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
