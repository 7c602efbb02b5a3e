//! Why nothing was merged.

use std::io;
use std::path::PathBuf;

use super::quarantine::QuarantineReason;
use crate::host::mounts::StageError;
use crate::node::release::UnknownArchitecture;
use sysext_manifests::hint::Hint;

/// Why nothing was merged or unmerged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message says it")]
pub enum MergeError {
    #[error("cannot read the mount table: {0}")]
    Table(#[source] io::Error),
    #[error("cannot access {path}: {source}")]
    Look { path: PathBuf, source: io::Error },
    #[error("{hierarchy} is already merged")]
    AlreadyMerged { hierarchy: PathBuf },
    #[error("{hierarchy} is covered by another mount ({by}), with a merged overlay below it")]
    Covered { hierarchy: PathBuf, by: String },
    #[error("{hierarchy} is merged writable (Mutable=), which only systemd-sysext supports")]
    Mutable { hierarchy: PathBuf },
    #[error("{root}: cannot read os-release: {reason}")]
    NoOsRelease { root: PathBuf, reason: String },
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    #[error("cannot create {path}: {source}")]
    Directory { path: PathBuf, source: io::Error },
    /// A mount below the hierarchy would be lost.
    #[error("cannot keep the mount at {path}: {source}")]
    Submount { path: PathBuf, source: io::Error },
    #[error("the mounts below {hierarchy} changed during the merge")]
    Changed { hierarchy: PathBuf },
    /// This machine could not mount anything now, which says nothing about the image.
    #[error("cannot mount {path}: {source}")]
    Mount { path: PathBuf, source: io::Error },
    /// An extension that is merged now would be lost.
    #[error("cannot replace {name}, which is merged now, by {path}: {reason}")]
    Lost { name: String, path: PathBuf, reason: QuarantineReason },
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("cannot attach the overlay to {hierarchy}: {source}")]
    Attach { hierarchy: PathBuf, source: io::Error },
    /// Both overlays are mounted, and the next refresh detaches one.
    #[error("cannot detach the overlay from {hierarchy}: {source}")]
    Detach { hierarchy: PathBuf, source: io::Error },
}

impl Hint for MergeError {
    fn hint(&self) -> Option<String> {
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::AlreadyMerged { .. } => Some("`refresh` replaces what is merged".into()),
            Self::Covered { hierarchy, .. } => {
                Some(format!("unmount the mount that covers {}", hierarchy.display()))
            }
            Self::Mutable { .. } => {
                Some("run `systemd-sysext unmerge` first, or keep using systemd-sysext".into())
            }
            Self::Submount { path, .. } | Self::Stage(StageError::Submount { path, .. }) => {
                Some(format!("unmount {} and mount it again after the merge", path.display()))
            }
            Self::Lost { .. } => Some(
                "nothing has changed; run the command again, and check the disk if that fails too".into(),
            ),
            Self::Changed { .. } => Some("run the command again".into()),
            Self::Stage(StageError::Private(source))
            | Self::Mount { source, .. }
            | Self::Attach { source, .. }
            | Self::Detach { source, .. }
                if denied(source) =>
            {
                Some("merging requires root with CAP_SYS_ADMIN".into())
            }
            _ => None,
        }
    }
}
