//! Merging extensions over `/usr` and `/opt` without an instant in which a file is missing.
//!
//! `discover -> examine -> admit -> stage -> swap`: the new overlay is complete, submounts included,
//! before it is moved beneath the old one, and the old one is detached. What is written into it is
//! what systemd-sysext writes, so that both can go on from what the other one merged.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::extension_release::Scope;
use sysext_manifests::os_release::OsRelease;

use crate::host::mounts::image::ImageError;
use crate::host::mounts::{LayerMount, Mounts, Overlay, Staging};
use crate::paths::Paths;

pub mod admit;
mod bare;
mod discover;
mod error;
pub mod examine;
mod hierarchy;
mod marker;
pub mod quarantine;
pub mod report;
mod submounts;
mod swap;

use admit::{Examined, HostFacts, Layer, Reload, admit};
use bare::Bare;
use discover::{Found, Identity, Source, SourceKind, discover};
pub use error::MergeError;
use hierarchy::{Hierarchy, State, inspect, settle};
use marker::{Inputs, Record};
use quarantine::{HostKind, QuarantineReason, Quarantined, Unread};
use report::{HierarchyStatus, Merged, Outcome, Report, Status, Warning};
use swap::{Change, Removal};

/// What may be merged, and when.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether the same set is merged anew.
    pub when: When,
    /// Which images may be merged.
    pub policy: Policy,
    /// Extensions that are left out, by name, each with the reason that the report gives.
    pub hold_back: BTreeMap<String, String>,
}

/// Whether the same set is merged anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Not if nothing has changed.
    #[default]
    Changed,
    /// In any case.
    Always,
}

/// Which images may be merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Whatever lies there, as stock systemd does.
    #[default]
    Any,
    /// Only images for which there is evidence: their paths without symbolic links, as the target
    /// system sees them.
    Signed(BTreeSet<PathBuf>),
}

/// Merges what lies in the extension directories, in the place of what is merged.
pub fn refresh(mounts: &dyn Mounts, paths: &Paths, options: &Options) -> Result<Report, MergeError> {
    let run = Run::start(mounts, paths)?;
    run.refresh(options)
}

/// Merges what lies in the extension directories; an error if something is merged.
pub fn merge(mounts: &dyn Mounts, paths: &Paths, options: &Options) -> Result<Report, MergeError> {
    let run = Run::start(mounts, paths)?;
    match run.hierarchies.iter().find(|hierarchy| hierarchy.is_merged()) {
        Some(merged) => Err(MergeError::AlreadyMerged { hierarchy: merged.shown() }),
        None => run.refresh(options),
    }
}

/// Takes away what is merged.
pub fn unmerge(mounts: &dyn Mounts, paths: &Paths) -> Result<Report, MergeError> {
    let mut run = Run::start(mounts, paths)?;
    let bare = Bare::new(mounts, &run.root)?;
    let outcome = run.remove_all(&bare)?;
    Ok(run.report(outcome, &[], Vec::new(), Vec::new()))
}

/// What is merged. Changes nothing.
pub fn status(mounts: &dyn Mounts, paths: &Paths) -> Result<Status, MergeError> {
    let root = canonical_root(paths)?;
    let hierarchies = inspect(mounts, &root)?;
    let record =
        hierarchies.iter().filter(|one| one.is_merged()).find_map(|one| marker::read_record(&one.path));
    let hierarchies = hierarchies.iter().filter(|one| one.state != State::Missing).map(status_of);
    Ok(Status {
        hierarchies: hierarchies.collect::<Result<_, _>>()?,
        quarantined: record.map(|record| record.quarantined).unwrap_or_default(),
    })
}

fn status_of(hierarchy: &Hierarchy) -> Result<HierarchyStatus, MergeError> {
    let shown = hierarchy.shown();
    if !hierarchy.is_merged() {
        return Ok(HierarchyStatus { hierarchy: shown, extensions: Vec::new(), since: None });
    }
    let look = |source| MergeError::Look { path: hierarchy.path.clone(), source };
    let extensions = marker::read_extensions(&hierarchy.path).map_err(look)?;
    let modified = fs::metadata(&hierarchy.path).and_then(|metadata| metadata.modified()).map_err(look)?;
    Ok(HierarchyStatus { hierarchy: shown, extensions, since: Timestamp::try_from(modified).ok() })
}

fn canonical_root(paths: &Paths) -> Result<PathBuf, MergeError> {
    // The mount table knows no symbolic links.
    paths.root.canonicalize().map_err(|source| MergeError::Look { path: paths.root.clone(), source })
}

/// One run of a verb that changes something.
struct Run<'a> {
    mounts: &'a dyn Mounts,
    paths: &'a Paths,
    root: PathBuf,
    hierarchies: Vec<Hierarchy>,
    /// What was merged before and asks for systemd to be reloaded when it goes.
    reload: BTreeSet<String>,
    warnings: Vec<Warning>,
    started: Instant,
}

impl<'a> Run<'a> {
    fn start(mounts: &'a dyn Mounts, paths: &'a Paths) -> Result<Self, MergeError> {
        let started = Instant::now();
        let root = canonical_root(paths)?;
        let mut warnings = Vec::new();
        let hierarchies = settle(mounts, &root, &mut warnings)?;
        let merged = hierarchies.iter().filter(|one| one.is_merged());
        let before =
            merged.filter_map(|one| marker::read_record(&one.path)).flat_map(|record| record.extensions);
        let reload = before.filter(|one| one.reload == Reload::Asked).map(|one| one.name).collect();
        Ok(Self { mounts, paths, root, hierarchies, reload, warnings, started })
    }

    fn refresh(mut self, options: &Options) -> Result<Report, MergeError> {
        let bare = Bare::new(self.mounts, &self.root)?;
        let directories = self.paths.extensions.each_ref().map(|path| self.paths.as_seen_inside(path));
        let mut found = discover(&bare, &directories)?;
        for found in &mut found {
            apply_policy(found, options);
        }
        let host = Host::read(&bare, &self.root)?;
        let inputs = Inputs::new(host.identity.clone(), &format!("{:?}", host.scope), &found);
        if options.when == When::Changed
            && let Some(record) = self.merged_from(&inputs)
        {
            let hierarchies =
                self.hierarchies.iter().filter(|one| one.is_merged()).map(Hierarchy::shown).collect();
            return Ok(self.report(Outcome::Unchanged, &record.extensions, hierarchies, record.quarantined));
        }

        let (examined, mut opened) = self.examine(&found);
        let facts = host.facts(look_at_host(&bare, &examined));
        let (layers, quarantined) = admit(&examined, &facts);
        if layers.is_empty() {
            let outcome = self.remove_all(&bare)?;
            return Ok(self.report(outcome, &[], Vec::new(), quarantined));
        }

        let sources: BTreeMap<&str, &Source> = found
            .iter()
            .filter_map(|found| Some((found.name.as_str(), found.source.as_ref().ok()?)))
            .collect();
        let extension = |layer: &Layer| marker::Extension {
            name: layer.name.clone(),
            path: layer.path.clone(),
            reload: layer.reload,
        };
        let ships = |name: &str| layers.iter().any(|layer| layer.hierarchies.contains(&name));
        let record = Record {
            inputs,
            hierarchies: self
                .hierarchies
                .iter()
                .map(|one| one.name)
                .filter(|name| ships(name))
                .map(str::to_owned)
                .collect(),
            extensions: layers.iter().map(extension).collect(),
            quarantined,
        };
        let mounted = layers.iter().filter_map(|layer| {
            Some(LayerMount { name: layer.name.clone(), mount: opened.remove(&layer.name)? })
        });
        let outcome = self.swap(&bare, &layers, mounted.collect(), &record, &sources)?;
        let hierarchies = record.hierarchies.iter().map(|name| Path::new("/").join(name)).collect();
        Ok(self.report(outcome, &record.extensions, hierarchies, record.quarantined))
    }

    /// What is merged, if it is what the inputs make, everywhere.
    fn merged_from(&self, inputs: &Inputs) -> Option<Record> {
        let merged = self.hierarchies.iter().filter(|one| one.is_merged());
        let records: Vec<Option<Record>> = merged.clone().map(|one| marker::read_record(&one.path)).collect();
        let first = records.first()?.clone()?;
        let everywhere = records.iter().all(|record| record.as_ref() == Some(&first));
        let complete = merged.map(|one| one.name).eq(first.hierarchies.iter().map(String::as_str));
        (everywhere && complete && first.inputs == *inputs).then_some(first)
    }

    /// Opens each image and looks into it.
    fn examine(&self, found: &[Found]) -> (Vec<Examined>, HashMap<String, OwnedFd>) {
        let mut opened = HashMap::new();
        let examined = found.iter().map(|found| {
            let outcome = found.source.as_ref().map_err(Clone::clone).and_then(|source| {
                let mount = open(self.mounts, source)?;
                let content = examine::examine(&mount)?;
                opened.insert(found.name.clone(), mount);
                Ok(content)
            });
            Examined { name: found.name.clone(), path: found.path().to_owned(), outcome }
        });
        (examined.collect(), opened)
    }

    fn swap(
        &mut self,
        bare: &Bare,
        layers: &[Layer],
        mounted: Vec<LayerMount>,
        record: &Record,
        sources: &BTreeMap<&str, &Source>,
    ) -> Result<Outcome, MergeError> {
        let mounts = self.mounts;
        let before = self.hierarchies.iter().any(Hierarchy::is_merged);
        let workspace = self.paths.run.join("staging");
        self.make_directory(&workspace)?;
        let workspace =
            workspace.canonicalize().map_err(|source| MergeError::Look { path: workspace, source })?;
        let marker = marker::files(record, sources).map_err(|error| MergeError::Look {
            path: self.paths.run.clone(),
            source: io::Error::other(error),
        })?;

        let (stay, go): (Vec<&Hierarchy>, Vec<&Hierarchy>) =
            self.hierarchies.iter().partition(|one| record.hierarchies.iter().any(|name| name == one.name));
        for missing in stay.iter().filter(|one| one.state == State::Missing) {
            self.make_directory(&missing.path)?;
        }
        let table = mounts.table().map_err(MergeError::Table)?;
        let mut overlays = Vec::new();
        let mut seen = Vec::new();
        let mut covered = Vec::new();
        for hierarchy in &stay {
            let below = submounts::seen_below(&table, &hierarchy.path)?;
            if hierarchy.state == State::Bare {
                covered.extend(submounts::hold(&hierarchy.path, &below)?);
            }
            let has = |layer: &Layer| layer.hierarchies.contains(&hierarchy.name);
            overlays.push(Overlay {
                path: hierarchy.path.clone(),
                inside: PathBuf::from(hierarchy.name),
                layers: (0..layers.len()).filter(|number| has(&layers[*number])).collect(),
                marker: marker.clone(),
                submounts: submounts::copy(mounts, &hierarchy.path, &below)?,
            });
            seen.push(below);
        }
        let mut changes = Vec::new();
        for hierarchy in go.into_iter().filter(|one| one.is_merged()) {
            changes.push(Change::Remove(Removal::prepare(mounts, &table, bare, hierarchy)?));
        }
        let uncover =
            self.hierarchies.iter().filter(|one| one.is_merged()).map(|one| one.path.clone()).collect();
        let staged = mounts.stage(Staging { workspace, uncover, layers: mounted, overlays })?;

        // What was mounted since would be lost.
        let table = mounts.table().map_err(MergeError::Table)?;
        for (hierarchy, seen) in stay.iter().zip(&seen) {
            if submounts::seen_below(&table, &hierarchy.path)? != *seen {
                return Err(MergeError::Changed { hierarchy: hierarchy.shown() });
            }
        }
        for (hierarchy, overlay) in stay.into_iter().zip(staged) {
            changes.push(match hierarchy.state {
                State::Merged { .. } => Change::Replace { hierarchy, overlay },
                State::Bare | State::Missing => Change::Merge { hierarchy, overlay },
            });
        }
        swap::carry_out(mounts, changes, &mut self.warnings)?;

        // Their copies are in use; nobody could unmount these any more.
        for (path, root) in covered {
            if let Err(error) = mounts.detach_hidden(std::os::fd::AsFd::as_fd(&root)) {
                self.warnings.push(Warning::Hidden { path, because: error.to_string() });
            }
        }
        Ok(if before { Outcome::Refreshed } else { Outcome::Merged })
    }

    fn make_directory(&self, path: &Path) -> Result<(), MergeError> {
        let failed = |source| MergeError::Directory { path: path.to_owned(), source };
        if path.is_dir() { Ok(()) } else { self.mounts.make_directory(path).map_err(failed) }
    }

    fn remove_all(&mut self, bare: &Bare) -> Result<Outcome, MergeError> {
        let table = self.mounts.table().map_err(MergeError::Table)?;
        let merged = self.hierarchies.iter().filter(|one| one.is_merged());
        let changes = merged.map(|one| Removal::prepare(self.mounts, &table, bare, one).map(Change::Remove));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let outcome = if changes.is_empty() { Outcome::Unchanged } else { Outcome::Unmerged };
        swap::carry_out(self.mounts, changes, &mut self.warnings)?;
        Ok(outcome)
    }

    fn report(
        mut self,
        outcome: Outcome,
        extensions: &[marker::Extension],
        hierarchies: Vec<PathBuf>,
        quarantined: Vec<Quarantined>,
    ) -> Report {
        let merged = |extension: &marker::Extension| Merged {
            name: extension.name.clone(),
            path: extension.path.clone(),
            version: discover::version_of(&extension.name, &extension.path),
        };
        let asking = extensions.iter().filter(|one| one.reload == Reload::Asked);
        self.reload.extend(asking.map(|one| one.name.clone()));
        Report {
            outcome,
            hierarchies,
            extensions: extensions.iter().map(merged).collect(),
            quarantined,
            reload: match outcome {
                Outcome::Unchanged => Vec::new(),
                Outcome::Merged | Outcome::Refreshed | Outcome::Unmerged => self.reload.into_iter().collect(),
            },
            warnings: self.warnings,
            took: self.started.elapsed(),
        }
    }
}

fn apply_policy(found: &mut Found, options: &Options) {
    let Ok(source) = &found.source else { return };
    if let Some(because) = options.hold_back.get(&found.name) {
        found.source = Err(QuarantineReason::HeldBack { because: because.clone() });
    } else if let Policy::Signed(images) = &options.policy
        && !images.contains(&source.path)
    {
        found.source = Err(QuarantineReason::Unsigned);
    }
}

fn open(mounts: &dyn Mounts, source: &Source) -> Result<OwnedFd, QuarantineReason> {
    match source.kind {
        SourceKind::Directory => mounts
            .open_directory(&source.real)
            .map_err(|error| QuarantineReason::Unreadable { error: error.to_string() }),
        SourceKind::Image => mounts.open_image(&source.real).map_err(|error| match error {
            ImageError::Read(error) => QuarantineReason::Unreadable { error: error.to_string() },
            ImageError::Partitioned => QuarantineReason::NotReadYet { what: Unread::PartitionTable },
            ImageError::Unknown => QuarantineReason::Superblock,
            ImageError::Mount { filesystem, message } => {
                QuarantineReason::Mount { error: format!("{}: {message}", filesystem.name()) }
            }
        }),
    }
}

/// What the host says of itself.
struct Host {
    os_release: OsRelease,
    architecture: Architecture,
    scope: Scope,
    /// Of the os-release file.
    identity: Identity,
}

impl Host {
    fn read(bare: &Bare, root: &Path) -> Result<Self, MergeError> {
        let bad = |because: String| MergeError::NoOsRelease { root: root.to_owned(), because };
        let path = ["/etc/os-release", "/usr/lib/os-release"]
            .into_iter()
            .find_map(|path| bare.resolve(Path::new(path)).ok())
            .ok_or_else(|| bad("neither in /etc nor in /usr/lib".into()))?;
        let real = bare.locate(&path);
        let text = fs::read_to_string(&real).map_err(|error| bad(error.to_string()))?;
        let metadata = fs::metadata(&real).map_err(|error| bad(error.to_string()))?;
        let (os_release, _) = OsRelease::parse(&text).map_err(|error| bad(error.to_string()))?;
        let name = rustix::system::uname();
        let machine = name.machine().to_string_lossy();
        let architecture = Architecture::of_machine(&machine)
            .ok_or_else(|| MergeError::Machine { machine: machine.into_owned() })?;
        let scope = match bare.resolve(Path::new("/etc/initrd-release")) {
            Ok(_) => Scope::Initrd,
            Err(_) => Scope::System,
        };
        Ok(Self { os_release, architecture, scope, identity: Identity::of(&path, &metadata) })
    }

    fn facts(self, entries: HashMap<PathBuf, HostKind>) -> HostFacts {
        let Self { os_release, architecture, scope, identity: _ } = self;
        HostFacts { os_release, architecture, scope, entries }
    }
}

/// What the bare host has where the images have something.
fn look_at_host(bare: &Bare, examined: &[Examined]) -> HashMap<PathBuf, HostKind> {
    let mut entries = HashMap::new();
    let mut absent: BTreeSet<&Path> = BTreeSet::new();
    let contents = examined.iter().filter_map(|image| image.outcome.as_ref().ok());
    for entry in contents.flat_map(|content| &content.entries) {
        let path = entry.path.as_path();
        if entries.contains_key(path) || absent.contains(path) {
            continue;
        }
        // Where there is no directory, or a link to one, there is nothing below.
        let below_nothing = path.parent().is_some_and(|parent| {
            absent.contains(parent) || entries.get(parent).is_some_and(|kind| *kind != HostKind::Directory)
        });
        let found = if below_nothing {
            None
        } else {
            bare.locate(&Path::new("/").join(path)).symlink_metadata().ok()
        };
        match found {
            None => {
                absent.insert(path);
            }
            Some(metadata) if metadata.is_symlink() => {
                entries.insert(path.to_owned(), HostKind::Link);
            }
            Some(metadata) if metadata.is_dir() => {
                entries.insert(path.to_owned(), HostKind::Directory);
            }
            Some(_) => {
                entries.insert(path.to_owned(), HostKind::File);
            }
        }
    }
    entries
}
