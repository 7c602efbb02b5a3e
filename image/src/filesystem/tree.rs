//! Turns an image into a tree, so that another image can be made from it.

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::{Filesystem, FilesystemError, Limits};
use crate::entry::{Entry, EntryKind};
use crate::spool::{Spool, SpoolError};
use crate::tree::{Content, Metadata, Rules, Specials, Tree, TreeError};

/// Why an image was not turned into a tree.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ToTreeError {
    #[error(transparent)]
    Image(#[from] FilesystemError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl ToTreeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Spool(error) => error.hint(),
        }
    }
}

impl<R: Read + Seek + Send> Filesystem<R> {
    /// The files of the image as a tree, subject to `rules`. Their content is copied to a temporary file in
    /// `scratch`, up to the size that `limits` allow.
    pub fn to_tree(&self, rules: &Rules, limits: Limits, scratch: &Path) -> Result<Tree, ToTreeError> {
        let entries = self.entries()?;
        limits.check(&entries)?;
        let mut tree = Tree::new();
        let mut spool = Spool::new(scratch)?;
        let mut first_names: HashMap<u64, PathBuf> = HashMap::new();
        for entry in &entries {
            let path = &entry.path;
            let is_directory = entry.kind == EntryKind::Directory;
            if !is_directory && let Some(existing) = first_names.get(&entry.inode) {
                tree.insert_link(path, existing)?;
                continue;
            }
            let metadata =
                rules.apply(metadata(entry), is_directory, matches!(entry.kind, EntryKind::Symlink(_)));
            match &entry.kind {
                EntryKind::Directory => tree.insert_directory(path, metadata)?,
                EntryKind::Symlink(target) => tree.insert_symlink(path, target, metadata)?,
                EntryKind::Special(_) if rules.specials == Specials::Refuse => {
                    let (path, what) = (path.clone(), "device node or fifo");
                    return Err(TreeError::Special { path, what }.into());
                }
                EntryKind::Special(special) => tree.insert_special(path, *special, metadata)?,
                EntryKind::File => {
                    let begin = spool.length();
                    self.content(entry, |bytes| Ok::<_, ToTreeError>(spool.append(bytes)?))?;
                    tree.insert_content(path, Content::spooled(&spool, begin), metadata)?;
                }
            }
            if !is_directory {
                first_names.insert(entry.inode, path.clone());
            }
        }
        Ok(tree)
    }
}

/// The metadata of an entry. An attribute whose name is not text is skipped: no rule can list it.
fn metadata(entry: &Entry) -> Metadata {
    let mut metadata = Metadata::new(entry.mode).owner(entry.uid, entry.gid);
    for (name, value) in &entry.xattrs {
        if let Ok(name) = std::str::from_utf8(name) {
            metadata.xattrs.insert(name.to_owned(), value.clone());
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::erofs::{self, Options};
    use crate::tree::{Device, Modes, Owner, Special};

    fn write(tree: &Tree, codec: &str) -> Vec<u8> {
        let mut image = Vec::new();
        erofs::write(tree, &Options::new(codec.parse().unwrap(), 7), &mut image).unwrap();
        image
    }

    fn tree() -> Tree {
        let mut tree = Tree::new();
        let file = Metadata::new(0o640).owner(1, 2).xattr("user.x", "y");
        tree.insert_bytes("usr/a", "text ".repeat(40_000), file.clone()).unwrap();
        tree.insert_link("usr/b", "usr/a").unwrap();
        tree.insert_symlink("usr/l", "a", Metadata::new(0o777)).unwrap();
        tree.insert_link("usr/m", "usr/l").unwrap();
        tree.insert_special("usr/c", Special::Character(Device { major: 1, minor: 3 }), file).unwrap();
        tree
    }

    fn read(image: Vec<u8>, rules: &Rules, content: u64) -> Result<Tree, ToTreeError> {
        let image = Filesystem::open(Cursor::new(image))?;
        image.to_tree(rules, Limits { content }, &std::env::temp_dir())
    }

    #[test]
    fn a_tree_from_an_image_reproduces_the_image() {
        let mut keep =
            Rules { owner: Owner::Keep, modes: Modes::Keep, specials: Specials::Keep, ..Rules::default() };
        keep.xattrs.insert("user.x".to_owned());
        for codec in ["none", "lz4hc", "zstd"] {
            let image = write(&tree(), codec);
            let again = read(image.clone(), &keep, 1 << 20).unwrap();
            assert!(write(&again, codec) == image, "{codec}");
        }
        let refused = read(write(&tree(), "none"), &Rules::default(), 1 << 20).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "usr/c is a device node or fifo, which an extension must not contain"
        );
    }

    #[test]
    fn rules_and_limits_apply_to_images() {
        let mut plain = tree();
        plain.insert_bytes("usr/c", "", Metadata::new(0)).unwrap();
        let found = read(write(&plain, "none"), &Rules::default(), 1 << 20).unwrap();
        assert_eq!(found.get("usr/a").unwrap().metadata, Metadata::new(0o644));
        let error = read(write(&plain, "none"), &Rules::default(), 199_999).unwrap_err();
        assert!(error.to_string().contains("claim 200000 bytes in total"), "{error}");
    }
}
