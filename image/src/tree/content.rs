//! The content of a file: bytes, a file on disk, or a part of an open file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::spool::Spool;

/// A modification time, in seconds and nanoseconds.
type Time = (i64, i64);

/// The source of the content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A file on disk, opened when it is needed.
    Path {
        /// The path of the file.
        path: PathBuf,
        /// Its size when the tree was read; another size later is an error.
        size: u64,
        /// Its modification time when the tree was read; another time later is an error.
        modified: Time,
    },
    /// A part of an open file, such as an archive.
    Section {
        /// The open file.
        file: Shared,
        /// Offset of the part, in bytes.
        offset: u64,
        /// Length of the part, in bytes.
        size: u64,
    },
}

/// An open file that several contents share. It must not change while they are in use.
#[derive(Clone, Debug)]
pub struct Shared {
    file: Arc<File>,
    path: Arc<Path>,
}

/// Content that is open for reading. Its size was checked.
#[derive(Debug)]
pub enum Opened<'a> {
    /// Bytes in memory.
    Bytes(io::Cursor<&'a [u8]>),
    /// A file on disk.
    File(File),
    /// A part of an open file.
    Section {
        /// The open file.
        file: &'a File,
        /// Offset of the next byte in the file.
        position: u64,
        /// Start of the part.
        start: u64,
        /// End of the part.
        end: u64,
    },
}

/// Why the content of a file could not be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ContentError {
    #[error("{path} changed while it was read: it had {expected} bytes, now {found}", path = .path.display())]
    Changed { path: PathBuf, expected: u64, found: u64 },
    #[error("{path} changed while it was read: something wrote to it", path = .path.display())]
    Modified { path: PathBuf },
    #[error("{path} is not a regular file", path = .path.display())]
    NotAFile { path: PathBuf },
    #[error("cannot read {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
}

impl Content {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Path { size, .. } | Self::Section { size, .. } => *size,
        }
    }

    /// Everything that was appended to `spool` from `offset` on.
    pub(crate) fn spooled(spool: &Spool, offset: u64) -> Self {
        let file = Shared { file: Arc::clone(spool.file()), path: Arc::clone(spool.directory()) };
        Self::Section { file, offset, size: spool.length() - offset }
    }

    /// The content of a file on disk with this metadata.
    pub(super) fn at(path: PathBuf, found: &std::fs::Metadata) -> Self {
        Self::Path { path, size: found.len(), modified: (found.mtime(), found.mtime_nsec()) }
    }

    /// Opens it at its start.
    pub fn open(&self) -> Result<Opened<'_>, ContentError> {
        let path = match self {
            Self::Bytes(bytes) => return Ok(Opened::Bytes(io::Cursor::new(bytes))),
            Self::Path { path, .. } => path,
            Self::Section { file, offset, size } => {
                let end = offset.saturating_add(*size);
                return Ok(Opened::Section { file: &file.file, position: *offset, start: *offset, end });
            }
        };
        let read = |source| ContentError::Read { path: path.clone(), source };
        // If the file was replaced by a fifo, do not wait for a writer.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("one of the lower bits");
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
        self.check_unchanged(&file)?;
        Ok(Opened::File(file))
    }

    /// Checks that an open file is unchanged since the tree was read.
    fn check_unchanged(&self, file: &File) -> Result<(), ContentError> {
        let found = file.metadata().map_err(|source| self.unreadable(source))?;
        let path = || self.path().to_owned();
        if !found.is_file() {
            return Err(ContentError::NotAFile { path: path() });
        }
        self.same_size(self.size(), found.len())?;
        match self {
            Self::Path { modified, .. } if *modified != (found.mtime(), found.mtime_nsec()) => {
                Err(ContentError::Modified { path: path() })
            }
            _ => Ok(()),
        }
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let mut opened = self.open()?;
        opened.seek(SeekFrom::Start(offset)).map_err(|source| self.unreadable(source))?;
        self.fill(&mut opened, offset, buffer)
    }

    /// Fills `buffer` from `opened`, which is at `offset`. A short file is an error: it was changed.
    pub(crate) fn fill(
        &self,
        opened: &mut Opened<'_>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), ContentError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match opened.read(&mut buffer[filled..]) {
                Ok(0) => return self.same_size(self.size(), offset + filled as u64),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unreadable(source)),
            }
        }
        Ok(())
    }

    /// Checks that the file ends here, and that it was not modified since the tree was read.
    pub(crate) fn at_end(&self, opened: &mut Opened<'_>) -> Result<(), ContentError> {
        let mut surplus = [0];
        match opened.read(&mut surplus) {
            Ok(0) => match opened {
                Opened::File(file) => self.check_unchanged(file),
                Opened::Bytes(_) | Opened::Section { .. } => Ok(()),
            },
            Ok(_) => self.same_size(self.size(), self.size() + 1),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    fn same_size(&self, expected: u64, found: u64) -> Result<(), ContentError> {
        if expected == found {
            return Ok(());
        }
        Err(ContentError::Changed { path: self.path().to_owned(), expected, found })
    }

    pub(crate) fn unreadable(&self, source: io::Error) -> ContentError {
        ContentError::Read { path: self.path().to_owned(), source }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Bytes(_) => Path::new("(bytes in memory)"),
            Self::Path { path, .. } => path,
            Self::Section { file, .. } => &file.path,
        }
    }
}

impl Shared {
    /// Shares an open file; `path` is for messages.
    pub fn new(file: File, path: impl Into<Arc<Path>>) -> Self {
        Self { file: Arc::new(file), path: path.into() }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl PartialEq for Shared {
    /// Compares the open file, not its content.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }
}

impl Eq for Shared {}

impl Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(cursor) => cursor.read(buffer),
            Self::File(file) => file.read(buffer),
            Self::Section { file, position, end, .. } => {
                let left = end.saturating_sub(*position);
                let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let count = file.read_at(&mut buffer[..wanted], *position)?;
                *position += count as u64;
                Ok(count)
            }
        }
    }
}

impl Seek for Opened<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Bytes(cursor) => cursor.seek(position),
            Self::File(file) => file.seek(position),
            Self::Section { position: now, start, end, .. } => {
                let target = match position {
                    SeekFrom::Start(offset) => start.checked_add(offset),
                    SeekFrom::End(offset) => end.checked_add_signed(offset),
                    SeekFrom::Current(offset) => now.checked_add_signed(offset),
                };
                *now = target.filter(|target| target >= start).ok_or(io::ErrorKind::InvalidInput)?;
                Ok(*now - *start)
            }
        }
    }
}
