//! What can go wrong while a tree is put together.

use std::io;
use std::path::PathBuf;

use super::Device;

/// Why extensions have neither device nodes nor pipes.
pub(super) const WHY_NO_SPECIALS: &str =
    "the host makes its devices and pipes itself, and a device node 0:0 would hide a file of the host";

/// Why a tree could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Another kind of thing has the name already.
    #[error("{path}: is already there and is not a {wanted}", path = .path.display())]
    Occupied {
        /// Where, in the tree.
        path: PathBuf,
        /// What was to be inserted.
        wanted: &'static str,
    },
    /// A path that does not name something below the root.
    #[error("{path}: is not a path below the root of a tree: {reason}", path = .path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that no filesystem can hold.
    #[error("{path}: the last name has {length} bytes, more than 255", path = .path.display())]
    NameTooLong {
        /// The path that ends in the name.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A symbolic link with an empty or overlong target.
    #[error("{path}: a symbolic link target has 1 to 4095 bytes, not {length}", path = .path.display())]
    Target {
        /// The link.
        path: PathBuf,
        /// Length of its target in bytes.
        length: usize,
    },
    /// Neither directory nor file nor symbolic link.
    #[error("{path}: is a {what}, which an image cannot hold", path = .path.display())]
    Unsupported {
        /// Where, on disk.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A device node or pipe where the rules have none.
    #[error("{path}: is a {what}, which an extension must not hold", path = .path.display())]
    Special {
        /// Where, on disk or in an image.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Numbers that no device of Linux can have.
    #[error("{path}: no device has the numbers {major}:{minor}", path = .path.display(), major = .device.major, minor = .device.minor)]
    Device {
        /// Where, in the tree.
        path: PathBuf,
        /// The numbers.
        device: Device,
    },
    /// No such node, or a directory where a file is wanted.
    #[error("{path}: there is no file of this name to link to", path = .path.display())]
    NoSuchFile {
        /// Where, in the tree.
        path: PathBuf,
    },
    /// A directory could not be listed.
    #[error("cannot list the directory {path}", path = .path.display())]
    List {
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Type, mode or size could not be read.
    #[error("cannot look at {path}", path = .path.display())]
    Look {
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or directory that the caller may not read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A symbolic link could not be read.
    #[error("cannot read the symbolic link {path}", path = .path.display())]
    ReadLink {
        /// Where, on disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An extended attribute could not be read.
    #[error("cannot read the extended attribute {name} of {path}", path = .path.display())]
    Xattr {
        /// Where, on disk.
        path: PathBuf,
        /// Full name of the attribute.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl TreeError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Special { path, .. } => Some(format!("leave {} out: {WHY_NO_SPECIALS}", path.display())),
            Self::Unsupported { path, .. } => {
                Some(format!("remove {} or keep it out of the directory", path.display()))
            }
            Self::Path { .. } => Some("write it as usr/bin/name, without a leading slash".into()),
            _ => None,
        }
    }
}
