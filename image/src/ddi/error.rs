//! What can go wrong with a disk image.

use std::error::Error;
use std::io;

use super::Architecture;
use crate::{gpt, verity};

/// Why an image was not written. What reached the output by then is no image.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is nothing that could be verified.
    #[error("the filesystem of the disk image")]
    Verity(#[source] verity::WriteError),
    /// The partitions are too large.
    #[error("the partitions of the disk image")]
    Layout(#[source] gpt::LayoutError),
    /// The root hash was not signed.
    #[error("cannot sign the root hash")]
    Sign(#[source] Box<dyn Error + Send + Sync>),
    /// The signature has no room in its partition.
    #[error("the signature of the root hash takes {size} bytes, and its partition has 16384")]
    SignatureTooLong {
        /// What it takes.
        size: u64,
    },
    /// The filesystem could not be read.
    #[error("cannot read the filesystem at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// The output refused bytes.
    #[error("cannot write the disk image at offset {offset}")]
    Output {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
}

/// Why an image could not be read, or is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has no sound partition table.
    #[error("cannot read the partitions of the disk image")]
    Table(#[from] gpt::ReadError),
    /// No partition is a filesystem that is known here.
    #[error("none of the {partitions} partitions is a root or usr filesystem for x86-64, arm64 or riscv64")]
    Absent {
        /// How many there are.
        partitions: usize,
    },
    /// Nothing says which partition to take.
    #[error("partitions {first} and {second} of the disk image both are {what}")]
    Ambiguous {
        /// The number of one.
        first: usize,
        /// The number of the other.
        second: usize,
        /// What both are.
        what: String,
    },
    /// There is no tree, so nothing can be verified.
    #[error("the disk image has no verity partition")]
    NoVerity,
    /// There is no signature.
    #[error("the disk image has no signature partition")]
    NoSignature,
    /// The signature partition is none.
    #[error("the signature partition at offset {offset}: {reason}")]
    Signature {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The signature is of something else.
    #[error(
        "the signature partition at offset {offset} is for the root hash {signed}, the image has {image}"
    )]
    OtherRootHash {
        /// Where the partition lies.
        offset: u64,
        /// What was signed.
        signed: verity::RootHash,
        /// What the partitions' UUIDs say.
        image: verity::RootHash,
    },
    /// For machines of another kind.
    #[error("the disk image is for {found}, not for {wanted}")]
    Architecture {
        /// What it is for.
        found: Architecture,
        /// What was asked for.
        wanted: Architecture,
    },
    /// The image could not be read.
    #[error("cannot read the disk image at offset {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// The filesystem is not what the root hash vouches for. Offsets are those in the partition.
    #[error("the filesystem of the disk image, in the partition at offset {partition}")]
    Verity {
        /// Where the filesystem begins, in the image.
        partition: u64,
        /// What is wrong.
        source: verity::VerifyError,
    },
    /// The signature is not accepted.
    #[cfg(feature = "pkcs7")]
    #[error("the signature of the disk image")]
    Untrusted(#[from] crate::pkcs7::VerifyError),
}

impl WriteError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Verity(error) => error.hint(),
            _ => None,
        }
    }
}

impl ReadError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Table(error) => error.hint(),
            Self::Verity { source, .. } => source.hint(),
            #[cfg(feature = "pkcs7")]
            Self::Untrusted(error) => error.hint(),
            _ => None,
        }
    }
}
