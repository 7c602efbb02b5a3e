//! Reads an image without mounting it. Every length and offset is checked before it is used, and the size of
//! the image bounds how much one call decompresses and keeps.

mod attributes;
mod blocks;
mod error;
mod file;
mod inode;
mod listing;
mod superblock;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use error::{Fault, ReadError};
pub use file::FileReader;

use super::codec::Decoder;
use super::format::{Compression, Place, SUPERBLOCK, Superblock};
use crate::entry::{Device, Entry, EntryKind, Layout, PATH_MAX, Special, Xattrs};
use blocks::Blocks;
use inode::{Inode, Kind};
use listing::Name;

/// An image that is open for reading.
pub struct Reader<R: Read + Seek + Send> {
    superblock: Superblock,
    blocks: Mutex<Blocks<R>>,
}

impl<R: Read + Seek + Send> Reader<R> {
    /// Opens the image that starts at the beginning of `source`.
    pub fn open(mut source: R) -> Result<Self, ReadError> {
        let length = source.seek(SeekFrom::End(0)).map_err(ReadError::Length)?;
        let (superblock, compression) = Self::superblock(&mut source, length).map_err(ReadError::Open)?;
        let decoder = Decoder::new(compression)
            .map_err(|source| Fault::Decode { offset: 0, length: 0, source })
            .map_err(ReadError::Open)?;
        let blocks = Mutex::new(Blocks::new(source, superblock.length, decoder));
        Ok(Self { superblock, blocks })
    }

    fn superblock(source: &mut R, length: u64) -> Result<(Superblock, Compression), Fault> {
        if length < SUPERBLOCK as u64 {
            return Err(Fault::NotSquashfs);
        }
        let mut bytes = [0; SUPERBLOCK];
        source.rewind().and_then(|()| source.read_exact(&mut bytes)).map_err(|source| Fault::Io {
            offset: 0,
            length: SUPERBLOCK,
            source,
        })?;
        superblock::parse(&bytes, length)
    }

    /// Every name in the image, the root first, a directory before its entries.
    pub fn entries(&self) -> Result<Vec<Entry>, ReadError> {
        let mut blocks = self.start();
        let mut path = PathBuf::new();
        let list = |path: &Path| {
            let path = path.to_owned();
            move |source| ReadError::List { path, source }
        };
        let inode = self.inode(&mut blocks, self.superblock.root).map_err(list(&path))?;
        let mut seen = HashSet::from([self.superblock.root]);
        let mut open = vec![self.names(&mut blocks, &inode).map_err(list(&path))?.into_iter()];
        let mut entries = vec![self.entry(&mut blocks, path.clone(), self.superblock.root, inode)?];
        while let Some(names) = open.last_mut() {
            let Some(name) = names.next() else {
                open.pop();
                path.pop();
                continue;
            };
            let below = path.join(OsStr::from_bytes(&name.name));
            let inode = self.named(&mut blocks, &name).map_err(list(&below))?;
            let offset = self.superblock.inode_table + name.inode.block;
            if below.as_os_str().len() > PATH_MAX {
                let what = "a path is longer than 4095 bytes";
                return Err(list(&path)(Fault::Damaged { offset, what }));
            }
            let directory = matches!(inode.kind, Kind::Directory { .. });
            if directory {
                if !seen.insert(name.inode) {
                    let what = "a directory has two names or contains itself";
                    return Err(list(&below)(Fault::Damaged { offset, what }));
                }
                open.push(self.names(&mut blocks, &inode).map_err(list(&below))?.into_iter());
                path.clone_from(&below);
            }
            let entry = self.entry(&mut blocks, below, name.inode, inode)?;
            blocks.keep(weight(&entry)).map_err(list(&entry.path))?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The content of a regular file that [`entries`](Self::entries) listed.
    pub fn file(&self, entry: &Entry) -> Result<FileReader<'_, R>, ReadError> {
        let inode = self
            .inode(&mut self.start(), Place::from_bits(entry.inode))
            .map_err(|source| ReadError::Read { path: entry.path.clone(), source })?;
        match inode.kind {
            Kind::File(file) => Ok(FileReader::new(self, file)),
            _ => Err(ReadError::NotAFile { path: entry.path.clone() }),
        }
    }

    /// The content of the regular file at `path`, which may have at most `limit` bytes; `None` if the image
    /// has no such path. Links are not followed.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let path = path.as_ref();
        let found = self
            .find(&mut self.start(), path)
            .map_err(|source| ReadError::Read { path: path.to_owned(), source })?;
        let file = match found.map(|inode| inode.kind) {
            None => return Ok(None),
            Some(Kind::File(file)) => file,
            Some(_) => return Err(ReadError::NotAFile { path: path.to_owned() }),
        };
        let size = file.size;
        if size > limit {
            return Err(ReadError::TooLong { path: path.to_owned(), size, limit });
        }
        let mut content = Vec::new();
        // Do not allocate the size that the image claims: it may contain less.
        FileReader::new(self, file)
            .read_to_end(&mut content)
            .map_err(|source| ReadError::Content { path: path.to_owned(), source })?;
        Ok(Some(content))
    }

    /// The extended attributes at `path`, by full name; `None` if the image has no such path. Links are not
    /// followed.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Option<Xattrs>, ReadError> {
        let path = path.as_ref();
        let mut blocks = self.start();
        self.find(&mut blocks, path)
            .and_then(|found| found.map(|inode| self.attributes(&mut blocks, &inode)).transpose())
            .map_err(|source| ReadError::Read { path: path.to_owned(), source })
    }

    /// The names in the directory `path`; `None` if the image has no such path.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>, ReadError> {
        let path = path.as_ref();
        let mut blocks = self.start();
        let failed = |source| ReadError::List { path: path.to_owned(), source };
        let Some(inode) = self.find(&mut blocks, path).map_err(failed)? else { return Ok(None) };
        if !matches!(inode.kind, Kind::Directory { .. }) {
            return Err(ReadError::NotADirectory { path: path.to_owned() });
        }
        let names = self.names(&mut blocks, &inode).map_err(failed)?;
        Ok(Some(names.into_iter().map(|name| OsString::from_vec(name.name)).collect()))
    }

    /// The blocks of the image, with the limits reset for one call.
    fn start(&self) -> MutexGuard<'_, Blocks<R>> {
        let mut blocks = self.lock();
        blocks.begin_call();
        blocks
    }

    fn lock(&self) -> MutexGuard<'_, Blocks<R>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inode at `path`, which must lead downwards from the root.
    fn find(&self, blocks: &mut Blocks<R>, path: &Path) -> Result<Option<Inode>, Fault> {
        let mut inode = self.inode(blocks, self.superblock.root)?;
        for component in path.components() {
            let wanted = match component {
                Component::CurDir => continue,
                Component::Normal(name) => name.as_bytes(),
                _ => return Ok(None),
            };
            if !matches!(inode.kind, Kind::Directory { .. }) {
                return Ok(None);
            }
            let names = self.names(blocks, &inode)?;
            let Ok(position) = names.binary_search_by(|name| name.name[..].cmp(wanted)) else {
                return Ok(None);
            };
            inode = self.named(blocks, &names[position])?;
        }
        Ok(Some(inode))
    }

    /// The inode of a directory entry, which must have the type from the entry.
    fn named(&self, blocks: &mut Blocks<R>, name: &Name) -> Result<Inode, Fault> {
        let inode = self.inode(blocks, name.inode)?;
        if inode.kind.inode_type() == name.inode_type {
            return Ok(inode);
        }
        let offset = self.superblock.inode_table + name.inode.block;
        Err(Fault::Damaged { offset, what: "the type of an inode differs from that in its directory" })
    }

    fn entry(
        &self,
        blocks: &mut Blocks<R>,
        path: PathBuf,
        place: Place,
        inode: Inode,
    ) -> Result<Entry, ReadError> {
        let failed = |source| ReadError::Read { path: path.clone(), source };
        let xattrs = self.attributes(blocks, &inode).map_err(failed)?;
        let uid = self.owner(blocks, inode.uid).map_err(failed)?;
        let gid = self.owner(blocks, inode.gid).map_err(failed)?;
        let mut size = 0;
        let mut layout = Layout::Plain;
        let kind = match inode.kind {
            Kind::Directory { length, .. } => {
                size = length.into();
                EntryKind::Directory
            }
            Kind::File(file) => {
                size = file.size;
                layout = match (size >> self.superblock.block_log, file.tail) {
                    (0, Some(_)) => Layout::Fragment,
                    (0, None) if size == 0 => Layout::Plain,
                    _ => Layout::Blocks,
                };
                EntryKind::File
            }
            Kind::Symlink(target) => {
                size = target.len() as u64;
                EntryKind::Symlink(target)
            }
            Kind::Block(bits) => EntryKind::Special(Special::Block(Device::decode(bits))),
            Kind::Character(bits) => EntryKind::Special(Special::Character(Device::decode(bits))),
            Kind::Fifo => EntryKind::Special(Special::Fifo),
            Kind::Socket => return Err(ReadError::Unsupported { path }),
        };
        Ok(Entry {
            kind,
            mode: inode.mode,
            uid,
            gid,
            links: inode.links,
            size,
            mtime: inode.time.into(),
            inode: place.bits(),
            layout,
            xattrs,
            path,
        })
    }
}

/// The approximate memory of an entry, in bytes.
fn weight(entry: &Entry) -> usize {
    /// Overhead of the map and the vectors per attribute.
    const ATTRIBUTE: usize = 128;
    let target = match &entry.kind {
        EntryKind::Symlink(target) => target.len(),
        _ => 0,
    };
    let xattrs: usize = entry.xattrs.iter().map(|(name, value)| ATTRIBUTE + name.len() + value.len()).sum();
    size_of::<Entry>() + entry.path.as_os_str().len() + target + xattrs
}

impl<R: Read + Seek + Send> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("superblock", &self.superblock).finish_non_exhaustive()
    }
}
