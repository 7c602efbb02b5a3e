//! What can go wrong while an image is read.

use std::io;
use std::path::PathBuf;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No EROFS image, or one that this reader does not understand.
    #[error("cannot open the erofs image")]
    Open(#[source] erofs_rs::Error),
    /// How long the image is cannot be found out.
    #[error("cannot find the length of the erofs image")]
    Length(#[source] io::Error),
    /// A directory could not be read.
    #[error("cannot list /{path} of the erofs image", path = .path.display())]
    List {
        /// The directory, or the last entry that could be read.
        path: PathBuf,
        /// Why not.
        source: erofs_rs::Error,
    },
    /// An inode, its attributes or its link target could not be read.
    #[error("cannot read /{path} of the erofs image", path = .path.display())]
    Read {
        /// Where, in the image.
        path: PathBuf,
        /// Why not.
        source: erofs_rs::Error,
    },
    /// Neither directory nor file nor symbolic link.
    #[error("/{path} of the erofs image is a special file", path = .path.display())]
    Unsupported {
        /// Where, in the image.
        path: PathBuf,
    },
    /// A directory has more names than the image has room for, so that it must be a loop.
    #[error("the erofs image names more than {limit} files, more than it has room for")]
    TooMany {
        /// How many names an image of its size can have.
        limit: u64,
    },
    /// A file is longer than the caller takes.
    #[error("/{path} of the erofs image has {size} bytes, more than {limit}", path = .path.display())]
    TooLong {
        /// Where, in the image.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What the caller takes.
        limit: u64,
    },
    /// Paths and attributes of all names have more bytes than any image has use for.
    #[error("the names and attributes of the erofs image have more than {limit} bytes")]
    TooMuch {
        /// How many bytes an image of its size can have.
        limit: u64,
    },
    /// A symbolic link is longer than Linux has them.
    #[error("/{path} of the erofs image is a symbolic link of {length} bytes, more than 4095", path = .path.display())]
    Target {
        /// Where, in the image.
        path: PathBuf,
        /// Length of its target in bytes.
        length: u64,
    },
}

impl ReadError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(_) => Some("is this an erofs image, and is it complete?".into()),
            _ => None,
        }
    }
}
