//! Why nothing was merged.

use std::io;
use std::path::PathBuf;

use crate::host::mounts::StageError;
use crate::node::release::UnknownArchitecture;
use sysext_manifests::hint::Hint;

/// Why the merge was left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The mount table.
    #[error("cannot read the mount table: {0}")]
    Table(#[source] io::Error),
    /// A path could not be looked at.
    #[error("cannot look at {path}: {source}")]
    Look {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// `merge` where something is merged.
    #[error("{hierarchy} is merged already")]
    AlreadyMerged {
        /// The hierarchy.
        hierarchy: PathBuf,
    },
    /// Another mount lies over a merged overlay.
    #[error("{hierarchy} is covered by another mount ({by}), with a merged overlay under it")]
    Covered {
        /// The hierarchy.
        hierarchy: PathBuf,
        /// Its type and source.
        by: String,
    },
    /// Merged by systemd in a way that this program does not do.
    #[error("{hierarchy} is merged writable (Mutable=), which only systemd-sysext does")]
    Mutable {
        /// The hierarchy.
        hierarchy: PathBuf,
    },
    /// The host says nothing of itself.
    #[error("{root}: no readable os-release: {because}")]
    NoOsRelease {
        /// The root.
        root: PathBuf,
        /// What is the matter with it.
        because: String,
    },
    /// A processor that systemd has no name for.
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    /// A directory is missing and cannot be made.
    #[error("cannot make {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A mount below the hierarchy would be lost.
    #[error("the mount at {path} cannot be kept: {source}")]
    Submount {
        /// Where it is mounted.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Something was mounted or unmounted below the hierarchy meanwhile.
    #[error("the mounts below {hierarchy} have changed meanwhile")]
    Changed {
        /// The hierarchy.
        hierarchy: PathBuf,
    },
    /// This machine could not mount anything now. The images are not judged by that.
    #[error("cannot mount {path}: {source}")]
    Mount {
        /// The image or directory that was tried.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The overlay could not be assembled.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The overlay could not be attached.
    #[error("cannot attach the overlay to {hierarchy}: {source}")]
    Attach {
        /// The hierarchy.
        hierarchy: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The old overlay could not be detached; both are there, and the next refresh takes one away.
    #[error("cannot detach the overlay from {hierarchy}: {source}")]
    Detach {
        /// The hierarchy.
        hierarchy: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Hint for MergeError {
    fn hint(&self) -> Option<String> {
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::AlreadyMerged { .. } => Some("`refresh` replaces what is merged".into()),
            Self::Covered { hierarchy, .. } => Some(format!("unmount what covers {}", hierarchy.display())),
            Self::Mutable { .. } => {
                Some("`systemd-sysext unmerge` first, or go on with systemd-sysext".into())
            }
            Self::Submount { path, .. } | Self::Stage(StageError::Submount { path, .. }) => {
                Some(format!("unmount {} and mount it again after the merge", path.display()))
            }
            Self::Changed { .. } => Some("run it again".into()),
            Self::Stage(StageError::Private(source))
            | Self::Mount { source, .. }
            | Self::Attach { source, .. }
            | Self::Detach { source, .. }
                if denied(source) =>
            {
                Some("merging needs root and CAP_SYS_ADMIN".into())
            }
            _ => None,
        }
    }
}
