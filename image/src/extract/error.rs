//! Errors that occur while an image is extracted.

use std::io;
use std::path::PathBuf;

use crate::filesystem::FilesystemError;

/// Why an image was not extracted, or not all of it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ExtractError {
    #[error(transparent)]
    Image(#[from] FilesystemError),
    #[error("no such path in the image: /{path}", path = .path.display())]
    NoSuchPath { path: PathBuf },
    #[error("cannot extract to {path}", path = .path.display())]
    Destination { path: PathBuf, source: io::Error },
    #[error("cannot extract to {path}: directory not empty", path = .path.display())]
    NotEmpty { path: PathBuf },
    #[error("cannot {action} {path}", path = .path.display())]
    Write { action: &'static str, path: PathBuf, source: io::Error },
}

impl ExtractError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::NotEmpty { .. } => Some("use a directory that is empty or does not exist".to_owned()),
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
