//! Holds compressed data on disk until the size of what precedes it in the image is known.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A temporary file could not be made, written or read.
#[derive(Debug)]
pub(super) struct SpoolError {
    pub(super) directory: PathBuf,
    pub(super) source: io::Error,
}

/// A temporary file without a name, which ends with the process.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    directory: PathBuf,
    length: u64,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Result<Self, SpoolError> {
        let directory = directory.to_owned();
        match tempfile::tempfile_in(&directory) {
            Ok(file) => Ok(Self { file, directory, length: 0 }),
            Err(source) => Err(SpoolError { directory, source }),
        }
    }

    /// Where the next bytes go.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.file.write_all_at(bytes, self.length).map_err(|source| self.failed(source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything from `length` on.
    pub(super) fn truncate(&mut self, length: u64) {
        self.length = length;
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SpoolError> {
        self.file.read_exact_at(buffer, offset).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> SpoolError {
        SpoolError { directory: self.directory.clone(), source }
    }
}
