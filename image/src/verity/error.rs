//! What can go wrong with a tree.

use std::io;

/// Why no tree was made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There was nothing to hash.
    #[error("an empty image cannot have verity hashes")]
    Empty,
    /// The kernel would not see the rest of the last block, so it is not left out in silence.
    #[error("the image has {size} bytes, and verity covers only whole blocks of 4096")]
    Partial {
        /// Its size in bytes.
        size: u64,
    },
    /// A superblock has no room for it.
    #[error("a verity salt of {size} bytes is longer than 256")]
    Salt {
        /// Its size in bytes.
        size: usize,
    },
    /// The image could not be read.
    #[error("cannot read the image at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// The tree could not be written.
    #[error("cannot write the verity hashes behind the image, at offset {offset}")]
    Append {
        /// Where the tree begins.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
}

impl WriteError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Partial { size } => {
                Some(format!("pad the image with zeros to {} bytes", size.next_multiple_of(super::BLOCK)))
            }
            _ => None,
        }
    }
}

/// Why an image is not what a root hash vouches for, or could not be checked.
///
/// Levels are counted from the image up: level 1 holds the hashes of the image's blocks.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The superblock is none, or one that is not understood.
    #[error("at offset {offset} of the verity data: {reason}")]
    Superblock {
        /// Where the first thing wrong lies.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file ends before the tree does.
    #[error("the verity data ends at offset {length}, before the hashes end at offset {end}")]
    TooShort {
        /// How long the file is.
        length: u64,
        /// Where the tree would end.
        end: u64,
    },
    /// The image is shorter or longer than what the tree covers.
    #[error("the image has {length} bytes, and its verity hashes cover {covered}")]
    Length {
        /// Its size in bytes.
        length: u64,
        /// How many bytes the tree covers.
        covered: u64,
    },
    /// A range that is no range of the image was to be checked.
    #[error("offset {offset} is behind the {covered} bytes that the verity hashes cover")]
    Range {
        /// Where the range ends.
        offset: u64,
        /// How many bytes the tree covers.
        covered: u64,
    },
    /// A block of the image differs.
    #[error("the block at offset {offset} of the image is not what its hash says")]
    Data {
        /// Where it begins.
        offset: u64,
    },
    /// A block of the tree differs.
    #[error("the hashes at offset {offset} of the verity data (level {level}) are not what {} says",
        if *.is_top { "the root hash" } else { "the level above" })]
    Hash {
        /// How far from the image it is.
        level: usize,
        /// Where it begins.
        offset: u64,
        /// Whether nothing is above it but the root hash.
        is_top: bool,
    },
    /// Something stands behind the last hash of a level: the tree is that of a longer image.
    #[error("at offset {offset} of the verity data: something stands behind the last hash of level {level}")]
    Spare {
        /// How far from the image it is.
        level: usize,
        /// Where the room behind the last hash begins.
        offset: u64,
    },
    /// The image could not be read.
    #[error("cannot read the image at offset {offset}")]
    ReadData {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// The tree could not be read.
    #[error("cannot read the verity data at offset {offset}")]
    ReadHash {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
}

impl VerifyError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data { .. } | Self::TooShort { .. } => {
                Some("the image is damaged or was changed; get it again".into())
            }
            Self::Hash { is_top: true, .. } => {
                Some("is this the root hash of this image? If so, the image is damaged; get it again".into())
            }
            Self::Hash { .. } | Self::Spare { .. } => {
                Some("the verity data is damaged or was changed; get it again".into())
            }
            _ => None,
        }
    }
}
