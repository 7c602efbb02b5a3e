//! The files below a directory in memory.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::mounts::Steps;
use super::store::FakeStore;
use crate::host::view::{FileMetadata, Kind, Tree};

/// The files below a directory in memory, each operation being a step that can fail.
#[derive(Clone, Debug)]
pub(super) struct FakeTree {
    pub(super) files: FakeStore,
    pub(super) root: PathBuf,
    pub(super) steps: Steps,
}

impl FakeTree {
    fn real(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn find(&self, path: &Path) -> io::Result<(Kind, Vec<u8>)> {
        let real = self.real(path);
        self.files.look(&real).ok_or_else(|| Errno::NOENT.into())
    }
}

fn number(of: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Tree for FakeTree {
    fn path(&self, inside: &Path) -> PathBuf {
        self.real(inside)
    }

    /// A file with other bytes is another file.
    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.steps.pass("look at", path)?;
        let (kind, bytes) = self.find(path)?;
        let changed = i128::from(number(&bytes) >> 1);
        let inode = number(self.real(path));
        let (size, mode) = (bytes.len() as u64, 0o644);
        let (owner, stands_for) = ((0, 0), 0);
        let (device, created, modified) = (1, None, changed);
        Ok(FileMetadata { kind, device, inode, mode, owner, stands_for, size, created, modified, changed })
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        self.steps.pass("look for", path)?;
        let leads_through_a_link = path.ancestors().skip(1).any(|above| {
            !above.as_os_str().is_empty() && self.find(above).is_ok_and(|(kind, _)| kind == Kind::Link)
        });
        Ok(self.find(path).ok().map(|(kind, _)| kind).filter(|_| !leads_through_a_link))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(OsString, Kind)>> {
        self.steps.pass("list", directory)?;
        match self.find(directory)? {
            (Kind::Directory, _) => Ok(self.files.names(&self.real(directory))),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.steps.pass("read", path)?;
        match self.find(path)? {
            (Kind::File, bytes) if bytes.len() as u64 <= limit => Ok(bytes),
            (Kind::File, _) => Err(Errno::FBIG.into()),
            (Kind::Directory, _) => Err(Errno::ISDIR.into()),
            _ => Err(Errno::LOOP.into()),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.steps.pass("read link", path)?;
        match self.find(path)? {
            (Kind::Link, target) => Ok(String::from_utf8_lossy(&target).into_owned().into()),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn attribute(&self, path: &Path, _: &str) -> io::Result<Option<Vec<u8>>> {
        self.steps.pass("read attribute of", path)?;
        self.find(path).map(|_| None)
    }

    fn attribute_names(&self, path: &Path) -> io::Result<Vec<String>> {
        self.steps.pass("list attributes of", path)?;
        self.find(path).map(|_| Vec::new())
    }
}
