//! Errors that occur while an image is read.

use std::io;
use std::path::PathBuf;

use crate::squashfs::codec::DecodeError;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ReadError {
    #[error("cannot open the squashfs image")]
    Open(#[source] Fault),
    #[error("cannot determine the length of the squashfs image")]
    Length(#[source] io::Error),
    #[error("cannot list /{path} in the squashfs image", path = .path.display())]
    List { path: PathBuf, source: Fault },
    #[error("cannot read /{path} in the squashfs image", path = .path.display())]
    Read { path: PathBuf, source: Fault },
    #[error("cannot read /{path} in the squashfs image", path = .path.display())]
    Content { path: PathBuf, source: io::Error },
    #[error("/{path} in the squashfs image is not a regular file", path = .path.display())]
    NotAFile { path: PathBuf },
    #[error("/{path} in the squashfs image is not a directory", path = .path.display())]
    NotADirectory { path: PathBuf },
    #[error("/{path} in the squashfs image is a socket", path = .path.display())]
    Unsupported { path: PathBuf },
    #[error("/{path} in the squashfs image has {size} bytes, more than {limit}", path = .path.display())]
    TooLong {
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        limit: u64,
    },
}

impl ReadError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(Fault::Compression { .. }) => {
                Some("rebuild the image with gzip, lz4, xz or zstd".into())
            }
            Self::Open(_) => Some("is this a squashfs image, and is it complete?".into()),
            _ => None,
        }
    }
}

/// A defect of an image, with its offset.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Fault {
    #[error("there is no squashfs superblock at offset 0")]
    NotSquashfs,
    #[error("version {major}.{minor} is not supported, only 4.0")]
    Version { major: u16, minor: u16 },
    #[error("it is compressed with {name}, which is not supported")]
    Compression { name: String },
    #[error("it is truncated: {found} of {expected} bytes")]
    Truncated {
        /// Length of the image in its superblock, in bytes.
        expected: u64,
        /// Length of the file in bytes.
        found: u64,
    },
    #[error("damaged at offset {offset}: {what}")]
    Damaged { offset: u64, what: &'static str },
    #[error("cannot decompress {length} bytes at offset {offset}")]
    Decode {
        offset: u64,
        /// Its length in bytes.
        length: usize,
        source: DecodeError,
    },
    #[error("cannot read {length} bytes at offset {offset}")]
    Io { offset: u64, length: usize, source: io::Error },
    #[error("the tables decompress to far more than an image of {length} bytes should hold")]
    Exhausted {
        /// Length of the image in bytes.
        length: u64,
    },
    #[error(
        "fragments are needed again and again, such as the one at offset {offset}: an image of {length} bytes \
         should not need so much decompression"
    )]
    Wasteful {
        offset: u64,
        /// Length of the image in bytes.
        length: u64,
    },
}
