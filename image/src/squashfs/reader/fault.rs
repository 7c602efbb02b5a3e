//! What can be wrong with the bytes of an image.

use std::io;

use crate::squashfs::codec::DecodeError;

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
