//! Errors that occur while an archive is read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::magic::{Compression, UnsupportedFormat};
use crate::spool::SpoolError;
use crate::tree::TreeError;
use crate::tree::error::WHY_NO_SPECIALS;

/// Why an archive was not read. Offsets are in the decompressed archive, unless documented otherwise.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TarError {
    #[error("cannot read the archive at offset {offset}")]
    Read {
        /// In bytes, in the file.
        offset: u64,
        source: io::Error,
    },
    #[error("it is {format}")]
    UnsupportedFormat { format: UnsupportedFormat },
    #[error("cannot decompress the {compression} data at offset {offset}: {defect}")]
    Unpack {
        compression: Compression,
        /// In bytes, in the compressed data.
        offset: u64,
        defect: Defect,
    },
    #[error("the archive is truncated: it ends at offset {offset}, inside an entry")]
    Truncated { offset: u64 },
    #[error("the archive is truncated: it ends at offset {offset}, without an end marker")]
    Unfinished { offset: u64 },
    #[error("invalid tar header at offset {offset}: {defect}")]
    Header { offset: u64, defect: &'static str },
    #[error("{path} in the archive, at offset {offset}, is {what}", path = .path.display())]
    Unsupported {
        /// Offset of its header, in bytes.
        offset: u64,
        path: PathBuf,
        what: &'static str,
    },
    #[error("the entry at offset {offset} of the archive")]
    Tree {
        /// Offset of its header, in bytes.
        offset: u64,
        source: TreeError,
    },
    #[error(transparent)]
    Spool(SpoolError),
}

/// A defect of compressed data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// They end too early.
    Truncated,
    /// They cannot be decompressed, with the message of the library.
    Damaged(String),
    /// Other data follow.
    Trailing,
    /// Decompression takes too much memory.
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("unexpected end"),
            Self::Damaged(said) => f.write_str(said),
            Self::Trailing => f.write_str("trailing data"),
            Self::Memory { limit } => {
                write!(f, "decompression takes more than {} MiB of memory", limit >> 20)
            }
        }
    }
}

impl TarError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnsupportedFormat { format } => Some(format!(
                "{}; supported are tar archives, plain or compressed with gzip, xz or zstd",
                format.workaround()
            )),
            Self::Unpack { compression, defect: Defect::Memory { .. }, .. } => {
                let long = if *compression == Compression::Zstd { " --long=31" } else { "" };
                Some(format!("decompress it first with {compression} -dc{long}"))
            }
            Self::Truncated { .. } | Self::Unfinished { .. } | Self::Unpack { .. } => {
                Some("download or rebuild the archive".to_owned())
            }
            Self::Unsupported { what, .. } if what.contains("sparse") => Some(
                "create the archive without --sparse (-S), or extract it and bake the directory".to_owned(),
            ),
            Self::Unsupported { what, path, .. } if what.contains("extension") => {
                Some(format!("exclude {}: {WHY_NO_SPECIALS}", path.display()))
            }
            Self::Spool(error) => error.hint(),
            _ => None,
        }
    }
}
