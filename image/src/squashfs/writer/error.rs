//! Errors that occur while an image is written.

use std::io;
use std::path::PathBuf;

use crate::codec::{CodecError, LibraryError};
use crate::duplicates::Unreadable;
use crate::spool::SpoolError;
use crate::tree::ContentError;

/// Why an image was not written. The output then contains an incomplete image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WriteError {
    #[error(transparent)]
    Codec(CodecError),
    #[error("invalid block size {size}: squashfs takes powers of two from 4096 to 1048576")]
    BlockSize {
        /// The size in the options, in bytes.
        size: u32,
    },
    #[error("the timestamp {timestamp} is too large: squashfs stores 32 bits, up to the year 2106")]
    Timestamp {
        /// The time in the options, in seconds since 1970.
        timestamp: u64,
    },
    #[error("cannot add /{path} to the image", path = .path.display())]
    Content { path: PathBuf, source: ContentError },
    #[error("cannot compress /{path}", path = .path.display())]
    Compress { path: PathBuf, source: LibraryError },
    #[error("cannot compress the tables of the image")]
    Tables(#[source] LibraryError),
    #[error("/{path}: cannot store the extended attribute {name}: {reason}", path = .path.display())]
    Xattr { path: PathBuf, name: String, reason: &'static str },
    #[error("the image would have more than {limit} {what}, more than a squashfs image can have")]
    TooMany { what: &'static str, limit: u64 },
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("cannot write the image at offset {offset}")]
    Output { offset: u64, source: io::Error },
}

impl From<Unreadable> for WriteError {
    fn from(Unreadable { path, source }: Unreadable) -> Self {
        Self::Content { path, source }
    }
}

impl WriteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Codec(error) => error.hint(),
            Self::Content {
                source: ContentError::Changed { .. } | ContentError::Modified { .. }, ..
            } => Some("something is writing to the tree; retry when it has finished".into()),
            Self::Spool(error) => error.hint(),
            Self::Xattr { .. } => {
                Some("only user., trusted. and security. attributes can be stored in squashfs".into())
            }
            _ => None,
        }
    }
}
