//! What can go wrong while an archive is read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::tree::TreeError;
use crate::tree::spool::SpoolError;

/// Why an archive was not read. Offsets are of the archive as it is unpacked.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The archive cannot be read, or not be decompressed.
    #[error("cannot read the archive at offset {offset}")]
    Read {
        /// Where, in bytes.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// A compression that is not read here.
    #[error("the archive is compressed with {compression}")]
    Compressed {
        /// Which one.
        compression: Compression,
    },
    /// It ends within an entry.
    #[error("the archive ends at offset {offset}, in the middle of an entry")]
    Truncated {
        /// Where it ends, in bytes.
        offset: u64,
    },
    /// It ends between entries, without saying that this is the end.
    #[error("the archive ends at offset {offset}, without the mark that ends an archive")]
    Unfinished {
        /// Where it ends, in bytes.
        offset: u64,
    },
    /// What stands where a header should be is none.
    #[error("no tar header at offset {offset}: {defect}")]
    Header {
        /// Where, in bytes.
        offset: u64,
        /// What is wrong.
        defect: &'static str,
    },
    /// Something that no tree can hold.
    #[error("{path} in the archive, at offset {offset}, is {what}", path = .path.display())]
    Unsupported {
        /// Where its header is, in bytes.
        offset: u64,
        /// Its name.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A name, target or link that does not fit into a tree.
    #[error("the entry at offset {offset} of the archive")]
    Tree {
        /// Where its header is, in bytes.
        offset: u64,
        /// What is wrong.
        source: TreeError,
    },
    /// Content could not be set aside.
    #[error(transparent)]
    Spool(SpoolError),
}

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Bzip2.
    Bzip2,
    /// Gzip.
    Gzip,
    /// XZ.
    Xz,
    /// Zstandard, which is read here.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

impl TarError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Compressed { compression } => Some(format!(
                "unpack it first, with {compression} -dc; plain tar and zstd are read as they are"
            )),
            Self::Truncated { .. } | Self::Unfinished { .. } => {
                Some("fetch or make the archive again".to_owned())
            }
            Self::Unsupported { what, .. } if what.contains("sparse") => {
                Some("make the archive without --sparse".to_owned())
            }
            Self::Spool(error) => error.hint(),
            _ => None,
        }
    }
}
