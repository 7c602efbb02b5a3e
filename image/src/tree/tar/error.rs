//! What can go wrong while an archive is read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::magic::{Compression, Foreign};
use crate::spool::SpoolError;
use crate::tree::TreeError;
use crate::tree::error::WHY_NO_SPECIALS;

/// Why an archive was not read. Offsets are of the archive as it is unpacked, unless they say otherwise.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TarError {
    #[error("cannot read the archive at offset {offset}")]
    Read {
        /// Where, in bytes, of the archive as it lies there.
        offset: u64,
        source: io::Error,
    },
    #[error("it is {foreign}")]
    Foreign { foreign: Foreign },
    #[error("cannot decompress the {compression} data at offset {offset}: {defect}")]
    Unpack {
        compression: Compression,
        /// Where, in bytes of the compressed data.
        offset: u64,
        defect: Defect,
    },
    #[error("the archive is truncated: it ends at offset {offset}, inside an entry")]
    Truncated {
        /// Where it ends, in bytes.
        offset: u64,
    },
    #[error("the archive is truncated: it ends at offset {offset}, without an end marker")]
    Unfinished {
        /// Where it ends, in bytes.
        offset: u64,
    },
    #[error("invalid tar header at offset {offset}: {defect}")]
    Header {
        /// Where, in bytes.
        offset: u64,
        defect: &'static str,
    },
    #[error("{path} in the archive, at offset {offset}, is {what}", path = .path.display())]
    Unsupported {
        /// Where its header is, in bytes.
        offset: u64,
        path: PathBuf,
        what: &'static str,
    },
    #[error("the entry at offset {offset} of the archive")]
    Tree {
        /// Where its header is, in bytes.
        offset: u64,
        source: TreeError,
    },
    #[error(transparent)]
    Spool(SpoolError),
}

/// What is wrong with compressed data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// They end before they should.
    Truncated,
    /// They cannot be unpacked: what the library says.
    Damaged(String),
    /// Something follows that is none of them.
    Trailing,
    /// Unpacking takes more memory than it may.
    Memory {
        /// How much it may take, in bytes.
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
            Self::Foreign { foreign } => Some(format!(
                "{}; supported are tar archives, plain or compressed with gzip, xz or zstd",
                foreign.way_out()
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
