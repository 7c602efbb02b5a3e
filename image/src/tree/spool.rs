//! Keeps the content of many files in one temporary file without a name, which ends with the process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Content, Shared};

/// A file that grows, and of which contents are parts.
#[derive(Debug)]
pub(crate) struct Spool {
    shared: Shared,
    length: u64,
}

/// Content could not be set aside.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep files in a temporary file in {directory}", directory = .directory.display())]
pub struct SpoolError {
    /// Where temporary files go.
    pub directory: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl SpoolError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some("set TMPDIR to a directory with more room".to_owned())
    }
}

impl Spool {
    pub(crate) fn new(directory: &Path) -> Result<Self, SpoolError> {
        match tempfile::tempfile_in(directory) {
            Ok(file) => Ok(Self::of(file, directory)),
            Err(source) => Err(SpoolError { directory: directory.to_owned(), source }),
        }
    }

    fn of(file: File, directory: &Path) -> Self {
        Self { shared: Shared::new(file, directory), length: 0 }
    }

    /// Where the next bytes go.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let written = self.shared.file().write_all_at(bytes, self.length);
        written.map_err(|source| SpoolError { directory: self.shared.path().to_owned(), source })?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Everything that was appended since it had the length `offset`.
    pub(crate) fn content(&self, offset: u64) -> Content {
        Content::Section { file: self.shared.clone(), offset, size: self.length - offset }
    }
}
