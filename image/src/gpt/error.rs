//! What can go wrong with a partition table.

use std::io;

use super::format::{ENTRIES, NAME_UNITS};

/// Why partitions cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// More than there are entries.
    #[error("{partitions} partitions are more than the {ENTRIES} of a partition table")]
    TooMany {
        /// How many.
        partitions: usize,
    },
    /// No room for the label.
    #[error("the partition label {name:?} is longer than {NAME_UNITS} units of UTF-16")]
    Name {
        /// The label.
        name: String,
    },
    /// No whole number of sectors.
    #[error("the partition {name:?} has {size} bytes, which is no multiple of 4096, or none")]
    Size {
        /// The label.
        name: String,
        /// Size in bytes.
        size: u64,
    },
    /// No file is that large.
    #[error("the partitions are larger than any file")]
    TooLarge,
}

/// Why a partition table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The image could not be read.
    #[error("cannot read the image at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// Neither size of sector has a header where it should be.
    #[error("there is no partition table at offset 512 or 4096")]
    Absent,
    /// The image ends before something the table speaks of.
    #[error("the image ends at offset {length}, before {what} at offset {offset}")]
    TooShort {
        /// How long it is.
        length: u64,
        /// What is missing.
        what: &'static str,
        /// Where that would be.
        offset: u64,
    },
    /// Something is not as it has to be.
    #[error("the partition table at offset {offset}: {reason}")]
    Invalid {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

impl ReadError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent => {
                Some("is this a disk image? Images without partitions are read as they are".into())
            }
            Self::TooShort { .. } => Some("the image is incomplete; get it again".into()),
            _ => None,
        }
    }
}
