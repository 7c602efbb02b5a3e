//! Reads file system images of all formats, which may be damaged or hostile.
//!
//! [`Filesystem`] is one type for the readers of all formats. The claims of an image are not trusted:
//! [`Limits`] bound what is read, and an error reports the offset of the image near which it occurred.

mod error;
mod facts;
mod limits;
mod path;
mod section;
#[cfg(test)]
mod tests;
mod tree;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

pub use crate::erofs::Checksum;
pub use error::FilesystemError;
pub use facts::{Facts, Feature};
pub use limits::Limits;
pub use section::{Section, Trace};
pub use tree::ToTreeError;

use crate::entry::{Entry, EntryKind, Layout, Xattrs};
use crate::erofs;
use crate::format::Format;
use crate::probe::{ImageKind, probe};
use crate::squashfs;

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
    Squashfs(squashfs::Reader<Section<R>>),
}

/// Reads the content of a file. It is exactly as long as its entry claims, or reading fails.
pub struct FileReader<'a, R: Read + Seek + Send> {
    inner: InnerReader<'a, R>,
    entry: &'a Entry,
    image: &'a Filesystem<R>,
    /// Bytes read so far.
    found: u64,
}

enum InnerReader<'a, R: Read + Seek + Send> {
    Erofs(erofs::FileReader<'a, Section<R>>),
    Squashfs(squashfs::FileReader<'a, Section<R>>),
}

impl<R: Read + Seek + Send> Filesystem<R> {
    /// Opens the image in all of `source`.
    pub fn open(mut source: R) -> Result<Self, FilesystemError> {
        let length = source.seek(SeekFrom::End(0)).map_err(FilesystemError::Length)?;
        Self::open_section(Section::new(source, 0, length))
    }

    /// Opens the image in a part of a file, such as a partition of a disk.
    pub fn open_section(mut section: Section<R>) -> Result<Self, FilesystemError> {
        let length = section.length();
        let trace = section.trace();
        let kind = probe(&mut section).map_err(FilesystemError::Probe)?;
        let facts = match kind {
            ImageKind::Filesystem(Format::Erofs) => facts::erofs(&mut section)?,
            ImageKind::Filesystem(Format::Squashfs) => facts::squashfs(&mut section)?,
            ImageKind::Disk => return Err(FilesystemError::Disk),
            ImageKind::Unknown => return Err(FilesystemError::Unknown),
        };
        if facts.features.iter().any(|feature| feature.since.is_none()) {
            let what = "has unknown features".to_owned();
            return Err(FilesystemError::Unsupported { format: facts.format, what });
        }
        if facts.size > length {
            return Err(FilesystemError::Incomplete { expected: facts.size, found: length });
        }
        let reader = match facts.format {
            Format::Erofs => Reader::Erofs(
                erofs::Reader::open(section)
                    .map_err(|source| FilesystemError::Erofs { offset: trace.offset(), source })?,
            ),
            Format::Squashfs => {
                Reader::Squashfs(squashfs::Reader::open(section).map_err(FilesystemError::Squashfs)?)
            }
        };
        Ok(Self { reader, facts, length, trace })
    }

    /// The properties of the image from its superblock.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The trace of reads, with which one can find the use of an offset.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Length of the file or partition with the image, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Every name in the image, the root first, a directory before its entries, and siblings in the order of
    /// their bytes. All names are valid file names, and every directory has exactly one.
    pub fn entries(&self) -> Result<Vec<Entry>, FilesystemError> {
        let mut entries = match &self.reader {
            Reader::Erofs(reader) => reader.entries().map_err(|source| self.erofs(source))?,
            Reader::Squashfs(reader) => reader.entries().map_err(|source| self.squashfs(source))?,
        };
        check_names(&entries)?;
        // By components: `a.b` comes after everything in `a`.
        entries.sort_by(|a, b| a.path.iter().cmp(b.path.iter()));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let path = pair[1].path.clone();
            return Err(FilesystemError::Structure { path, defect: "its directory contains the name twice" });
        }
        Ok(entries)
    }

    /// The content of a regular file that [`entries`](Self::entries) listed.
    pub fn file<'a>(&'a self, entry: &'a Entry) -> Result<FileReader<'a, R>, FilesystemError> {
        let unreadable = self.facts.unreadable();
        if entry.layout == Layout::Compressed && !unreadable.is_empty() && unreadable == self.facts.algorithms
        {
            return Err(self.compression(entry));
        }
        let inner = match &self.reader {
            Reader::Erofs(reader) => {
                InnerReader::Erofs(reader.file(entry).map_err(|source| self.erofs(source))?)
            }
            Reader::Squashfs(reader) => {
                InnerReader::Squashfs(reader.file(entry).map_err(|source| self.squashfs(source))?)
            }
        };
        Ok(FileReader { inner, entry, image: self, found: 0 })
    }

    /// Passes the content of a regular file that [`entries`](Self::entries) listed to `take`, in pieces.
    /// It is exactly as long as the entry claims, or an error is returned.
    pub fn content<E: From<FilesystemError>>(
        &self,
        entry: &Entry,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut file = self.file(entry)?;
        let mut buffer = vec![0; usize::try_from(entry.size).map_or(PIECE, |size| size.clamp(1, PIECE))];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => take(&buffer[..count])?,
            }
        }
    }

    /// The content of the regular file at `path`, which may have at most `limit` bytes; `None` if the image
    /// has no such path. Links are not followed.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.read(path, limit).map_err(|source| self.erofs(source)),
            Reader::Squashfs(reader) => reader.read(path, limit).map_err(|source| self.squashfs(source)),
        }
    }

    /// The names in the directory `path`; `None` if the image has no such path.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.list(path).map_err(|source| self.erofs(source)),
            Reader::Squashfs(reader) => reader.list(path).map_err(|source| self.squashfs(source)),
        }
    }

    /// The extended attributes at `path`, by full name; `None` if the image has no such path. Links are not
    /// followed.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Option<Xattrs>, FilesystemError> {
        match &self.reader {
            Reader::Erofs(reader) => reader.xattrs(path).map_err(|source| self.erofs(source)),
            Reader::Squashfs(reader) => reader.xattrs(path).map_err(|source| self.squashfs(source)),
        }
    }

    fn compression(&self, entry: &Entry) -> FilesystemError {
        FilesystemError::Compression {
            path: entry.path.clone(),
            algorithm: self.facts.unreadable().join(" or "),
        }
    }

    fn erofs(&self, source: erofs::ReadError) -> FilesystemError {
        match source {
            erofs::ReadError::Unsupported { path } => socket(Format::Erofs, &path),
            source => FilesystemError::Erofs { offset: self.trace.offset(), source },
        }
    }

    fn squashfs(&self, source: squashfs::ReadError) -> FilesystemError {
        match source {
            squashfs::ReadError::Unsupported { path } => socket(Format::Squashfs, &path),
            source => FilesystemError::Squashfs(source),
        }
    }
}

impl<R: Read + Seek + Send> FileReader<'_, R> {
    /// Reads the next bytes. Returns 0 only at the end or for an empty buffer.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FilesystemError> {
        let read = loop {
            let read = match &mut self.inner {
                InnerReader::Erofs(file) => file.read(buffer),
                InnerReader::Squashfs(file) => file.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let Entry { path, size: expected, .. } = self.entry;
        let image = self.image;
        let offset = image.trace.offset();
        let count = read.map_err(|source| match source.kind() {
            io::ErrorKind::Unsupported if !image.facts.unreadable().is_empty() => {
                image.compression(self.entry)
            }
            _ => {
                let is_located = source.get_ref().is_some_and(|inner| inner.is::<squashfs::Fault>());
                let offset = (!is_located).then_some(offset);
                FilesystemError::Content { path: path.clone(), offset, source }
            }
        })?;
        self.found += count as u64;
        if self.found > *expected || count == 0 && self.found < *expected {
            let (path, expected, found) = (path.clone(), *expected, self.found);
            return Err(FilesystemError::Size { path, offset, expected, found });
        }
        Ok(count)
    }
}

impl<R: Read + Seek + Send> fmt::Debug for FileReader<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("entry", self.entry).finish_non_exhaustive()
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

/// The error for a socket, which is valid but useless in an image.
fn socket(format: Format, path: &Path) -> FilesystemError {
    FilesystemError::Unsupported { format, what: format!("contains a socket, /{}", path.display()) }
}

/// Rejects names that would leave a directory they are joined to, and directories with two names, which are
/// loops or would be extracted once for each name.
fn check_names(entries: &[Entry]) -> Result<(), FilesystemError> {
    let mut directories = std::collections::HashSet::new();
    for entry in entries {
        let refuse = |defect| Err(FilesystemError::Structure { path: entry.path.clone(), defect });
        if let Some(defect) = path::defect(&entry.path) {
            return refuse(defect);
        }
        if entry.kind == EntryKind::Directory && !directories.insert(entry.inode) {
            return refuse("the directory has more than one name");
        }
    }
    Ok(())
}
