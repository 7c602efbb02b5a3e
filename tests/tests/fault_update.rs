//! SIGKILL at every effect of an update's life, and a plain run afterwards.
//!
//! Each stage of the life is run once to the end, which names its points. Then, for every point, the
//! same start is laid out anew, the program is killed there, what is left is looked at as it is, and
//! the real program, run plainly, must arrive where the uninterrupted run did. A second round kills
//! the run afterwards as well, somewhere else.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sysext_image::tree::Metadata;
use sysext_manifests::digest::Sha256;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge;
use sysupdate::paths::Paths;
use tests::interrupt;
use tests::needs::{Need, Suite};
use tests::node::{Node, Publisher, Seen, Snapshot, image, leftovers, merged};
use tests::programs::program;

const INTERRUPTED: &str = env!("CARGO_BIN_EXE_interrupted");

/// The component whose life is lived.
const NAME: &str = "demo";

/// Of how many points one is killed at in the round that kills twice.
const TWICE_STRIDE: usize = 3;

fn main() -> ExitCode {
    let needs = [Need::Filesystem("erofs"), Need::Filesystem("overlay"), Need::Kernel(6, 5)];
    let mut suite = Suite::new();
    for stage in &STAGES {
        suite.isolated(stage.name, &needs, || stage.live());
    }
    suite.run()
}

/// One stage of a component's life.
struct Stage {
    name: &'static str,
    /// What the component consists of.
    extensions: &'static [&'static str],
    /// The one of them whose feature is off when the stage begins.
    dropped: Option<&'static str>,
    layout: Layout,
    /// Versions that are installed, one after the other, before the stage begins.
    before: &'static [&'static str],
    /// The version that comes.
    coming: &'static str,
    health: Health,
    activate: Activate,
    /// The least number of points there must be: fewer would mean that some are not seen.
    points_min: usize,
}

/// Where things are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Our default.
    Ours,
    /// In `/opt` with links in `/etc`, while another extension covers `/opt`.
    Opt,
    /// Our default, but for what is dropped: that lies in `/var/lib/extensions` itself.
    ByName,
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

const UPDATE: Stage = Stage {
    name: "fault_kill_in_update",
    extensions: &[NAME],
    dropped: None,
    layout: Layout::Ours,
    before: &["1"],
    coming: "2",
    health: Health::Well,
    activate: Activate::Refresh,
    points_min: 80,
};

static STAGES: [Stage; 11] = [
    Stage { name: "fault_kill_in_first_install", before: &[], coming: "1", ..UPDATE },
    UPDATE,
    Stage {
        name: "fault_kill_in_update_with_return",
        before: &["1", "2"],
        coming: "3",
        health: Health::Sick,
        points_min: 100,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_first_install_with_return",
        before: &[],
        coming: "1",
        health: Health::Sick,
        points_min: 90,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_download_only",
        before: &["1", "2", "3"],
        coming: "4",
        activate: Activate::None,
        points_min: 70,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_update_of_two_files",
        extensions: &[NAME, "notes"],
        points_min: 120,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_return_of_two_files",
        extensions: &[NAME, "notes"],
        health: Health::Sick,
        points_min: 140,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_update_while_opt_is_merged",
        layout: Layout::Opt,
        health: Health::Sick,
        points_min: 100,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_update_that_drops_a_file",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        points_min: 90,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_drop_alone",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        coming: "1",
        points_min: 20,
        ..UPDATE
    },
    Stage {
        name: "fault_kill_in_drop_without_a_link",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        layout: Layout::ByName,
        coming: "1",
        points_min: 20,
        ..UPDATE
    },
];

/// The feature of what is dropped.
const FEATURE: &str = "extra";

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
        // Most of the time would go into making bytes survive a power cut, which no kill is. What lies in
        // memory is mounted through loop devices.
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

    fn live_in(&'static self, scratch: &Path) -> Result<()> {
        let scene = Scene::new(self, scratch)?;

        scene.reset()?;
        let uninterrupted = scene.run(None)?;
        let expected_status = i32::from(self.health == Health::Sick);
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
            // Strides through all points, however many there are.
            let second = number * 7 % points.len();
            let context = || format!("killed {} and then at point {}", points[number], second + 1);
            scene.kill(number, &points[number], Some(second), &end).with_context(context)?;
        }
        scene.clear()?;
        println!("{}: killed at {} points, and at {} twice", self.name, points.len(), twice.len());
        Ok(())
    }

    /// The version that is in use before.
    fn old(&self) -> Option<&'static str> {
        self.before.last().copied()
    }

    /// The version that is merged before.
    fn merged_before(&self) -> Option<&'static str> {
        self.old().filter(|_| self.activate == Activate::Refresh)
    }

    /// The version that is merged in the end.
    fn after(&self) -> Option<&'static str> {
        match (self.activate, self.health) {
            (Activate::None, _) => None,
            (Activate::Refresh, Health::Well) => Some(self.coming),
            (Activate::Refresh, Health::Sick) => self.old(),
        }
    }

    /// Whether an extension is merged under the name of its file, without a link.
    fn goes_by_name(&self, name: &str) -> bool {
        self.layout == Layout::ByName && self.dropped == Some(name)
    }

    /// The directory of an extension's images, below the root.
    fn images(&self, name: &str) -> String {
        match self.layout {
            Layout::ByName if self.goes_by_name(name) => "var/lib/extensions".to_owned(),
            Layout::Ours | Layout::ByName => format!("var/lib/sysupdate/images/{name}"),
            Layout::Opt => format!("opt/extensions/{name}"),
        }
    }

    /// The link to the image in use, below the root.
    fn link(&self, name: &str) -> String {
        match self.layout {
            Layout::Ours | Layout::ByName => format!("var/lib/extensions/{name}.raw"),
            Layout::Opt => format!("etc/extensions/{name}.raw"),
        }
    }

    fn definition(&self, publisher: &Publisher, name: &str) -> String {
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

    /// What switches the feature of what is dropped.
    fn feature(&self, node: &Node, enabled: bool) -> Result<()> {
        let text = format!("[Feature]\nEnabled={enabled}\n");
        node.write(&format!("etc/sysupdate.{NAME}.d/{FEATURE}.feature"), text)
    }

    /// What stays of the component.
    fn staying(&self) -> impl Iterator<Item = &'static str> {
        self.extensions.iter().copied().filter(|name| self.dropped != Some(name))
    }

    fn offer(&self, publisher: &mut Publisher, version: &str, health: Health) -> Result<()> {
        for name in self.extensions {
            if self.goes_by_name(name) {
                // Merged under the name of its file, and by no link in which the catalog's checks could look.
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
                Health::Well => image::with_check(name, version, 0)?,
                // One that fails would be tried again and again; this one is judged at once.
                Health::Sick => image::with_broken_check(name, version)?,
            };
            publisher.offer(name, version, image)?.health = vec![format!("exec:/usr/bin/{name}-check")];
        }
        publisher.issue()
    }
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage, scratch: &Path) -> Result<Self> {
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
            stage.offer(&mut publisher, version, Health::Well)?;
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

    /// Lays out the start.
    fn reset(&self) -> Result<()> {
        self.clear()?;
        copy(&self.start, &self.node.root)?;
        if self.stage.merged_before().is_some() {
            merge::merge(&Kernel, &Paths::new(&self.node.root), &merge::Options::default())?;
        }
        ensure!(self.merged()?.as_deref() == self.stage.merged_before());
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

    /// The version that is merged, of all extensions the same.
    fn merged(&self) -> Result<Option<String>> {
        let version = merged(&self.node.root, NAME)?;
        for name in self.stage.staying() {
            let other = merged(&self.node.root, name)?;
            ensure!(other == version, "{version:?} of {NAME} is merged with {other:?} of {name}");
        }
        Ok(version)
    }

    /// Kills at a point, looks, perhaps kills the next run too, and runs again.
    fn kill(&self, number: usize, point: &str, second: Option<usize>, end: &Snapshot) -> Result<()> {
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
            // It may have less to do than the whole, and then comes to its end.
            self.run(Some(second))?;
            self.is_sound()?;
        }

        let judged = self.is_judged()?;
        let again = self.node.run_with(&self.real, &["update", "-C", NAME])?;
        // The run that takes a version back says so, whoever put it in use.
        let status = i32::from(self.stage.health == Health::Sick && !judged);
        let again = again.ended(status).context("the run afterwards")?;
        let news = if status == 0 { "" } else { " was taken back, " };
        ensure!(
            again.stdout.contains(news) && !again.stdout.contains("error: "),
            "the run afterwards: {again}"
        );
        let found = Snapshot::take(&self.node.root)?;
        ensure!(found == *end, "not where the uninterrupted run ended:\n{}{again}", end.difference(&found));
        self.is_tidy()
    }

    /// Whether the record says that the sick version came and went.
    fn is_judged(&self) -> Result<bool> {
        let path = self.node.path(&format!("var/lib/sysupdate/extensions/{NAME}.json"));
        if !path.exists() {
            return Ok(false);
        }
        let record = self.node.record(NAME)?;
        let history = record["history"].as_array().context("no history")?;
        Ok(history.iter().any(|event| event["what"] == "taken-back"))
    }

    /// What holds at every instant.
    fn is_sound(&self) -> Result<()> {
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

    /// What goes is merged whole or not at all, and its files are there as long as it is merged: the next
    /// run knows by them that there is something left to do.
    fn is_going(&self, name: &str) -> Result<()> {
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

    /// What is merged of an extension is of one version.
    fn is_whole(&self, name: &str, version: Option<&str>) -> Result<()> {
        let Some(version) = version else { return Ok(()) };
        let usr = self.node.path("usr");
        let ballast = fs::read(usr.join("share").join(name).join("ballast"))?;
        ensure!(ballast.iter().all(|byte| version.as_bytes().contains(byte)), "of two versions");
        ensure!(usr.join("bin").join(format!("{name}-check")).is_file(), "only half is merged");
        Ok(())
    }

    /// What lies under a final name is what was published, and what was in use is there.
    fn is_kept(&self, name: &str) -> Result<()> {
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
        // The version that was in use is the last good one in every stage.
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

    /// What holds after every complete run.
    fn is_tidy(&self) -> Result<()> {
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
