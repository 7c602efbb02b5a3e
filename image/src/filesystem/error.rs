//! What can go wrong while an image is read.

use std::io;
use std::path::PathBuf;

use crate::erofs;
use crate::format::Format;
use crate::probe::ProbeError;
use crate::squashfs;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesystemError {
    /// Its length cannot be found out.
    #[error("cannot find the length of the image")]
    Length(#[source] io::Error),
    /// It cannot be looked at.
    #[error(transparent)]
    Probe(ProbeError),
    /// Nothing that we know.
    #[error("this is no erofs or squashfs image, and no disk image")]
    Unknown,
    /// A whole disk where a file system is wanted.
    #[error("this is a disk image with partitions, not a file system")]
    Disk,
    /// The superblock makes no sense.
    #[error("the superblock of the {format} image is not valid at offset {offset}: {defect}")]
    Superblock {
        /// The format.
        format: Format,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        defect: &'static str,
    },
    /// It is sound, for all that is known, and nothing here reads it.
    #[error("the {format} image {what}, which this program does not read")]
    Unsupported {
        /// The format.
        format: Format,
        /// What it does.
        what: String,
    },
    /// A file is compressed in a way that nothing here reads.
    #[error("/{path} of the image is compressed with {algorithm}, which this program does not read", path = .path.display())]
    Compression {
        /// Where, in the image.
        path: PathBuf,
        /// The algorithm, or those of the image.
        algorithm: String,
    },
    /// It is shorter than it says.
    #[error(
        "the image is incomplete: it ends at offset {found}, and by its superblock it has {expected} bytes"
    )]
    Incomplete {
        /// Its size in bytes by its own account.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// The erofs reader refused.
    #[error("the image is damaged near offset {offset}")]
    Erofs {
        /// Where it was read last, in bytes.
        offset: u64,
        /// Why.
        source: erofs::ReadError,
    },
    /// The squashfs reader refused.
    #[error("the image is damaged near offset {offset}")]
    Squashfs {
        /// Where it was read last, in bytes.
        offset: u64,
        /// Why.
        source: squashfs::ReadError,
    },
    /// A name or directory that no sound image has.
    #[error("the image is not sound: /{path}: {defect}", path = .path.display())]
    Structure {
        /// Where, in the image.
        path: PathBuf,
        /// What is wrong.
        defect: &'static str,
    },
    /// The content of a file cannot be read.
    #[error("cannot read /{path} of the image, near its offset {offset}", path = .path.display())]
    Content {
        /// Where, in the image.
        path: PathBuf,
        /// Where the image was read last, in bytes.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// A file is shorter or longer than it says.
    #[error("/{path} of the image has {found} bytes near offset {offset}, and should have {expected}", path = .path.display())]
    Size {
        /// Where, in the image.
        path: PathBuf,
        /// Where the image was read last, in bytes.
        offset: u64,
        /// What its inode says, in bytes.
        expected: u64,
        /// What could be read, in bytes.
        found: u64,
    },
    /// Its files claim more than they may.
    #[error("the files of the image claim to have {claimed} bytes together, more than {limit}")]
    TooMuch {
        /// What they claim.
        claimed: u64,
        /// What they may have.
        limit: u64,
    },
}

impl FilesystemError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Incomplete { .. } => Some("fetch or make the image again".to_owned()),
            Self::TooMuch { claimed, .. } => Some(format!(
                "if that is so, and there is room for it, allow it with --max-content {claimed}"
            )),
            Self::Unsupported { format, .. } => Some(format!("mount it, or use {}", format.tool())),
            Self::Compression { .. } => Some(format!("mount it, or use {}", Format::Erofs.tool())),
            _ => None,
        }
    }
}
