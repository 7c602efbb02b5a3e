//! A file system image that somebody else may have made, whatever its format: what it holds, and
//! what it needs.
//!
//! [`Filesystem`] is one type over the readers of all formats. What an image claims is not
//! believed: what is read is bounded by [`Limits`], and an error says near which offset of the
//! image it arose.

mod error;
mod facts;
mod format;
mod limits;
mod section;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

pub use error::FilesystemError;
pub use facts::{Facts, Feature};
pub use format::{Format, UnknownFormat};
pub use limits::Limits;
pub use section::{Section, Trace};

use crate::entry::{Entry, EntryKind, Xattrs};
use crate::erofs;
use crate::probe::{self, Kind};

/// How much of a file is read at a time, in bytes.
const PIECE: usize = 128 << 10;

/// A file system image that is open for reading.
pub struct Filesystem<R: Read + Seek + Send> {
    reader: Reader<R>,
    facts: Facts,
    /// Length of the image in bytes.
    length: u64,
    trace: Trace,
}

enum Reader<R: Read + Seek + Send> {
    Erofs(erofs::Reader<Section<R>>),
}

impl<R: Read + Seek + Send> Filesystem<R> {
    /// Opens the image that `source` holds from its beginning to its end.
    pub fn open(mut source: R) -> Result<Self, FilesystemError> {
        let length = source.seek(SeekFrom::End(0)).map_err(FilesystemError::Length)?;
        Self::open_section(Section::new(source, 0, length))
    }

    /// Opens the image in a part of a file, as in a partition of a disk.
    pub fn open_section(mut section: Section<R>) -> Result<Self, FilesystemError> {
        let length = section.length();
        let trace = section.trace();
        let kind = probe::probe(&mut section).map_err(FilesystemError::Probe)?;
        let facts = match kind {
            Kind::Erofs(superblock) => facts::erofs(&mut section, superblock)?,
            Kind::Squashfs => facts::squashfs(&mut section)?,
            Kind::Gpt { .. } => return Err(FilesystemError::Disk),
            Kind::Unknown => return Err(FilesystemError::Unknown),
        };
        if facts.size > length {
            return Err(FilesystemError::Incomplete { expected: facts.size, found: length });
        }
        let reader = match facts.format {
            Format::Erofs => Reader::Erofs(
                erofs::Reader::open(section)
                    .map_err(|source| FilesystemError::Erofs { offset: trace.offset(), source })?,
            ),
            Format::Squashfs => return Err(FilesystemError::Unsupported { format: facts.format }),
        };
        Ok(Self { reader, facts, length, trace })
    }

    /// What the superblock says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Length of the image in bytes, as it lies there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Every name in the image, the root first, a directory before what is in it, and siblings in
    /// the order of their names' bytes. Names are found to be names, each directory to have one.
    pub fn entries(&self) -> Result<Vec<Entry>, FilesystemError> {
        let mut entries = match &self.reader {
            Reader::Erofs(reader) => reader.entries().map_err(|source| self.erofs(source))?,
        };
        check_names(&entries)?;
        // By components: `a.b` comes after everything in `a`.
        entries.sort_by(|a, b| a.path.iter().cmp(b.path.iter()));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let path = pair[1].path.clone();
            return Err(FilesystemError::Structure { path, defect: "its directory has the name twice" });
        }
        Ok(entries)
    }

    /// Passes on the content of a regular file that [`entries`](Self::entries) listed, in pieces.
    /// It is as long as the entry says, or an error.
    pub fn content<E: From<FilesystemError>>(
        &self,
        entry: &Entry,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut file = match &self.reader {
            Reader::Erofs(reader) => reader.file(entry).map_err(|source| self.erofs(source))?,
        };
        let mut buffer = vec![0; PIECE];
        let mut found = 0;
        loop {
            let count = match file.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let (path, offset) = (entry.path.clone(), self.trace.offset());
                    return Err(FilesystemError::Content { path, offset, source }.into());
                }
            };
            found += count as u64;
            if found > entry.size || count == 0 && found < entry.size {
                let (path, expected) = (entry.path.clone(), entry.size);
                return Err(FilesystemError::Size { path, expected, found }.into());
            }
            if count == 0 {
                return Ok(());
            }
            take(&buffer[..count])?;
        }
    }

    /// The whole content of the regular file at `path`, if it has no more than `limit` bytes;
    /// `None` if the image has no such path. Links are not followed.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.read(path, limit).map_err(|source| self.erofs(source)),
        }
    }

    /// The names in the directory `path`; `None` if the image has no such path.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.list(path).map_err(|source| self.erofs(source)),
        }
    }

    /// The extended attributes of what is at `path`, by full name; `None` if the image has no
    /// such path. Links are not followed.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Option<Xattrs>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.xattrs(path).map_err(|source| self.erofs(source)),
        }
    }

    fn erofs(&self, source: erofs::ReadError) -> FilesystemError {
        FilesystemError::Erofs { offset: self.trace.offset(), source }
    }
}

impl<R: Read + Seek + Send> fmt::Debug for Filesystem<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filesystem")
            .field("facts", &self.facts)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// A name that leads elsewhere would be followed by whoever joins it to a directory. A directory
/// with two names is a loop, or would be written out as often as it is named.
fn check_names(entries: &[Entry]) -> Result<(), FilesystemError> {
    let mut directories = std::collections::HashSet::new();
    for entry in entries {
        let refuse = |defect| Err(FilesystemError::Structure { path: entry.path.clone(), defect });
        if let Some(defect) = format::path_defect(&entry.path) {
            return refuse(defect);
        }
        if entry.kind == EntryKind::Directory && !directories.insert(entry.inode) {
            return refuse("the directory has another name too");
        }
    }
    Ok(())
}
