//! Errors that occur while an image is read.

use std::io;
use std::path::PathBuf;

use crate::erofs;
use crate::format::Format;
use crate::probe::ProbeError;
use crate::squashfs;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum FilesystemError {
    #[error("cannot determine the length of the image")]
    Length(#[source] io::Error),
    #[error(transparent)]
    Probe(ProbeError),
    #[error("not an erofs, squashfs or disk image")]
    Unknown,
    #[error("this is a disk image with partitions, not a file system image")]
    Disk,
    #[error("the superblock of the {format} image is invalid at offset {offset}: {defect}")]
    Superblock {
        format: Format,
        /// Where, in bytes.
        offset: u64,
        defect: &'static str,
    },
    #[error("the {format} image {what}, which this program cannot read")]
    Unsupported { format: Format, what: String },
    #[error("/{path} in the image is compressed with {algorithm}, which this program cannot read", path = .path.display())]
    Compression { path: PathBuf, algorithm: String },
    #[error("the image is truncated: {found} of {expected} bytes")]
    Incomplete {
        /// Its size in its superblock, in bytes.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    #[error("the image is damaged near offset {offset}")]
    Erofs {
        /// Offset of the last read, in bytes.
        offset: u64,
        source: erofs::ReadError,
    },
    // The source has the offset in the file system.
    #[error("the image is damaged")]
    Squashfs(#[source] squashfs::ReadError),
    #[error("the image is invalid: /{path}: {defect}", path = .path.display())]
    Structure { path: PathBuf, defect: &'static str },
    #[error("cannot read /{path} in the image{}", near(*.offset), path = .path.display())]
    Content {
        path: PathBuf,
        /// Offset of the last read in the image in bytes, unless the source has it.
        offset: Option<u64>,
        source: io::Error,
    },
    #[error("/{path} in the image should have {expected} bytes, but has {found}, near offset {offset}", path = .path.display())]
    Size {
        path: PathBuf,
        /// Offset of the last read in the image, in bytes.
        offset: u64,
        /// Size in its inode, in bytes.
        expected: u64,
        /// Size of its content, in bytes.
        found: u64,
    },
    #[error("the files in the image claim {claimed} bytes in total, more than the limit of {limit}")]
    TooMuch { claimed: u64, limit: u64 },
}

fn near(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" near offset {offset}"))
}

impl FilesystemError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Incomplete { .. } => Some("download or rebuild the image".to_owned()),
            Self::TooMuch { claimed, .. } => Some(format!(
                "if that is correct and there is enough space, allow it with --max-content {claimed}"
            )),
            Self::Unsupported { format, .. } => Some(format!("mount it or use {}", format.tool())),
            Self::Compression { .. } => Some(format!("mount it or use {}", Format::Erofs.tool())),
            _ => None,
        }
    }
}
