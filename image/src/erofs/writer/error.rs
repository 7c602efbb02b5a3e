//! What can go wrong while an image is written.

use std::io;
use std::path::PathBuf;

use crate::Kernel;
use crate::codec::{Codec, CodecError, LibraryError};
use crate::duplicates::Unreadable;
use crate::spool::SpoolError;
use crate::tree::ContentError;

/// Why an image was not written. What reached the output by then is no image.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The options name a level that the codec has not.
    #[error("the codec of the image")]
    Codec(#[source] CodecError),
    /// The oldest kernel that the image is meant for has no such codec.
    #[error("kernel {kernel} cannot read {codec}", codec = .codec.name())]
    Kernel {
        /// The codec.
        codec: Codec,
        /// The oldest kernel.
        kernel: Kernel,
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
    /// An extended attribute that EROFS has no room or no name for.
    #[error("/{path}: cannot store the extended attribute {name}: {reason}", path = .path.display())]
    Xattr {
        /// Where, in the tree.
        path: PathBuf,
        /// Full name of the attribute.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than block addresses of 32 bits reach.
    #[error("the image would have {blocks} blocks of 4096 bytes, more than an erofs image can have")]
    TooLarge {
        /// How many it would have.
        blocks: u64,
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
            Self::Codec(error) => error.hint(),
            Self::Kernel { codec, .. } => {
                Some(format!("name kernel {} or a newer one, or use lz4hc", Kernel::from(codec.kernel())))
            }
            Self::Content {
                source: ContentError::Changed { .. } | ContentError::Modified { .. }, ..
            } => Some("something writes to the tree; make the image again when that has ended".into()),
            Self::Spool(error) => error.hint(),
            Self::Xattr { .. } => {
                Some("only user., trusted., security. and POSIX ACL attributes can be stored".into())
            }
            _ => None,
        }
    }
}
