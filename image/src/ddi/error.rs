//! Errors of reading and writing disk images.

use std::error::Error;
use std::io;

use super::Architecture;
use crate::{gpt, verity};

/// Why an image was not written. The output then contains an incomplete image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WriteError {
    #[error("cannot hash the file system of the disk image")]
    Verity(#[source] verity::WriteError),
    #[error("cannot lay out the partitions of the disk image")]
    Layout(#[source] gpt::LayoutError),
    #[error("cannot sign the root hash")]
    Sign(#[source] Box<dyn Error + Send + Sync>),
    #[error("the signature of the root hash has {size} bytes, but its partition has 16384")]
    SignatureTooLong { size: u64 },
    #[error("cannot read the file system at offset {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("cannot write the disk image at offset {offset}")]
    Output { offset: u64, source: io::Error },
}

/// Why an image could not be read or verified.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ReadError {
    #[error("cannot read the partitions of the disk image")]
    Table(#[from] gpt::ReadError),
    #[error("none of the {partitions} partitions is a root or usr file system for x86-64, arm64 or riscv64")]
    Absent { partitions: usize },
    #[error("partitions {first} and {second} of the disk image are both {what}")]
    Ambiguous { first: usize, second: usize, what: String },
    #[error("the disk image has no verity partition")]
    NoVerity,
    #[error("the disk image has no signature partition")]
    NoSignature,
    #[error("the signature partition is invalid at offset {offset}: {reason}")]
    Signature { offset: u64, reason: String },
    #[error(
        "the signature partition at offset {offset} is for the root hash {signed}, but the image has {image}"
    )]
    OtherRootHash { offset: u64, signed: verity::RootHash, image: verity::RootHash },
    #[error("the disk image is for {found}, not for {wanted}")]
    Architecture { found: Architecture, wanted: Architecture },
    #[error("cannot read the disk image at offset {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("cannot verify the file system in the partition at offset {partition}")]
    Verity { partition: u64, source: verity::VerifyError },
    #[cfg(feature = "pkcs7")]
    #[error("cannot verify the signature of the disk image")]
    Untrusted(#[from] crate::pkcs7::VerifyError),
}

impl WriteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Verity(error) => error.hint(),
            _ => None,
        }
    }
}

impl ReadError {
    /// What the user can do about it.
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
