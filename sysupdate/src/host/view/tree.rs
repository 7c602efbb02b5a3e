//! Reading the files below one directory.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

/// The files below a directory. Paths are relative to it, and all but their last part is without symbolic links:
/// a [`View`](super::View) resolves them.
pub trait Tree: Debug {
    /// A path by which the kernel finds the same file.
    fn path(&self, inside: &Path) -> PathBuf;

    /// What a name stands for. Links are not followed.
    fn metadata(&self, path: &Path) -> io::Result<FileMetadata>;

    /// What a path stands for; nothing where it does not exist, or leads through a symbolic link.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;

    /// The names in a directory, and what each stands for.
    fn list(&self, directory: &Path) -> io::Result<Vec<(OsString, Kind)>>;

    /// The bytes of a file, links not followed. More than `limit` bytes are an error.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// An extended attribute of a file, if it has that.
    fn attribute(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names of all extended attributes of a file, links not followed.
    fn attribute_names(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name says it")]
pub enum Kind {
    File,
    Directory,
    Link,
    BlockDevice,
    Other,
}

/// What tells a file from every other, and from itself before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMetadata {
    /// What it is.
    pub kind: Kind,
    /// The file system.
    pub device: u64,
    /// The number of the file in its file system.
    pub inode: u64,
    /// Kind and permission bits.
    pub mode: u32,
    /// The owner's user and group.
    pub owner: (u32, u32),
    /// The device that a device file stands for.
    pub stands_for: u64,
    /// In bytes.
    pub size: u64,
    /// When it was created, in nanoseconds since 1970, where the file system records that.
    pub created: Option<i128>,
    /// When its contents changed last, in nanoseconds since 1970.
    pub modified: i128,
    /// When anything about it changed last, in nanoseconds since 1970.
    pub changed: i128,
}

impl<T: Tree + ?Sized> Tree for Box<T> {
    fn path(&self, inside: &Path) -> PathBuf {
        (**self).path(inside)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        (**self).metadata(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        (**self).kind(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(OsString, Kind)>> {
        (**self).list(directory)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        (**self).read(path, limit)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        (**self).read_link(path)
    }

    fn attribute(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).attribute(path, name)
    }

    fn attribute_names(&self, path: &Path) -> io::Result<Vec<String>> {
        (**self).attribute_names(path)
    }
}

impl<T: Tree + ?Sized> Tree for &T {
    fn path(&self, inside: &Path) -> PathBuf {
        (**self).path(inside)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        (**self).metadata(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        (**self).kind(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(OsString, Kind)>> {
        (**self).list(directory)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        (**self).read(path, limit)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        (**self).read_link(path)
    }

    fn attribute(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).attribute(path, name)
    }

    fn attribute_names(&self, path: &Path) -> io::Result<Vec<String>> {
        (**self).attribute_names(path)
    }
}
