//! Reads a tree from a directory on disk.
//!
//! Level by level: threads stat the names of one level and list the directories among them, which gives the
//! names of the next. Results are used in the order of the names, so that the tree, or the error, is the same
//! for any number of threads.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::insert::checked_target;
use super::{Content, Device, Kind, Metadata, Node, NodeId, Rules, Special, Specials, Tree, TreeError};
use crate::entry::{NAME_MAX, permissions};
use crate::parallel;

/// The longest extended attribute value in bytes that Linux stores.
const XATTR_MAX: usize = 65_536;

/// Buffer for the names of extended attributes in bytes. If they do not fit, each attribute is tried.
const XATTR_NAMES: usize = 1024;

/// How many names a thread takes at a time: each needs a few system calls.
const BATCH: usize = 64;

pub(super) fn read(path: &Path, rules: &Rules, threads: NonZero<usize>) -> Result<Tree, TreeError> {
    // The path itself may be a symbolic link to the directory; below it, links are not followed.
    let path = fs::canonicalize(path).map_err(|source| TreeError::Stat { path: path.to_owned(), source })?;
    let reading = Reading { rules };
    let mut tree = Tree::new();
    tree.nodes[0].metadata = reading.metadata(&path, &stat(&path)?)?;
    let mut links: HashMap<Inode, NodeId> = HashMap::new();
    let mut level = Level::default();
    level.add(tree.root(), Listing::of(path)?);
    while !level.names.is_empty() {
        let mut next = Level::default();
        let batches: Vec<&[Name]> = level.names.chunks(BATCH).collect();
        parallel::ordered(
            &batches,
            threads,
            || (),
            |(), batch| batch.iter().map(|name| reading.find(&level, name)).collect::<Result<Vec<_>, _>>(),
            |batch, found| {
                for (name, Found { node, links: inode, listing }) in batch.iter().zip(found) {
                    let id = match inode {
                        Some(inode) => *links.entry(inode).or_insert_with(|| tree.add(node)),
                        None => tree.add(node),
                    };
                    tree.attach(level.directories[name.directory].0, name.name.clone(), id);
                    if let Some(listing) = listing {
                        next.add(id, listing);
                    }
                }
                Ok(())
            },
        )?;
        level = next;
    }
    Ok(tree)
}

/// Identifies the other names of a file: device and inode.
type Inode = (u64, u64);

/// All names of one level.
#[derive(Default)]
struct Level {
    /// The directories of the names.
    directories: Vec<(NodeId, PathBuf)>,
    /// In the order of their directories, and then of their bytes.
    names: Vec<Name>,
}

impl Level {
    fn add(&mut self, id: NodeId, listing: Listing) {
        let directory = self.directories.len();
        self.directories.push((id, listing.path));
        self.names.extend(listing.names.into_iter().map(|name| Name { directory, name }));
    }
}

struct Name {
    /// Position of its directory in the level.
    directory: usize,
    name: OsString,
}

/// The node of a name.
struct Found {
    node: Node,
    /// Set if it has other names.
    links: Option<Inode>,
    /// Set if it is a directory.
    listing: Option<Listing>,
}

/// A directory with its sorted names.
struct Listing {
    path: PathBuf,
    names: Vec<OsString>,
}

impl Listing {
    fn of(path: PathBuf) -> Result<Self, TreeError> {
        let names = fs::read_dir(&path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect());
        let mut names: Vec<OsString> =
            names.map_err(|source| TreeError::List { path: path.clone(), source })?;
        names.sort_unstable();
        Ok(Self { path, names })
    }
}

struct Reading<'a> {
    rules: &'a Rules,
}

impl Reading<'_> {
    fn find(&self, level: &Level, Name { directory, name }: &Name) -> Result<Found, TreeError> {
        let path = inside(&level.directories[*directory].1, name);
        if name.len() > NAME_MAX {
            return Err(TreeError::NameTooLong { path, length: name.len() });
        }
        let found = stat(&path)?;
        let metadata = self.metadata(&path, &found)?;
        if found.is_dir() {
            let node = Node { metadata, kind: Kind::Directory(BTreeMap::new()) };
            return Ok(Found { node, links: None, listing: Some(Listing::of(path)?) });
        }
        let kind = if found.is_file() {
            Kind::File(Content::at(path, &found))
        } else if found.is_symlink() {
            match fs::read_link(&path) {
                Ok(target) => Kind::Symlink(checked_target(&path, target.as_os_str())?),
                Err(source) => return Err(TreeError::ReadLink { path, source }),
            }
        } else {
            Kind::Special(self.special(&path, &found)?)
        };
        let links = (found.nlink() > 1).then(|| (found.dev(), found.ino()));
        Ok(Found { node: Node { metadata, kind }, links, listing: None })
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
            Specials::Refuse => Err(TreeError::Special { path: path.to_owned(), what }),
        }
    }

    fn metadata(&self, path: &Path, found: &fs::Metadata) -> Result<Metadata, TreeError> {
        let mut metadata = Metadata::new(permissions(found.mode())).owner(found.uid(), found.gid());
        let listed = names_of_xattrs(path, found);
        let is_listed = |name: &str| listed.as_ref().is_none_or(|listed| contains(listed, name));
        for name in self.rules.xattrs.iter().filter(|name| is_listed(name)) {
            if let Some(value) = xattr(path, name)? {
                metadata.xattrs.insert(name.clone(), value);
            }
        }
        Ok(self.rules.apply(metadata, found.is_dir(), found.is_symlink()))
    }
}

/// The path of a name in a directory, allocated with its exact size: a tree stores the paths of all files.
fn inside(directory: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(directory.as_os_str().len() + 1 + name.len());
    path.push(directory);
    path.push(name);
    path
}

fn stat(path: &Path) -> Result<fs::Metadata, TreeError> {
    fs::symlink_metadata(path).map_err(|source| TreeError::Stat { path: path.to_owned(), source })
}

/// The names of all attributes, each with a terminating NUL. Most files have none, so this saves calls.
/// `None` if each attribute must be tried: the list is unavailable or long, or the file is not
/// world-readable, and trying also reports whether the caller may read it.
fn names_of_xattrs(path: &Path, found: &fs::Metadata) -> Option<Vec<u8>> {
    if !found.is_symlink() && found.mode() & 0o444 != 0o444 {
        return None;
    }
    let mut names = [0; XATTR_NAMES];
    let length = rustix::fs::llistxattr(path, &mut names).ok()?;
    Some(names.get(..length)?.to_vec())
}

fn contains(names: &[u8], name: &str) -> bool {
    names.split(|byte| *byte == 0).any(|listed| listed == name.as_bytes())
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
        // The file has no such attribute, or its file system or type does not support it.
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // Reading user attributes requires permission to read the file: report the file.
        Err(error @ Errno::ACCESS) => {
            Err(TreeError::Read { path: path.to_owned(), source: io::Error::from(error) })
        }
        Err(error) => Err(unreadable_xattr(path, name, error)),
    }
}

fn unreadable_xattr(path: &Path, name: &str, error: Errno) -> TreeError {
    TreeError::Xattr { path: path.to_owned(), name: name.to_owned(), source: io::Error::from(error) }
}
