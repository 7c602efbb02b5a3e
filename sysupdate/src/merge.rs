//! Merging extensions over `/usr` and `/opt` without a gap in which a file is missing.
//!
//! `discover -> examine -> admit -> stage -> swap`: the new overlay is complete, submounts included,
//! before it is moved beneath the old one, and the old one is detached. Its marker has the format of
//! systemd-sysext, so that each tool can refresh and unmerge the merges of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::host::mounts::Mounts;
use crate::host::view::{self, Tree, View, is_missing};
use crate::paths::Paths;

mod admit;
mod discover;
mod error;
mod examine;
mod hierarchy;

mod marker;
pub mod quarantine;
mod reload;
pub mod report;
mod run;
mod submounts;
mod swap;
mod system;

pub use discover::extension_name;
pub use error::MergeError;
use hierarchy::{Hierarchy, HierarchyState, inspect};
pub use reload::reload;
use report::{HierarchyStatus, MergeReport, Status};
use run::Run;

/// Options of a merge.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether the same set is merged again.
    pub when: When,
    /// Which images may be merged.
    pub policy: Policy,
    /// Extensions to skip, by name, each with the reason for the report.
    pub hold_back: BTreeMap<String, String>,
}

/// Whether the same set is merged again.
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
    /// Every image in the extension directories, as stock systemd does.
    #[default]
    Any,
    /// Only images for which there is evidence: their paths without symbolic links, as the target
    /// system sees them.
    Signed(BTreeSet<PathBuf>),
}

/// Merges the extensions in the extension directories and replaces the merged set.
pub fn refresh(mounts: &dyn Mounts, paths: &Paths, options: &Options) -> Result<MergeReport, MergeError> {
    let run = Run::start(mounts, paths)?;
    run.refresh(options)
}

/// Merges the extensions in the extension directories; an error if a set is already merged.
pub fn merge(mounts: &dyn Mounts, paths: &Paths, options: &Options) -> Result<MergeReport, MergeError> {
    let run = Run::start(mounts, paths)?;
    match run.hierarchies.iter().find(|hierarchy| hierarchy.is_merged()) {
        Some(merged) => Err(MergeError::AlreadyMerged { hierarchy: merged.shown() }),
        None => run.refresh(options),
    }
}

/// Unmerges all extensions.
pub fn unmerge(mounts: &dyn Mounts, paths: &Paths) -> Result<MergeReport, MergeError> {
    let mut run = Run::start(mounts, paths)?;
    let original = original(mounts, &run.root)?;
    let outcome = run.remove_all(&original)?;
    Ok(run.report(outcome, &[], Vec::new(), Vec::new()))
}

/// What is merged. Changes nothing.
pub fn status(mounts: &dyn Mounts, paths: &Paths) -> Result<Status, MergeError> {
    let root = canonical_root(mounts, paths)?;
    let mut hierarchies = Vec::new();
    let mut quarantined = None;
    for hierarchy in inspect(mounts, &root)?.iter().filter(|one| one.state != HierarchyState::Missing) {
        let look = |source| MergeError::Look { path: hierarchy.path.clone(), source };
        let merged = mounts.merged(&hierarchy.path).map_err(look)?;
        let record = merged.as_ref().and_then(marker::read_record);
        quarantined = quarantined.or(record.map(|record| record.quarantined));
        hierarchies.push(status_of(hierarchy, merged.as_deref()).map_err(look)?);
    }
    Ok(Status { hierarchies, quarantined: quarantined.unwrap_or_default() })
}

fn status_of(hierarchy: &Hierarchy, merged: Option<&dyn Tree>) -> io::Result<HierarchyStatus> {
    let hierarchy = hierarchy.shown();
    let Some(merged) = merged else {
        return Ok(HierarchyStatus { hierarchy, extensions: Vec::new(), since: None });
    };
    let extensions = marker::read_extensions(merged)?;
    let modified = merged.metadata(Path::new(""))?.modified;
    Ok(HierarchyStatus { hierarchy, extensions, since: Timestamp::from_nanosecond(modified).ok() })
}

fn canonical_root(mounts: &dyn Mounts, paths: &Paths) -> Result<PathBuf, MergeError> {
    // The mount table knows no symbolic links.
    mounts.canonical(&paths.root).map_err(|source| MergeError::Look { path: paths.root.clone(), source })
}

/// The files of the target system.
type HostFiles = View<Box<dyn Tree>>;

/// The files of the target system without what is merged: an image below `/opt` is found however `/opt` is
/// covered. The root has no symbolic links.
fn original(mounts: &dyn Mounts, root: &Path) -> Result<HostFiles, MergeError> {
    let mut files = View::new(mounts.files(root));
    for hierarchy in view::HIERARCHIES {
        let look = |source| MergeError::Look { path: PathBuf::from(hierarchy), source };
        let inside = match files.resolve(Path::new(hierarchy)) {
            Err(error) if is_missing(&error) => continue,
            other => other.map_err(look)?,
        };
        let (directory, rest) = files.place_seen(&inside).map_err(look)?;
        if let Some(beneath) = mounts.beneath(&directory.path(rest)).map_err(look)? {
            files = files.with(inside, mounts.files_in(beneath));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
