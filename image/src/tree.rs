//! A file tree in memory, without the content of its files.
//!
//! Entries are sorted by the bytes of their names, so that every walk has the same order. A file refers to a
//! path on disk and its size, or to a part of an open file, or owns a few bytes. Content is read when an
//! image is written. Times are not stored: all files of an image have the time in the options of its writer.

mod content;
mod directory;
mod entries;
mod error;
mod insert;
mod rules;
pub mod tar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::Path;
use std::thread;

pub use crate::entry::{Device, Special};
pub use content::{Content, ContentError, Opened, Shared};
pub use entries::{Entries, Entry};
pub use error::TreeError;
pub use rules::{Modes, Owner, Rules, Specials};
pub use tar::TarError;

use crate::entry::PERMISSIONS;

/// The files of an image: a root directory and everything below it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The first is the root directory. Replaced nodes stay here, unreachable.
    nodes: Vec<Node>,
}

/// Identifies a node of a tree. Names of the same node are hard links of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// An inode: a directory, file, symbolic link or special file, without its names.
#[derive(Clone, Debug)]
pub struct Node {
    /// Mode, owner and extended attributes.
    pub metadata: Metadata,
    /// The file type, with its content.
    pub kind: Kind,
}

/// The type of a node, with its content.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory with its entries, sorted by the bytes of their names.
    Directory(BTreeMap<OsString, NodeId>),
    /// A regular file.
    File(Content),
    /// A symbolic link with its target.
    Symlink(OsString),
    /// A device node or a pipe.
    Special(Special),
}

/// Mode, owner and extended attributes of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, with setuid, setgid and sticky; no file type.
    pub mode: u16,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Extended attributes under their full names, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Metadata {
    /// Metadata with this mode, owned by root, without extended attributes.
    pub fn new(mode: u16) -> Self {
        Self { mode: mode & PERMISSIONS, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }

    /// Sets the owner.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn xattr(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.xattrs.insert(name.into(), value.into());
        self
    }
}

impl Tree {
    /// An empty root directory, with mode 0755 and owned by root.
    pub fn new() -> Self {
        Self { nodes: vec![Node { metadata: Metadata::new(0o755), kind: Kind::Directory(BTreeMap::new()) }] }
    }

    /// Reads the directory `path`, subject to `rules`. The content of files is read later, when an image is
    /// written.
    pub fn from_directory(path: impl AsRef<Path>, rules: &Rules) -> Result<Self, TreeError> {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        directory::read(path.as_ref(), rules, threads)
    }

    /// The node with this id, which must be from this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The id of the root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The node at `path`, relative to the root; links are not followed.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Node> {
        let names = insert::names(path.as_ref()).ok()?;
        self.find(&names).map(|id| self.node(id))
    }

    /// Every name in the tree with its node, the root first, a directory before its entries, and siblings in
    /// the order of their bytes.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(self)
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}
