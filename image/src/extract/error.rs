//! What can go wrong while an image is extracted.

use std::io;
use std::path::PathBuf;

use crate::filesystem::FilesystemError;

/// Why an image was not extracted, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] FilesystemError),
    /// The image has no such path.
    #[error("the image has no /{path}", path = .path.display())]
    NoSuchPath {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The destination cannot be made or opened.
    #[error("cannot extract into {path}", path = .path.display())]
    Destination {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The destination has something in it.
    #[error("{path} is not empty", path = .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something could not be made or changed.
    #[error("cannot {action} {path}", path = .path.display())]
    Write {
        /// What was to be done.
        action: &'static str,
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ExtractError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::NotEmpty { .. } => Some("name a directory that is empty or does not exist yet".to_owned()),
            Self::NoSuchPath { .. } | Self::Destination { .. } | Self::Write { .. } => None,
        }
    }

    /// Whether part of the image may have been written by then.
    pub fn is_partial(&self) -> bool {
        matches!(
            self,
            Self::Write { .. } | Self::Image(FilesystemError::Content { .. } | FilesystemError::Size { .. })
        )
    }
}
