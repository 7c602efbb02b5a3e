//! What a filesystem image holds under one name, whatever its format.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::tree::Special;

/// Extended attributes by their full names.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an image holds under one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path from the root, empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u16,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// How many names the inode says that it has.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// What the image knows the inode by. Names with the same number are hard links of each other.
    pub inode: u64,
    /// How its data is laid out.
    pub layout: Layout,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Symlink(OsString),
    /// A device node or a pipe.
    Special(Special),
}

/// How the data of an entry is laid out in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole blocks, or nothing.
    Plain,
    /// Whole blocks, and a tail behind the inode.
    Inline,
    /// Compressed clusters.
    Compressed,
    /// Chunks, which may lie on other devices.
    Chunks,
    /// Blocks of which each is compressed by itself, and perhaps a tail in a fragment.
    Blocks,
    /// A part of a fragment, which holds tails of several files and is compressed as a whole.
    Fragment,
}
