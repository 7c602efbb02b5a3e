//! Merging extensions over `/usr` and `/opt` without an instant in which a file is missing.
//!
//! `discover -> examine -> admit -> stage -> swap`: the new overlay is complete, submounts included,
//! before it is moved beneath the old one, and the old one is detached. What is written into it is
//! what systemd-sysext writes, so that both can go on from what the other one merged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::host::mounts::Mounts;
use crate::paths::Paths;

pub mod admit;
mod bare;
mod discover;
mod error;
pub mod examine;
mod facts;
mod hierarchy;
mod marker;
pub mod quarantine;
pub mod report;
mod run;
mod submounts;
mod swap;

use bare::Bare;
pub use discover::extension_name;
pub use error::MergeError;
use hierarchy::{Hierarchy, State, inspect};
use report::{HierarchyStatus, Report, Status};
use run::Run;

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
