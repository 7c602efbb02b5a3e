//! Errors that occur while an image is written.

use std::io;
use std::path::PathBuf;

use crate::Kernel;
use crate::codec::{Codec, CodecError, LibraryError};
use crate::duplicates::Unreadable;
use crate::spool::SpoolError;
use crate::tree::ContentError;

/// Why an image was not written. The output then contains an incomplete image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WriteError {
    #[error(transparent)]
    Codec(CodecError),
    #[error("kernel {kernel} cannot read {codec}", codec = .codec.name())]
    Kernel { codec: Codec, kernel: Kernel },
    #[error("cannot add /{path} to the image", path = .path.display())]
    Content { path: PathBuf, source: ContentError },
    #[error("cannot compress /{path}", path = .path.display())]
    Compress { path: PathBuf, source: LibraryError },
    #[error("/{path}: cannot store the extended attribute {name}: {reason}", path = .path.display())]
    Xattr { path: PathBuf, name: String, reason: &'static str },
    #[error("the image would have {blocks} blocks of 4096 bytes, more than an erofs image can have")]
    TooLarge { blocks: u64 },
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
            Self::Kernel { codec, .. } => {
                Some(format!("pass --kernel {} or use lz4hc", Kernel::from(codec.kernel())))
            }
            Self::Content {
                source: ContentError::Changed { .. } | ContentError::Modified { .. }, ..
            } => Some("something is writing to the tree; retry when it has finished".into()),
            Self::Spool(error) => error.hint(),
            Self::Xattr { .. } => {
                Some("only user., trusted., security. and POSIX ACL attributes can be stored".into())
            }
            _ => None,
        }
    }
}
