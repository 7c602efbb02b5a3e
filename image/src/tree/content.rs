//! The content of a file: bytes, or a path on disk and the size it had.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the content of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A file on disk, opened when it is needed.
    Path {
        /// Where it is.
        path: PathBuf,
        /// The size it had when the tree was made; another size later is an error.
        size: u64,
    },
}

/// Content that is open for reading, and is known to have the size it should have.
#[derive(Debug)]
pub enum Opened<'a> {
    /// In memory.
    Bytes(io::Cursor<&'a [u8]>),
    /// On disk.
    File(File),
}

/// Why the content of a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It has another size than when the tree was made.
    #[error("{path} changed while it was read: it had {expected} bytes, now {found}", path = .path.display())]
    Changed {
        /// Where, on disk.
        path: PathBuf,
        /// Size when the tree was made.
        expected: u64,
        /// Size now.
        found: u64,
    },
    /// It is no regular file any more.
    #[error("{path} is not a regular file", path = .path.display())]
    NotAFile {
        /// Where, on disk.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Content {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Path { size, .. } => *size,
        }
    }

    /// Opens it, with the position at the start.
    pub fn open(&self) -> Result<Opened<'_>, ContentError> {
        let (path, expected) = match self {
            Self::Bytes(bytes) => return Ok(Opened::Bytes(io::Cursor::new(bytes))),
            Self::Path { path, size } => (path, *size),
        };
        let read = |source| ContentError::Read { path: path.clone(), source };
        // A file that was replaced by a fifo must not make the program wait for a writer.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("one of the lower bits");
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(ContentError::NotAFile { path: path.clone() });
        }
        self.same_size(expected, metadata.len())?;
        Ok(Opened::File(file))
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let mut opened = self.open()?;
        opened.seek(SeekFrom::Start(offset)).map_err(|source| self.unreadable(source))?;
        self.fill(&mut opened, offset, buffer)
    }

    /// Fills `buffer` from `opened`, which stands at `offset`. An early end is a changed file.
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

    /// Reads on to make sure that the file ends where it should.
    pub(crate) fn at_end(&self, opened: &mut Opened<'_>) -> Result<(), ContentError> {
        let mut surplus = [0];
        match opened.read(&mut surplus) {
            Ok(0) => Ok(()),
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
        }
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(cursor) => cursor.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Opened<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Bytes(cursor) => cursor.seek(position),
            Self::File(file) => file.seek(position),
        }
    }
}
