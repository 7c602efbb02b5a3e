//! Inserts entries into a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::{Content, Kind, Metadata, Node, NodeId, Special, Tree, TreeError};
use crate::entry::{NAME_MAX, TARGET_MAX};

impl Tree {
    /// Creates the directory `path` with this metadata, and missing parents with mode 0755. An existing
    /// directory keeps its entries and gets the metadata.
    pub fn insert_directory(&mut self, path: impl AsRef<Path>, metadata: Metadata) -> Result<(), TreeError> {
        let path = path.as_ref();
        let names = names(path)?;
        let Some((last, parents)) = names.split_last() else {
            self.nodes[0].metadata = metadata;
            return Ok(());
        };
        let parent = self.make_directories(path, parents)?;
        let directory = self.make_directory(path, parent, last)?;
        self.nodes[directory.0].metadata = metadata;
        Ok(())
    }

    /// Creates the file `path` with these bytes. Replaces an existing file or link.
    pub fn insert_bytes(
        &mut self,
        path: impl AsRef<Path>,
        bytes: impl Into<Vec<u8>>,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        self.place(path.as_ref(), Kind::File(Content::Bytes(bytes.into().into())), metadata)
    }

    /// Creates the file `path` with the content of the file `source` on disk, following links.
    pub fn insert_file(
        &mut self,
        path: impl AsRef<Path>,
        source: impl AsRef<Path>,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        let source = source.as_ref();
        let found =
            source.metadata().map_err(|error| TreeError::Stat { path: source.to_owned(), source: error })?;
        if !found.is_file() {
            let what = if found.is_dir() { "directory, not a file" } else { "special file" };
            return Err(TreeError::Unsupported { path: source.to_owned(), what });
        }
        self.insert_content(path, Content::at(source.to_owned(), &found), metadata)
    }

    /// Creates the file `path` with this content. Replaces an existing file or link.
    pub fn insert_content(
        &mut self,
        path: impl AsRef<Path>,
        content: Content,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        self.place(path.as_ref(), Kind::File(content), metadata)
    }

    /// Creates the symbolic link `path` to `target`. Replaces an existing file or link.
    pub fn insert_symlink(
        &mut self,
        path: impl AsRef<Path>,
        target: impl AsRef<OsStr>,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        let target = checked_target(path.as_ref(), target.as_ref())?;
        self.place(path.as_ref(), Kind::Symlink(target), metadata)
    }

    /// Creates the device node or pipe `path`. Replaces an existing file or link.
    pub fn insert_special(
        &mut self,
        path: impl AsRef<Path>,
        special: Special,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        let path = path.as_ref();
        if let Special::Character(device) | Special::Block(device) = special
            && device.encode().is_none()
        {
            return Err(TreeError::Device { path: path.to_owned(), device });
        }
        self.place(path, Kind::Special(special), metadata)
    }

    /// Creates `path` as another name of `existing`, which is not a directory.
    pub fn insert_link(
        &mut self,
        path: impl AsRef<Path>,
        existing: impl AsRef<Path>,
    ) -> Result<(), TreeError> {
        let existing = existing.as_ref();
        let node = self
            .find(&names(existing)?)
            .filter(|id| !self.is_directory(*id))
            .ok_or_else(|| TreeError::NoSuchFile { path: existing.to_owned() })?;
        self.place_node(path.as_ref(), node)
    }

    pub(super) fn find(&self, names: &[&OsStr]) -> Option<NodeId> {
        names.iter().try_fold(self.root(), |id, name| match &self.node(id).kind {
            Kind::Directory(entries) => entries.get(*name).copied(),
            _ => None,
        })
    }

    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Adds a name to `directory`, which must be a directory.
    pub(super) fn attach(&mut self, directory: NodeId, name: OsString, node: NodeId) {
        if let Kind::Directory(entries) = &mut self.nodes[directory.0].kind {
            entries.insert(name, node);
        }
    }

    fn place(&mut self, path: &Path, kind: Kind, metadata: Metadata) -> Result<(), TreeError> {
        let node = self.add(Node { metadata, kind });
        self.place_node(path, node)
    }

    fn place_node(&mut self, path: &Path, node: NodeId) -> Result<(), TreeError> {
        let names = names(path)?;
        let occupied = || TreeError::Occupied { path: path.to_owned(), wanted: "file" };
        let (last, parents) = names.split_last().ok_or_else(occupied)?;
        let parent = self.make_directories(path, parents)?;
        if self.child(parent, last).is_some_and(|child| self.is_directory(child)) {
            return Err(occupied());
        }
        self.attach(parent, (*last).to_owned(), node);
        Ok(())
    }

    fn make_directories(&mut self, path: &Path, names: &[&OsStr]) -> Result<NodeId, TreeError> {
        let mut directory = self.root();
        for name in names {
            directory = self.make_directory(path, directory, name)?;
        }
        Ok(directory)
    }

    fn make_directory(&mut self, path: &Path, parent: NodeId, name: &OsStr) -> Result<NodeId, TreeError> {
        match self.child(parent, name) {
            Some(child) if self.is_directory(child) => Ok(child),
            Some(_) => {
                let prefix = path.ancestors().find(|prefix| prefix.file_name() == Some(name));
                Err(TreeError::Occupied { path: prefix.unwrap_or(path).to_owned(), wanted: "directory" })
            }
            None => {
                let kind = Kind::Directory(BTreeMap::new());
                let directory = self.add(Node { metadata: Metadata::new(0o755), kind });
                self.attach(parent, name.to_owned(), directory);
                Ok(directory)
            }
        }
    }

    fn child(&self, parent: NodeId, name: &OsStr) -> Option<NodeId> {
        match &self.node(parent).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    fn is_directory(&self, id: NodeId) -> bool {
        matches!(self.node(id).kind, Kind::Directory(_))
    }
}

/// The names in a path, which must lead downwards from the root of the tree.
pub(super) fn names(path: &Path) -> Result<Vec<&OsStr>, TreeError> {
    let refuse = |reason| TreeError::Path { path: path.to_owned(), reason };
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(refuse("it contains a NUL"));
    }
    path.components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) if name.len() > NAME_MAX => {
                Err(TreeError::NameTooLong { path: path.to_owned(), length: name.len() })
            }
            Component::Normal(name) => Ok(name),
            Component::ParentDir => Err(refuse("it contains ..")),
            _ => Err(refuse("it is not relative")),
        })
        .collect()
}

/// Checks the target of a symbolic link.
pub(super) fn checked_target(path: &Path, target: &OsStr) -> Result<OsString, TreeError> {
    if target.is_empty() || target.len() > TARGET_MAX {
        return Err(TreeError::Target { path: path.to_owned(), length: target.len() });
    }
    if target.as_bytes().contains(&0) {
        return Err(TreeError::Path { path: path.to_owned(), reason: "its target contains a NUL" });
    }
    Ok(target.to_owned())
}
