//! Reading a tree from a directory on disk.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::insert::checked_target;
use super::{
    Content, Device, Kind, Metadata, NAME_MAX, Node, NodeId, Rules, Special, Specials, Tree, TreeError,
    permissions,
};

/// The longest extended attribute value in bytes that Linux stores.
const XATTR_MAX: usize = 65_536;

pub(super) fn read(path: &Path, rules: &Rules) -> Result<Tree, TreeError> {
    // The path itself may be a symbolic link to the directory; below it none is followed.
    let path = &fs::canonicalize(path).map_err(|source| TreeError::Look { path: path.to_owned(), source })?;
    let mut reading = Reading { tree: Tree::new(), rules, links: HashMap::new() };
    let root = reading.tree.root();
    let found = look(path)?;
    reading.tree.nodes[0].metadata = reading.metadata(path, &found)?;
    let mut pending = vec![(path.to_owned(), root)];
    while let Some((path, id)) = pending.pop() {
        for name in list(&path)? {
            let path = path.join(&name);
            if name.len() > NAME_MAX {
                return Err(TreeError::NameTooLong { path, length: name.len() });
            }
            let (child, is_directory) = reading.node(&path)?;
            reading.tree.attach(id, name, child);
            if is_directory {
                pending.push((path, child));
            }
        }
    }
    Ok(reading.tree)
}

struct Reading<'a> {
    tree: Tree,
    rules: &'a Rules,
    /// Device and inode of what has several names, to find its other names again.
    links: HashMap<(u64, u64), NodeId>,
}

impl Reading<'_> {
    fn node(&mut self, path: &Path) -> Result<(NodeId, bool), TreeError> {
        let found = look(path)?;
        let is_directory = found.is_dir();
        let key = (found.dev(), found.ino());
        let has_links = !is_directory && found.nlink() > 1;
        if has_links && let Some(id) = self.links.get(&key) {
            return Ok((*id, false));
        }
        let kind = if is_directory {
            Kind::Directory(BTreeMap::new())
        } else if found.is_file() {
            Kind::File(Content::at(path.to_owned(), &found))
        } else if found.is_symlink() {
            let target = fs::read_link(path)
                .map_err(|source| TreeError::ReadLink { path: path.to_owned(), source })?;
            Kind::Symlink(checked_target(path, target.as_os_str())?)
        } else {
            Kind::Special(self.special(path, &found)?)
        };
        let metadata = self.metadata(path, &found)?;
        let id = self.tree.add(Node { metadata, kind });
        if has_links {
            self.links.insert(key, id);
        }
        Ok((id, is_directory))
    }

    fn special(&self, path: &Path, found: &fs::Metadata) -> Result<Special, TreeError> {
        let refuse = |what| TreeError::Unsupported { path: path.to_owned(), what };
        let kind = found.file_type();
        let bits = found.rdev();
        let device = Device { major: rustix::fs::major(bits), minor: rustix::fs::minor(bits) };
        let (special, what) = if kind.is_char_device() {
            (Special::Character(device), "device node")
        } else if kind.is_block_device() {
            (Special::Block(device), "device node")
        } else if kind.is_fifo() {
            (Special::Fifo, "fifo")
        } else {
            return Err(refuse(if kind.is_socket() { "socket" } else { "file of unknown kind" }));
        };
        match self.rules.specials {
            Specials::Keep => Ok(special),
            Specials::Refuse => Err(refuse(what)),
        }
    }

    fn metadata(&self, path: &Path, found: &fs::Metadata) -> Result<Metadata, TreeError> {
        let mut metadata = Metadata::new(permissions(found.mode())).owner(found.uid(), found.gid());
        for name in &self.rules.xattrs {
            if let Some(value) = xattr(path, name)? {
                metadata.xattrs.insert(name.clone(), value);
            }
        }
        Ok(self.rules.apply(metadata, found.is_dir(), found.is_symlink()))
    }
}

fn look(path: &Path) -> Result<fs::Metadata, TreeError> {
    fs::symlink_metadata(path).map_err(|source| TreeError::Look { path: path.to_owned(), source })
}

fn list(path: &PathBuf) -> Result<Vec<OsString>, TreeError> {
    fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
        .map_err(|source| TreeError::List { path: path.clone(), source })
}

fn xattr(path: &Path, name: &str) -> Result<Option<Vec<u8>>, TreeError> {
    let mut value = [0; 256];
    match rustix::fs::lgetxattr(path, name, &mut value) {
        Ok(length) => Ok(value.get(..length).map(<[u8]>::to_vec)),
        Err(Errno::RANGE) => {
            let mut value = vec![0; XATTR_MAX];
            match rustix::fs::lgetxattr(path, name, &mut value[..]) {
                Ok(length) => {
                    value.truncate(length);
                    Ok(Some(value))
                }
                Err(error) => Err(unreadable_xattr(path, name, error)),
            }
        }
        // A filesystem or a kind of file that has no such attributes has not this one either.
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // Attributes of users are read by who may read the file: it is the file that cannot be read.
        Err(error @ Errno::ACCESS) => {
            Err(TreeError::Read { path: path.to_owned(), source: io::Error::from(error) })
        }
        Err(error) => Err(unreadable_xattr(path, name, error)),
    }
}

fn unreadable_xattr(path: &Path, name: &str, error: Errno) -> TreeError {
    TreeError::Xattr { path: path.to_owned(), name: name.to_owned(), source: io::Error::from(error) }
}
