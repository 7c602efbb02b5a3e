//! What can go wrong while an image is read.

use std::io;
use std::path::PathBuf;

use crate::squashfs::codec::DecodeError;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No squashfs image, or one that this reader does not understand.
    #[error("cannot open the squashfs image")]
    Open(#[source] Fault),
    /// How long the image is cannot be found out.
    #[error("cannot find the length of the squashfs image")]
    Length(#[source] io::Error),
    /// A directory, or what a name in it stands for, could not be read.
    #[error("cannot list /{path} of the squashfs image", path = .path.display())]
    List {
        /// The directory or the name.
        path: PathBuf,
        /// Why not.
        source: Fault,
    },
    /// An inode, its attributes or its owner could not be read.
    #[error("cannot read /{path} of the squashfs image", path = .path.display())]
    Read {
        /// Where, in the image.
        path: PathBuf,
        /// Why not.
        source: Fault,
    },
    /// The content of a file could not be read.
    #[error("cannot read /{path} of the squashfs image", path = .path.display())]
    Content {
        /// Where, in the image.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory, link or special file where a file is wanted.
    #[error("/{path} of the squashfs image is not a regular file", path = .path.display())]
    NotAFile {
        /// Where, in the image.
        path: PathBuf,
    },
    /// Something else where a directory is wanted.
    #[error("/{path} of the squashfs image is not a directory", path = .path.display())]
    NotADirectory {
        /// Where, in the image.
        path: PathBuf,
    },
    /// A socket, which means nothing in an image.
    #[error("/{path} of the squashfs image is a socket", path = .path.display())]
    Unsupported {
        /// Where, in the image.
        path: PathBuf,
    },
    /// A file is longer than the caller takes.
    #[error("/{path} of the squashfs image has {size} bytes, more than {limit}", path = .path.display())]
    TooLong {
        /// Where, in the image.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What the caller takes.
        limit: u64,
    },
}

impl ReadError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(Fault::Compression { .. }) => {
                Some("make the image again with gzip, lz4, xz or zstd".into())
            }
            Self::Open(_) => Some("is this a squashfs image, and is it complete?".into()),
            _ => None,
        }
    }
}

/// What is wrong with an image, and where.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No squashfs image at all.
    #[error("there is no squashfs superblock at offset 0")]
    NotSquashfs,
    /// An older version of the format.
    #[error("it is of version {major}.{minor}, not 4.0")]
    Version {
        /// The first number.
        major: u16,
        /// The second number.
        minor: u16,
    },
    /// A compression that this program has not.
    #[error("it is compressed with {name}, which is not supported")]
    Compression {
        /// Its name, or its number.
        name: String,
    },
    /// The file is shorter than the image.
    #[error("it is cut short: it should have {expected} bytes and has {found}")]
    Truncated {
        /// Length of the image by its own account, in bytes.
        expected: u64,
        /// Length of the file in bytes.
        found: u64,
    },
    /// Something that no writer of images does.
    #[error("damaged at offset {offset}: {what}")]
    Damaged {
        /// Where, or where the compressed block is that says so.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A block could not be unpacked.
    #[error("cannot unpack the {length} bytes at offset {offset}")]
    Decode {
        /// Where the block is.
        offset: u64,
        /// Its length in bytes.
        length: usize,
        /// Why not.
        source: DecodeError,
    },
    /// Reading failed.
    #[error("cannot read {length} bytes at offset {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: usize,
        /// Why not.
        source: io::Error,
    },
    /// It unpacks to more than an image of its size should.
    #[error("the tables unpack to far more than an image of {length} bytes should hold")]
    Exhausted {
        /// Length of the image in bytes.
        length: u64,
    },
    /// Its small files are packed so that reading them takes far more time than any image should.
    #[error(
        "the fragment at offset {offset}, like others, was needed again and again: more was unpacked than an \
         image of {length} bytes should need"
    )]
    Wasteful {
        /// Where the fragment is.
        offset: u64,
        /// Length of the image in bytes.
        length: u64,
    },
}
