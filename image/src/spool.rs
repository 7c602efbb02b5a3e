//! A temporary file for data that has to wait: compressed blocks until the size of what precedes them is
//! known, and the content of files whose source can be read only once.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An unnamed temporary file that only grows at its end. The system removes it when the last reference to
/// it is gone, even if the process is killed.
#[derive(Debug)]
pub(crate) struct Spool {
    file: Arc<File>,
    directory: Arc<Path>,
    length: u64,
}

/// A temporary file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} a temporary file in {directory}", directory = .directory.display())]
pub struct SpoolError {
    /// The operation that failed.
    pub operation: Operation,
    /// The directory for temporary files.
    pub directory: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

/// An operation on a temporary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creating it.
    Create,
    /// Reading bytes back.
    Read,
    /// Appending bytes.
    Write,
}

impl SpoolError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self.operation {
            Operation::Create | Operation::Write => {
                Some("set TMPDIR to a writable directory with more free space".to_owned())
            }
            Operation::Read => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl Spool {
    pub(crate) fn new(directory: &Path) -> Result<Self, SpoolError> {
        match tempfile::tempfile_in(directory) {
            Ok(file) => Ok(Self { file: Arc::new(file), directory: directory.into(), length: 0 }),
            Err(source) => {
                Err(SpoolError { operation: Operation::Create, directory: directory.to_owned(), source })
            }
        }
    }

    /// The offset of the next byte that is appended.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The open file, for readers that outlive the spool.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The directory of the file, for messages.
    pub(crate) fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|source| self.failed(Operation::Write, source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops everything from `length` on.
    pub(crate) fn truncate(&mut self, length: u64) {
        self.length = length;
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SpoolError> {
        self.file.read_exact_at(buffer, offset).map_err(|source| self.failed(Operation::Read, source))
    }

    fn failed(&self, operation: Operation, source: io::Error) -> SpoolError {
        SpoolError { operation, directory: self.directory.to_path_buf(), source }
    }
}
