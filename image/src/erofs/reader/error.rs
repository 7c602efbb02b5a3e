//! Errors that occur while an image is read.

use std::io;
use std::path::PathBuf;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ReadError {
    #[error("cannot open the erofs image")]
    Open(#[source] erofs_rs::Error),
    #[error("cannot determine the length of the erofs image")]
    Length(#[source] io::Error),
    #[error("cannot list /{path} in the erofs image", path = .path.display())]
    List { path: PathBuf, source: erofs_rs::Error },
    #[error("cannot read /{path} in the erofs image", path = .path.display())]
    Read { path: PathBuf, source: erofs_rs::Error },
    #[error("/{path} in the erofs image is a special file", path = .path.display())]
    Unsupported { path: PathBuf },
    #[error("the erofs image contains more than {limit} names, more than it has room for")]
    TooMany { limit: u64 },
    #[error("/{path} in the erofs image has {size} bytes, more than {limit}", path = .path.display())]
    TooLong {
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        limit: u64,
    },
    #[error("the names and attributes of the erofs image exceed {limit} bytes")]
    TooMuch { limit: u64 },
    #[error("/{path} in the erofs image is a symbolic link of {length} bytes, more than 4095", path = .path.display())]
    Target {
        path: PathBuf,
        /// Length of its target in bytes.
        length: u64,
    },
}

impl ReadError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(_) => Some("is this an erofs image, and is it complete?".into()),
            _ => None,
        }
    }
}
