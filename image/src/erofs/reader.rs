//! Reads an image without mounting it, through `erofs-rs` with our own backend: its memory map would crash
//! the process if the file is truncated meanwhile.

mod error;
mod fragments;
mod superblock;

use std::ffi::OsString;
use std::fmt;
use std::future::{self, Future};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use erofs_rs::r#async::{EroFS, File};
use erofs_rs::backend::AsyncImage;
use erofs_rs::types;
use rustix::fs::FileType;

pub use error::ReadError;
pub use superblock::Checksum;
pub(crate) use superblock::{Superblock, SuperblockError};

use self::fragments::{Fragment, Pieces};
use crate::entry::{Device, Entry, EntryKind, Layout, Special, TARGET_MAX, Xattrs, permissions};

/// The minimum size of a name in an image: its entry and one byte. Bounds the number of names in an image of
/// a given size, unless directories share blocks, which no writer does.
const SMALLEST_NAME: u64 = 13;

/// How many bytes the paths and attributes of all names may have in total, in the smallest image.
const METADATA_LEAST: u64 = 16 << 20;

/// How many more bytes per byte of the image. Paths repeat the names of their directories, and attributes may
/// be shared, so a hostile image could fill the memory with them.
const METADATA_FACTOR: u64 = 4;

/// An image that is open for reading.
pub struct Reader<R: Read + Seek + Send> {
    filesystem: EroFS<Backend<R>>,
    /// The same backend that the library reads from.
    backend: Backend<R>,
    pieces: Mutex<Pieces>,
    length: u64,
}

/// The content of a file in an image.
pub struct FileReader<'a, R: Read + Seek + Send> {
    file: Source<'a, R>,
}

enum Source<'a, R: Read + Seek + Send> {
    File(File<'a, Backend<R>>),
    Packed(&'a Reader<R>, Fragment),
}

impl<R: Read + Seek + Send> Reader<R> {
    /// Opens the image that starts at the beginning of `source`.
    pub fn open(mut source: R) -> Result<Self, ReadError> {
        let length = source.seek(SeekFrom::End(0)).map_err(ReadError::Length)?;
        let backend = Backend { source: Arc::new(Mutex::new(source)), length };
        let filesystem = block_on(EroFS::new(backend.clone())).map_err(ReadError::Open)?;
        Ok(Self { filesystem, backend, pieces: Mutex::default(), length })
    }

    /// Every name in the image, the root first, a directory before its entries.
    pub fn entries(&self) -> Result<Vec<Entry>, ReadError> {
        let limit = self.length / SMALLEST_NAME;
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| ReadError::List { path, source }
        };
        let mut last = PathBuf::new();
        let root = self.filesystem.super_block().root_inode_id();
        let root = block_on(self.filesystem.get_inode(root)).map_err(at(&last))?;
        let mut entries = vec![self.entry(PathBuf::new(), root)?];
        let most = self.length.saturating_mul(METADATA_FACTOR).max(METADATA_LEAST);
        let mut metadata = 0;
        let mut walk = block_on(self.filesystem.walk_dir("/")).map_err(at(&last))?;
        while let Some(found) = block_on(walk.next_entry()) {
            let found = found.map_err(at(&last))?;
            if entries.len() as u64 > limit {
                return Err(ReadError::TooMany { limit });
            }
            let path = found.dir_entry.path().into_vec();
            let path = path.strip_prefix(b"/").unwrap_or(&path).to_owned();
            last = PathBuf::from(OsString::from_vec(path));
            let entry = self.entry(last.clone(), found.inode)?;
            let xattrs = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            metadata += (last.as_os_str().len() + xattrs) as u64;
            if metadata > most {
                return Err(ReadError::TooMuch { limit: most });
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The content of a regular file that [`entries`](Self::entries) listed.
    pub fn file(&self, entry: &Entry) -> Result<FileReader<'_, R>, ReadError> {
        let failed = |source| ReadError::Read { path: entry.path.clone(), source };
        let inode = block_on(self.filesystem.get_inode(entry.inode)).map_err(failed)?;
        let file = self.filesystem.open_inode_file(inode).map_err(failed)?;
        Ok(FileReader {
            file: match self.fragment(&inode).map_err(failed)? {
                Some(fragment) => Source::Packed(self, fragment),
                None => Source::File(file),
            },
        })
    }

    /// The content of the regular file at `path`, which may have at most `limit` bytes; `None` if the image
    /// has no such path. Links are not followed.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let path = path.as_ref();
        let failed = |source| ReadError::Read { path: path.to_owned(), source };
        let file = match block_on(self.filesystem.open(path.as_os_str().as_encoded_bytes())) {
            Ok(file) => file,
            Err(erofs_rs::Error::PathNotFound(_)) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let size = file.size();
        if size > limit {
            return Err(ReadError::TooLong { path: path.to_owned(), size, limit });
        }
        let mut content = Vec::new();
        let mut reader = FileReader { file: Source::File(file) };
        // Do not allocate the size that the image claims: it may contain less.
        reader.by_ref().take(limit).read_to_end(&mut content).map_err(|error| failed(error.into()))?;
        Ok(Some(content))
    }

    /// The extended attributes at `path`, by full name; `None` if the image has no such path. Links are not
    /// followed.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Option<Xattrs>, ReadError> {
        let path = path.as_ref();
        match block_on(self.filesystem.xattrs(path.as_os_str().as_encoded_bytes())) {
            Ok(xattrs) => Ok(Some(xattrs)),
            Err(erofs_rs::Error::PathNotFound(_)) => Ok(None),
            Err(source) => Err(ReadError::Read { path: path.to_owned(), source }),
        }
    }

    /// The names in the directory `path`; `None` if the image has no such path.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>, ReadError> {
        let path = path.as_ref();
        let failed = |source| ReadError::List { path: path.to_owned(), source };
        let limit = self.length / SMALLEST_NAME;
        let mut walk = match block_on(self.filesystem.read_dir(path.as_os_str().as_encoded_bytes())) {
            Ok(walk) => walk,
            Err(erofs_rs::Error::PathNotFound(_)) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut names = Vec::new();
        while let Some(found) = block_on(walk.next_entry()) {
            let found = found.map_err(failed)?;
            if names.len() as u64 > limit {
                return Err(ReadError::TooMany { limit });
            }
            names.push(OsString::from_vec(found.dir_entry.file_name().to_vec()));
        }
        Ok(Some(names))
    }

    fn entry(&self, path: PathBuf, inode: types::Inode) -> Result<Entry, ReadError> {
        let failed = |source| ReadError::Read { path: path.clone(), source };
        let kind = if inode.is_dir() {
            EntryKind::Directory
        } else if inode.is_file() {
            EntryKind::File
        } else if inode.is_symlink() {
            if inode.data_size() > TARGET_MAX as u64 {
                return Err(ReadError::Target { length: inode.data_size(), path });
            }
            let target = block_on(self.filesystem.read_link_inode(inode)).map_err(failed)?;
            EntryKind::Symlink(OsString::from_vec(target.into_vec()))
        } else {
            let special = special(&inode).ok_or_else(|| ReadError::Unsupported { path: path.clone() })?;
            EntryKind::Special(special)
        };
        let xattrs = block_on(self.filesystem.xattrs_inode(inode)).map_err(failed)?;
        let layout = match inode.layout() {
            Some(types::Layout::FlatPlain) | None => Layout::Plain,
            Some(types::Layout::FlatInline) => Layout::Inline,
            Some(types::Layout::ChunkBased) => Layout::Chunks,
            Some(_) => Layout::Compressed,
        };
        Ok(Entry {
            kind,
            mode: permissions(inode.permissions().mode()),
            uid: inode.uid(),
            gid: inode.gid(),
            links: inode.nlink(),
            size: inode.data_size(),
            mtime: inode.modified_unix().0,
            inode: inode.id(),
            layout,
            xattrs,
            path,
        })
    }
}

fn special(inode: &types::Inode) -> Option<Special> {
    let device = inode.device().map(|(major, minor)| Device { major, minor });
    match (inode.file_type(), device) {
        (FileType::CharacterDevice, Some(device)) => Some(Special::Character(device)),
        (FileType::BlockDevice, Some(device)) => Some(Special::Block(device)),
        (FileType::Fifo, _) => Some(Special::Fifo),
        _ => None,
    }
}

impl<R: Read + Seek + Send> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("length", &self.length).finish_non_exhaustive()
    }
}

impl<R: Read + Seek + Send> fmt::Debug for FileReader<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Source::File(file) => {
                f.debug_struct("FileReader").field("size", &file.size()).finish_non_exhaustive()
            }
            Source::Packed(_, fragment) => f.debug_tuple("FileReader").field(fragment).finish(),
        }
    }
}

impl<R: Read + Seek + Send> Read for FileReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.file {
            Source::File(file) => block_on(file.read(buffer)),
            Source::Packed(reader, fragment) => reader.read_fragment(fragment, buffer),
        };
        read.map_err(|error| match error {
            erofs_rs::Error::Io(error) => error,
            error @ erofs_rs::Error::NotSupported(_) => io::Error::new(io::ErrorKind::Unsupported, error),
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }
}

/// Positioned reads from any seekable source.
struct Backend<R> {
    source: Arc<Mutex<R>>,
    length: u64,
}

impl<R> Clone for Backend<R> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), length: self.length }
    }
}

impl<R: Read + Seek + Send> AsyncImage for Backend<R> {
    fn read_exact_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = erofs_rs::Result<()>> + Send {
        future::ready(self.read_at(buffer, offset))
    }
}

impl<R: Read + Seek> Backend<R> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> erofs_rs::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(erofs_rs::Error::OutOfBounds(format!(
                "{} bytes at offset {offset} of an image of {} bytes",
                buffer.len(),
                self.length
            )));
        }
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.seek(SeekFrom::Start(offset))?;
        source.read_exact(buffer)?;
        Ok(())
    }
}

/// Drives a future of `erofs-rs` over our backend, which is always ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
