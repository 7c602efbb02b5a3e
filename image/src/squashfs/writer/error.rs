//! What can go wrong while an image is written.

use std::io;
use std::path::PathBuf;

use crate::codec::{CodecError, LibraryError};
use crate::duplicates::Unreadable;
use crate::spool::SpoolError;
use crate::tree::ContentError;

/// Why an image was not written. What reached the output by then is no image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WriteError {
    #[error("the codec of the image")]
    Codec(#[source] CodecError),
    #[error("squashfs has blocks of 4096 to 1048576 bytes, a power of two, not {size}")]
    BlockSize {
        /// The size in the options, in bytes.
        size: u32,
    },
    #[error("squashfs has times up to the year 2106, in 32 bits, not {timestamp}")]
    Timestamp {
        /// The time in the options, in seconds since 1970.
        timestamp: u64,
    },
    #[error("cannot put /{path} into the image", path = .path.display())]
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
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Codec(CodecError::Unknown { .. }) => {
                Some("write none, gzip, lz4, lz4hc, xz or zstd, with a level as in zstd:15".into())
            }
            Self::Content { source: ContentError::Changed { .. }, .. } => {
                Some("something writes to the tree; make the image again when that has ended".into())
            }
            Self::Spool(error) => error.hint(),
            Self::Xattr { .. } => {
                Some("only user., trusted. and security. attributes can be stored in squashfs".into())
            }
            _ => None,
        }
    }
}
