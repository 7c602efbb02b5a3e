//! Errors of building and verifying hash trees.

use std::io;

/// Why no tree was created.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WriteError {
    #[error("an empty image cannot have verity hashes")]
    Empty,
    #[error("the image has {size} bytes, but verity requires a multiple of 4096")]
    Partial {
        /// Its size in bytes.
        size: u64,
    },
    #[error("a verity salt of {size} bytes is longer than 256")]
    Salt {
        /// Its size in bytes.
        size: usize,
    },
    #[error("cannot read the image at offset {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("cannot write the verity hashes after the image, at offset {offset}")]
    Append { offset: u64, source: io::Error },
}

impl WriteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Partial { size } => {
                Some(format!("pad the image with zeros to {} bytes", size.next_multiple_of(super::BLOCK)))
            }
            _ => None,
        }
    }
}

/// Why an image could not be verified.
///
/// Levels are counted from the image up: level 1 contains the hashes of the image's blocks.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum VerifyError {
    #[error("invalid verity data at offset {offset}: {reason}")]
    Superblock { offset: u64, reason: String },
    #[error("the verity data is truncated: it ends at offset {length}, but the hashes end at {end}")]
    TooShort { length: u64, end: u64 },
    #[error("the image has {length} bytes, but its verity hashes cover {covered}")]
    Length {
        /// Its size in bytes.
        length: u64,
        covered: u64,
    },
    #[error("offset {offset} is past the {covered} bytes that the verity hashes cover")]
    Range { offset: u64, covered: u64 },
    #[error("the block at offset {offset} of the image does not match its hash")]
    Data { offset: u64 },
    #[error("the hashes at offset {offset} of the verity data (level {level}) do not match {}",
        if *.is_top { "the root hash" } else { "the level above" })]
    Hash { level: usize, offset: u64, is_top: bool },
    #[error("invalid verity data at offset {offset}: data after the last hash of level {level}")]
    Spare { level: usize, offset: u64 },
    #[error("cannot read the image at offset {offset}")]
    ReadData { offset: u64, source: io::Error },
    #[error("cannot read the verity data at offset {offset}")]
    ReadHash { offset: u64, source: io::Error },
}

impl VerifyError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data { .. } | Self::TooShort { .. } => {
                Some("the image is damaged or was modified; download or rebuild it".into())
            }
            Self::Hash { is_top: true, .. } => Some(
                "check that the root hash belongs to this image; if it does, the image is damaged".into(),
            ),
            Self::Hash { .. } | Self::Spare { .. } => {
                Some("the verity data is damaged or was modified; download or rebuild it".into())
            }
            _ => None,
        }
    }
}
