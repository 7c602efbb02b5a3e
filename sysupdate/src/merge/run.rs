//! One run of a merge, refresh or unmerge.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::admit::{Examined, Layer, Reload, admit, differences};
use super::discover::{self, Discovered, ExtensionSource, ExtensionSourceKind, discover};
use super::error::MergeError;
use super::examine::{self, Unexamined};
use super::hierarchy::{Hierarchy, HierarchyState, settle};
use super::marker::{self, Inputs, MergeRecord};
use super::quarantine::{QuarantineReason, Quarantined, Unsupported};
use super::report::{Masked, MergeOutcome, MergeReport, Merged, Warning};
use super::submounts;
use super::swap::{self, Change, OverlayRemoval};
use super::system::{self, System};
use super::{HostFiles, Options, Policy, When, canonical_root, original};
use crate::host::mounts::image::ImageError;
use crate::host::mounts::{LayerMount, Mounts, Overlay, Staging};
use crate::host::view::{Last, View};
use crate::paths::Paths;

/// The state of a run.
pub(super) struct Run<'a> {
    mounts: &'a dyn Mounts,
    paths: &'a Paths,
    pub(super) root: PathBuf,
    pub(super) hierarchies: Vec<Hierarchy>,
    /// Merged extensions that require a reload of systemd when they are removed.
    reload: BTreeSet<String>,
    /// The extensions that are merged, with the record of the merge if this program made it.
    in_use: BTreeMap<String, Option<MergeRecord>>,
    masked: Vec<Masked>,
    warnings: Vec<Warning>,
    started: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn start(mounts: &'a dyn Mounts, paths: &'a Paths) -> Result<Self, MergeError> {
        let started = Instant::now();
        let root = canonical_root(mounts, paths)?;
        let mut warnings = Vec::new();
        let hierarchies = settle(mounts, &root, &mut warnings)?;
        let mut reload = BTreeSet::new();
        let in_use = merged_extensions(mounts, &hierarchies)?;
        for record in records(mounts, &hierarchies)?.into_iter().flatten() {
            let asking = record.extensions.into_iter().filter(|one| one.reload == Reload::Asked);
            reload.extend(asking.map(|one| one.name));
        }
        Ok(Self { mounts, paths, root, hierarchies, reload, in_use, masked: Vec::new(), warnings, started })
    }

    pub(super) fn refresh(mut self, options: &Options) -> Result<MergeReport, MergeError> {
        let original = original(self.mounts, &self.root)?;
        let directories = self.paths.extensions.each_ref().map(|path| self.paths.as_seen_inside(path));
        let (mut found, masked) = discover(&original, &directories)?;
        self.masked = masked;
        for found in &mut found {
            apply_policy(found, options);
        }
        let host = System::read(&original, &self.root)?;
        let inputs = Inputs::new(host.identity.clone(), &format!("{:?}", host.scope), &found);
        let merged = self.merged()?;
        let is_unchanged = |record: &MergeRecord| {
            let same = record.inputs == inputs;
            // What could not be read may be readable now
            same && !record.quarantined.iter().any(|one| one.reason.may_pass())
        };
        if options.when == When::Changed
            && let Some(record) = merged.clone().filter(is_unchanged)
        {
            return Ok(self.unchanged(record));
        }

        let (examined, mut opened) = self.examine(&found)?;
        let host = host.with_entries(system::look(&original, &examined)?);
        let (layers, quarantined) = admit(&examined, &host);
        let is_merged = |image: &&Examined| layers.iter().any(|layer| layer.name == image.name);
        self.warnings.extend(examined.iter().filter(is_merged).filter_map(|image| differences(image, &host)));
        if layers.is_empty() {
            let outcome = self.remove_all(&original)?;
            return Ok(self.report(outcome, &[], Vec::new(), quarantined));
        }

        let sources: BTreeMap<&str, &ExtensionSource> = found
            .iter()
            .filter_map(|found| Some((found.name.as_str(), found.source.as_ref().ok()?)))
            .collect();
        let extension = |layer: &Layer| marker::Extension {
            name: layer.name.clone(),
            path: layer.path.clone(),
            reload: layer.reload,
        };
        let ships = |name: &str| layers.iter().any(|layer| layer.hierarchies.contains(&name));
        let record = MergeRecord {
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
        if options.when == When::Changed && merged.as_ref() == Some(&record) {
            return Ok(self.unchanged(record));
        }
        let mounted = layers.iter().filter_map(|layer| {
            Some(LayerMount { name: layer.name.clone(), mount: opened.remove(&layer.name)? })
        });
        let outcome = self.swap(&original, &layers, mounted.collect(), &record, &sources)?;
        let hierarchies = record.hierarchies.iter().map(|name| Path::new("/").join(name)).collect();
        Ok(self.report(outcome, &record.extensions, hierarchies, record.quarantined))
    }

    fn unchanged(self, record: MergeRecord) -> MergeReport {
        let merged = self.hierarchies.iter().filter(|one| one.is_merged());
        let hierarchies = merged.map(Hierarchy::shown).collect();
        self.report(MergeOutcome::Unchanged, &record.extensions, hierarchies, record.quarantined)
    }

    /// The record of what is merged, if the same is merged everywhere.
    fn merged(&self) -> Result<Option<MergeRecord>, MergeError> {
        let records = records(self.mounts, &self.hierarchies)?;
        let Some(Some(first)) = records.first().cloned() else { return Ok(None) };
        let everywhere = records.iter().all(|record| record.as_ref() == Some(&first));
        let merged = self.hierarchies.iter().filter(|one| one.is_merged());
        let complete = merged.map(|one| one.name).eq(first.hierarchies.iter().map(String::as_str));
        Ok((everywhere && complete).then_some(first))
    }

    /// Opens each image and reads its contents.
    fn examine(&self, found: &[Discovered]) -> Result<(Vec<Examined>, HashMap<String, OwnedFd>), MergeError> {
        let mut opened = HashMap::new();
        let mut examined = Vec::new();
        for found in found {
            let mount = match &found.source {
                Ok(source) => open(self.mounts, source)?,
                Err(reason) => Err(reason.clone()),
            };
            let outcome = match mount {
                Ok(mount) => {
                    let copy = mount
                        .try_clone()
                        .map_err(|source| MergeError::Mount { path: found.path().to_owned(), source })?;
                    let content = match examine::examine(&*self.mounts.files_in(copy)) {
                        Err(Unexamined::Machine(source)) => {
                            return Err(MergeError::Mount { path: found.path().to_owned(), source });
                        }
                        Err(Unexamined::Image(reason)) => Err(reason),
                        Ok(content) => Ok(content),
                    };
                    if content.is_ok() {
                        opened.insert(found.name.clone(), mount);
                    }
                    content
                }
                Err(reason) => Err(reason),
            };
            if let Err(reason) = &outcome {
                self.refuse_to_lose(found, reason)?;
            }
            examined.push(Examined { name: found.name.clone(), path: found.path().to_owned(), outcome });
        }
        Ok((examined, opened))
    }

    /// An extension that is merged is not dropped because its image cannot be read at the moment. Of another image than
    /// the one that is merged, only an error counts that may be this machine's.
    fn refuse_to_lose(&self, found: &Discovered, reason: &QuarantineReason) -> Result<(), MergeError> {
        let Some(record) = self.in_use.get(&found.name) else { return Ok(()) };
        let same = record.as_ref().is_some_and(|record| record.inputs.has(found));
        let is_clear = !matches!(reason, QuarantineReason::NotNow { .. });
        if is_clear && !(same && reason.may_pass()) {
            return Ok(());
        }
        let (name, path) = (found.name.clone(), found.path().to_owned());
        Err(MergeError::Lost { name, path, reason: reason.clone() })
    }

    fn swap(
        &mut self,
        original: &HostFiles,
        layers: &[Layer],
        mounted: Vec<LayerMount>,
        record: &MergeRecord,
        sources: &BTreeMap<&str, &ExtensionSource>,
    ) -> Result<MergeOutcome, MergeError> {
        let mounts = self.mounts;
        let before = self.hierarchies.iter().any(Hierarchy::is_merged);
        let workspace = self.workspace()?;
        let marker = marker::files(record, sources).map_err(|error| MergeError::Look {
            path: self.paths.run.clone(),
            source: io::Error::other(error),
        })?;

        let (stay, go): (Vec<&Hierarchy>, Vec<&Hierarchy>) =
            self.hierarchies.iter().partition(|one| record.hierarchies.iter().any(|name| name == one.name));
        for missing in stay.iter().filter(|one| one.state == HierarchyState::Missing) {
            self.make_directory(&missing.path)?;
        }
        let table = mounts.table().map_err(MergeError::Table)?;
        let mut overlays = Vec::new();
        let mut seen = Vec::new();
        let mut covered = Vec::new();
        for hierarchy in &stay {
            let below = submounts::seen_below(mounts, &table, &hierarchy.path)?;
            if hierarchy.state == HierarchyState::Bare {
                covered.extend(submounts::hold(mounts, &hierarchy.path, &below)?);
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
            changes.push(Change::Remove(OverlayRemoval::prepare(mounts, &table, original, hierarchy)?));
        }
        let uncover =
            self.hierarchies.iter().filter(|one| one.is_merged()).map(|one| one.path.clone()).collect();
        let staged = mounts.stage(Staging { workspace, uncover, layers: mounted, overlays })?;

        // A mount that was added since would be lost
        let table = mounts.table().map_err(MergeError::Table)?;
        for (hierarchy, seen) in stay.iter().zip(&seen) {
            if submounts::seen_below(mounts, &table, &hierarchy.path)? != *seen {
                return Err(MergeError::Changed { hierarchy: hierarchy.shown() });
            }
        }
        for (hierarchy, overlay) in stay.into_iter().zip(staged) {
            changes.push(match hierarchy.state {
                HierarchyState::Merged { .. } => Change::Replace { hierarchy, overlay },
                HierarchyState::Bare | HierarchyState::Missing => Change::Merge { hierarchy, overlay },
            });
        }
        swap::carry_out(mounts, changes, &mut self.warnings)?;

        // Their copies are in use, and no program could unmount the hidden originals
        for (path, root) in covered {
            if let Err(error) = mounts.detach_hidden(root.as_fd()) {
                self.warnings.push(Warning::MountedTwice { path, reason: error.to_string() });
            }
        }
        Ok(if before { MergeOutcome::Refreshed } else { MergeOutcome::Merged })
    }

    /// A directory to assemble overlays in. A link of the target system (`/run` to `/var/run`) leads where it leads when
    /// that system runs, and never out of the root.
    fn workspace(&self) -> Result<PathBuf, MergeError> {
        let inside = self.paths.as_seen_inside(&self.paths.run).join("staging");
        let look = |source| MergeError::Look { path: inside.clone(), source };
        let seen = View::new(self.mounts.files(&self.root));
        let workspace = seen.path(&seen.resolve_missing(&inside, Last::Follow).map_err(look)?);
        self.make_directory(&workspace)?;
        Ok(workspace)
    }

    fn make_directory(&self, path: &Path) -> Result<(), MergeError> {
        let failed = |source| MergeError::Directory { path: path.to_owned(), source };
        self.mounts.make_directory(path).map_err(failed)
    }

    pub(super) fn remove_all(&mut self, original: &HostFiles) -> Result<MergeOutcome, MergeError> {
        let table = self.mounts.table().map_err(MergeError::Table)?;
        let merged = self.hierarchies.iter().filter(|one| one.is_merged());
        let changes =
            merged.map(|one| OverlayRemoval::prepare(self.mounts, &table, original, one).map(Change::Remove));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let outcome = if changes.is_empty() { MergeOutcome::Unchanged } else { MergeOutcome::Unmerged };
        swap::carry_out(self.mounts, changes, &mut self.warnings)?;
        Ok(outcome)
    }

    pub(super) fn report(
        mut self,
        outcome: MergeOutcome,
        extensions: &[marker::Extension],
        hierarchies: Vec<PathBuf>,
        quarantined: Vec<Quarantined>,
    ) -> MergeReport {
        let merged = |extension: &marker::Extension| Merged {
            name: extension.name.clone(),
            path: extension.path.clone(),
            version: discover::version_of(&extension.name, &extension.path),
        };
        let asking = extensions.iter().filter(|one| one.reload == Reload::Asked);
        self.reload.extend(asking.map(|one| one.name.clone()));
        MergeReport {
            outcome,
            hierarchies,
            extensions: extensions.iter().map(merged).collect(),
            quarantined,
            masked: self.masked,
            reload: match outcome {
                MergeOutcome::Unchanged => Vec::new(),
                MergeOutcome::Merged | MergeOutcome::Refreshed | MergeOutcome::Unmerged => {
                    self.reload.into_iter().collect()
                }
            },
            warnings: self.warnings,
            took: self.started.elapsed(),
        }
    }
}

/// The record of each merged hierarchy, if this program made it.
fn records(mounts: &dyn Mounts, hierarchies: &[Hierarchy]) -> Result<Vec<Option<MergeRecord>>, MergeError> {
    let record = |hierarchy: &Hierarchy| {
        let merged = mounts.merged(&hierarchy.path);
        let merged = merged.map_err(|source| MergeError::Look { path: hierarchy.path.clone(), source })?;
        Ok(merged.and_then(marker::read_record))
    };
    hierarchies.iter().filter(|one| one.is_merged()).map(record).collect()
}

/// The extensions that are merged, whoever merged them.
fn merged_extensions(
    mounts: &dyn Mounts,
    hierarchies: &[Hierarchy],
) -> Result<BTreeMap<String, Option<MergeRecord>>, MergeError> {
    let mut found = BTreeMap::new();
    for hierarchy in hierarchies.iter().filter(|one| one.is_merged()) {
        let look = |source| MergeError::Look { path: hierarchy.path.clone(), source };
        let Some(merged) = mounts.merged(&hierarchy.path).map_err(look)? else { continue };
        let names = marker::read_extensions(&*merged).map_err(look)?;
        let record = marker::read_record(merged);
        found.extend(names.into_iter().map(|name| (name, record.clone())));
    }
    Ok(found)
}

fn apply_policy(found: &mut Discovered, options: &Options) {
    let Ok(source) = &found.source else { return };
    if let Some(because) = options.hold_back.get(&found.name) {
        found.source = Err(QuarantineReason::HeldBack { reason: because.clone() });
    } else if let Policy::Signed(images) = &options.policy
        && !images.contains(&source.path)
    {
        found.source = Err(QuarantineReason::Unsigned);
    }
}

/// Opens an image or directory. The inner error is the image's fault, the outer one the machine's.
fn open(
    mounts: &dyn Mounts,
    source: &ExtensionSource,
) -> Result<Result<OwnedFd, QuarantineReason>, MergeError> {
    let error = match source.kind {
        ExtensionSourceKind::Directory => match mounts.open_directory(&source.real) {
            Ok(mount) => return Ok(Ok(mount)),
            Err(error) => ImageError::unreadable(error),
        },
        ExtensionSourceKind::Image => match mounts.open_image(&source.real) {
            Ok(mount) => return Ok(Ok(mount)),
            Err(error) => error,
        },
    };
    Ok(Err(match error {
        ImageError::Host(error) => {
            return Err(MergeError::Mount { path: source.path.clone(), source: error });
        }
        ImageError::Read(error) => QuarantineReason::Unreadable { error: error.to_string() },
        ImageError::NotNow(error) => QuarantineReason::NotNow { error },
        ImageError::Partitioned => QuarantineReason::NotSupported { what: Unsupported::PartitionTable },
        ImageError::Unknown => QuarantineReason::Superblock,
        ImageError::Mount { format, message } => {
            QuarantineReason::Mount { error: format!("{}: {message}", format.name()) }
        }
    }))
}
