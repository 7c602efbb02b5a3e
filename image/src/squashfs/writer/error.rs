//! What can go wrong while an image is written.

use std::io;
use std::path::PathBuf;

use crate::codec::{CodecError, LibraryError};
use crate::duplicates::Unreadable;
use crate::spool::SpoolError;
use crate::tree::ContentError;

/// Why an image was not written. What reached the output by then is no image.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The options name a level that the codec has not.
    #[error("the codec of the image")]
    Codec(#[source] CodecError),
    /// The options name a size of blocks that the format has not.
    #[error("squashfs has blocks of 4096 to 1048576 bytes, a power of two, not {size}")]
    BlockSize {
        /// The size in the options, in bytes.
        size: u32,
    },
    /// The options name a time that the format cannot hold.
    #[error("squashfs has times up to the year 2106, in 32 bits, not {timestamp}")]
    Timestamp {
        /// The time in the options, in seconds since 1970.
        timestamp: u64,
    },
    /// The content of a file could not be read, or is not what it was.
    #[error("cannot put /{path} into the image", path = .path.display())]
    Content {
        /// Where, in the tree.
        path: PathBuf,
        /// Why not.
        source: ContentError,
    },
    /// The compressor failed.
    #[error("cannot compress /{path}", path = .path.display())]
    Compress {
        /// Where, in the tree.
        path: PathBuf,
        /// Why not.
        source: LibraryError,
    },
    /// The compressor failed at names and attributes.
    #[error("cannot compress the tables of the image")]
    Tables(#[source] LibraryError),
    /// An extended attribute that squashfs has no room or no name for.
    #[error("/{path}: cannot store the extended attribute {name}: {reason}", path = .path.display())]
    Xattr {
        /// Where, in the tree.
        path: PathBuf,
        /// Full name of the attribute.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More of something than the format can count.
    #[error("the image would have more than {limit} {what}, more than a squashfs image can have")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it can have.
        limit: u64,
    },
    /// Compressed data could not be stored until it is written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The output refused bytes.
    #[error("cannot write the image at offset {offset}")]
    Output {
        /// How many bytes it had taken.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
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
