//! What can go wrong with a partition table.

use std::io;

use super::format::{ENTRIES, NAME_UNITS};

/// Why partitions cannot be laid out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum LayoutError {
    #[error("{partitions} partitions are more than the {ENTRIES} of a partition table")]
    TooMany { partitions: usize },
    #[error("the partition label {name:?} is longer than {NAME_UNITS} units of UTF-16")]
    Name { name: String },
    #[error("the partition {name:?} has {size} bytes, which is no multiple of 4096, or none")]
    Size {
        name: String,
        /// Size in bytes.
        size: u64,
    },
    #[error("the partitions are larger than any file")]
    TooLarge,
}

/// Why a partition table could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ReadError {
    #[error("cannot read the image at offset {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("there is no partition table at offset 512 or 4096")]
    Absent,
    #[error("the image ends at offset {length}, before {what} at offset {offset}")]
    TooShort { length: u64, what: &'static str, offset: u64 },
    #[error("the partition table at offset {offset}: {reason}")]
    Invalid { offset: u64, reason: String },
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
