//! Errors of reading and writing partition tables.

use std::io;

use super::format::{ENTRIES, NAME_UNITS};

/// Why partitions cannot be laid out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum LayoutError {
    #[error("{partitions} partitions exceed the {ENTRIES} of a partition table")]
    TooMany { partitions: usize },
    #[error("the partition label {name:?} is longer than {NAME_UNITS} UTF-16 code units")]
    Name { name: String },
    #[error("the partition {name:?} has {size} bytes, which is zero or not a multiple of 4096")]
    Size {
        name: String,
        /// Size in bytes.
        size: u64,
    },
    #[error("the partitions exceed the maximum size of a file")]
    TooLarge,
}

/// Why a partition table could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ReadError {
    #[error("cannot read the image at offset {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("no partition table at offset 512 or 4096")]
    Absent,
    #[error("the image ends at offset {length}, before {what} at offset {offset}")]
    TooShort { length: u64, what: &'static str, offset: u64 },
    #[error("the partition table at offset {offset}: {reason}")]
    Invalid { offset: u64, reason: String },
}

impl ReadError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent => Some("is this a disk image? File system images have no partitions".into()),
            Self::TooShort { .. } => Some("the image is truncated; download or rebuild it".into()),
            _ => None,
        }
    }
}
