//! Mounts inside a hierarchy, which a merge must keep at every moment.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use super::error::MergeError;
use crate::host::mounts::table::{Copying, MountTable};
use crate::host::mounts::{Mounts, Part, Submount};
use crate::host::view::is_missing;

/// A mount that is visible inside a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VisibleMount {
    /// Its mount point, relative to the hierarchy.
    pub inside: PathBuf,
    /// The numbers of the mount and of every mount in it.
    tree: Vec<u64>,
}

/// The visible mounts below a path. A mount that another one hides stays hidden.
pub(super) fn seen_below(
    mounts: &dyn Mounts,
    table: &MountTable,
    path: &Path,
) -> Result<Vec<VisibleMount>, MergeError> {
    let look = |source| MergeError::Look { path: path.to_owned(), source };
    let top = mounts.look(path).map_err(look)?.mount;
    let mut seen = Vec::new();
    for mount in table.children(top) {
        let Some(inside) = mount.below(path) else { continue };
        // Another one may cover the mount point itself, or a directory above it.
        let shown = match mounts.look(&mount.point) {
            Err(error) if is_missing(&error) => continue,
            other => other.map_err(|source| MergeError::Submount { path: mount.point.clone(), source })?,
        };
        if table.stack(shown.mount).iter().all(|stacked| stacked.id != mount.id) {
            continue;
        }
        let tree = table.tree(shown.mount);
        if let Some(refusing) = tree.iter().find(|mount| mount.copying == Copying::Refused) {
            let source = io::Error::other("it is unbindable and cannot be copied");
            return Err(MergeError::Submount { path: refusing.point.clone(), source });
        }
        seen.push(VisibleMount { inside, tree: tree.into_iter().map(|mount| mount.id).collect() });
    }
    seen.sort_by(|a, b| a.inside.cmp(&b.inside));
    Ok(seen)
}

/// Copies of what is seen below a path.
pub(super) fn copy(
    mounts: &dyn Mounts,
    path: &Path,
    seen: &[VisibleMount],
) -> Result<Vec<Submount>, MergeError> {
    let copy = |seen: &VisibleMount| {
        let point = path.join(&seen.inside);
        match mounts.open_copy(&point) {
            Ok(mount) => Ok(Submount { inside: seen.inside.clone(), mount }),
            Err(source) => Err(MergeError::Submount { path: point, source }),
        }
    };
    seen.iter().map(copy).collect()
}

/// The mounts themselves, to be found again when they are covered.
pub(super) fn hold(
    mounts: &dyn Mounts,
    path: &Path,
    seen: &[VisibleMount],
) -> Result<Vec<(PathBuf, OwnedFd)>, MergeError> {
    let hold = |seen: &VisibleMount| {
        let point = path.join(&seen.inside);
        match mounts.hold(&point) {
            Ok(fd) => Ok((point, fd)),
            Err(source) => Err(MergeError::Submount { path: point, source }),
        }
    };
    seen.iter().map(hold).collect()
}

/// Whether a path shows the same mounted file or directory as a copy does.
pub(super) fn shows(mounts: &dyn Mounts, path: &Path, copy: &OwnedFd) -> io::Result<bool> {
    let (shown, copied) = (mounts.look(path)?, mounts.look_at(copy.as_fd())?);
    Ok(shown.part == Part::Root && shown.file == copied.file)
}
