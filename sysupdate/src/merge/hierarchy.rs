//! The directories that extensions are merged over, and their state.

use std::io;
use std::path::{Path, PathBuf};

use super::HostFiles;
use super::error::MergeError;
use super::examine::HIERARCHIES;
use super::marker;
use super::report::Warning;
use crate::host::mounts::table::{Mount, MountTable};
use crate::host::mounts::{Mounts, Part};
use crate::host::view::{Last, View};

/// A directory that extensions are merged over.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    /// Its path in a layer: `usr`.
    pub name: &'static str,
    /// Its path on the target system, without symbolic links.
    pub inside: PathBuf,
    /// Its path on the running system, without symbolic links.
    pub path: PathBuf,
    pub state: HierarchyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HierarchyState {
    /// The directory does not exist.
    Missing,
    /// Nothing is merged.
    Bare,
    /// Extensions are merged: by one overlay, unless a run was interrupted.
    Merged { overlays: usize },
}

impl Hierarchy {
    /// Its path in messages.
    pub(super) fn shown(&self) -> PathBuf {
        Path::new("/").join(self.name)
    }

    pub(super) fn is_merged(&self) -> bool {
        matches!(self.state, HierarchyState::Merged { .. })
    }

    /// Detaches the topmost overlay. Only what carries our or systemd's marker is ever detached: anything else
    /// belongs to the administrator.
    pub(super) fn detach(&self, mounts: &dyn Mounts) -> Result<(), MergeError> {
        let failed = |source| MergeError::Detach { hierarchy: self.shown(), source };
        if mounts.merged(&self.path).map_err(failed)?.is_none() {
            return Err(failed(io::Error::other("another mount covers it, or it is not mounted any more")));
        }
        mounts.detach(&self.path).map_err(failed)
    }
}

/// Looks at every hierarchy.
pub(super) fn inspect(mounts: &dyn Mounts, root: &Path) -> Result<Vec<Hierarchy>, MergeError> {
    let table = mounts.table().map_err(MergeError::Table)?;
    let seen = View::new(mounts.files(root));
    HIERARCHIES.into_iter().map(|name| inspect_one(mounts, &table, &seen, name)).collect()
}

fn inspect_one(
    mounts: &dyn Mounts,
    table: &MountTable,
    seen: &HostFiles,
    name: &'static str,
) -> Result<Hierarchy, MergeError> {
    let shown = Path::new("/").join(name);
    let look = |source| MergeError::Look { path: shown.clone(), source };
    let inside = match seen.resolve(&shown) {
        Ok(inside) => inside,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads to nothing in the root may lead to something of the running system
            let inside = seen.resolve_missing(&shown, Last::Follow).map_err(look)?;
            let path = seen.path(&inside);
            return Ok(Hierarchy { name, inside, path, state: HierarchyState::Missing });
        }
        Err(error) => return Err(look(error)),
    };
    let path = seen.path(&inside);
    let found = mounts.look(&path).map_err(look)?;
    let stack = match found.part {
        Part::Root => table.stack(found.mount),
        Part::Inside => Vec::new(),
    };
    // Where the hierarchy is a bind mount, there may be one more below that, which is not a leftover: the kernel
    // propagates the overlay to the mount that the bind mount shares with
    let overlays = stack.iter().take_while(|mount| is_overlay(mount)).count();
    let merged = !stack.is_empty() && mounts.merged(&path).map_err(look)?.is_some();
    let state = match (merged, stack.first()) {
        (true, _) => HierarchyState::Merged { overlays: overlays.max(1) },
        // Merging on top would hide the foreign mount, and detaching it would be worse
        (false, Some(top)) if stack.iter().any(|mount| is_overlay(mount)) => {
            let by = format!("{} of {}", top.filesystem, top.source);
            return Err(MergeError::Covered { hierarchy: shown, by });
        }
        (false, _) => HierarchyState::Bare,
    };
    Ok(Hierarchy { name, inside, path, state })
}

/// Our overlays and systemd's have this source.
fn is_overlay(mount: &Mount) -> bool {
    mount.filesystem == "overlay" && mount.source == "sysext"
}

/// Looks at every hierarchy and detaches the leftover of an interrupted run: the old overlay on top of the new one,
/// which is complete.
pub(super) fn settle(
    mounts: &dyn Mounts,
    root: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Hierarchy>, MergeError> {
    let mut hierarchies = inspect(mounts, root)?;
    for hierarchy in &mut hierarchies {
        let HierarchyState::Merged { overlays } = hierarchy.state else { continue };
        let look = |source| MergeError::Look { path: hierarchy.path.clone(), source };
        if marker::is_mutable(mounts, &hierarchy.path).map_err(look)? {
            return Err(MergeError::Mutable { hierarchy: hierarchy.shown() });
        }
        for _ in 1..overlays {
            hierarchy.detach(mounts)?;
        }
        if overlays > 1 {
            warnings.push(Warning::Interrupted { hierarchy: hierarchy.shown() });
            hierarchy.state = HierarchyState::Merged { overlays: 1 };
        }
    }
    Ok(hierarchies)
}
