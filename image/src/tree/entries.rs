//! Walks a tree in order.

use std::collections::btree_map;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{Kind, Node, NodeId, Tree};

/// One name in a tree, with its node.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Path from the root, empty for the root itself.
    pub path: PathBuf,
    /// The id of the node. Hard links of each other share it.
    pub id: NodeId,
    /// The directory of the name; for the root, the root itself.
    pub parent: NodeId,
    /// The node.
    pub node: &'a Node,
}

/// The iterator of [`Tree::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    tree: &'a Tree,
    root: Option<NodeId>,
    path: PathBuf,
    open: Vec<(NodeId, btree_map::Iter<'a, OsString, NodeId>)>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, root: Some(tree.root()), path: PathBuf::new(), open: Vec::new() }
    }

    fn enter(&mut self, path: PathBuf, id: NodeId, parent: NodeId) -> Entry<'a> {
        let node = self.tree.node(id);
        if let Kind::Directory(entries) = &node.kind {
            self.path.clone_from(&path);
            self.open.push((id, entries.iter()));
        }
        Entry { path, id, parent, node }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if let Some(root) = self.root.take() {
            return Some(self.enter(PathBuf::new(), root, root));
        }
        loop {
            let (parent, entries) = self.open.last_mut()?;
            let parent = *parent;
            if let Some((name, id)) = entries.next() {
                let path = self.path.join(name);
                return Some(self.enter(path, *id, parent));
            }
            self.open.pop();
            self.path.pop();
        }
    }
}
