//! What can go wrong while a tree is put together.

use std::io;
use std::path::PathBuf;

use super::Device;

/// Why extensions have neither device nodes nor pipes.
pub(super) const WHY_NO_SPECIALS: &str =
    "the host makes its devices and pipes itself, and a device node 0:0 would hide a file of the host";

/// Why a tree could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TreeError {
    #[error("{path}: is already there and is not a {wanted}", path = .path.display())]
    Occupied { path: PathBuf, wanted: &'static str },
    #[error("{path}: is not a path below the root of a tree: {reason}", path = .path.display())]
    Path { path: PathBuf, reason: &'static str },
    #[error("{path}: the last name has {length} bytes, more than 255", path = .path.display())]
    NameTooLong {
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    #[error("{path}: a symbolic link target has 1 to 4095 bytes, not {length}", path = .path.display())]
    Target {
        path: PathBuf,
        /// Length of its target in bytes.
        length: usize,
    },
    #[error("{path}: is a {what}, which an image cannot hold", path = .path.display())]
    Unsupported { path: PathBuf, what: &'static str },
    #[error("{path}: is a {what}, which an extension must not hold", path = .path.display())]
    Special { path: PathBuf, what: &'static str },
    #[error("{path}: no device has the numbers {major}:{minor}", path = .path.display(), major = .device.major, minor = .device.minor)]
    Device { path: PathBuf, device: Device },
    #[error("{path}: there is no file of this name to link to", path = .path.display())]
    NoSuchFile { path: PathBuf },
    #[error("cannot list the directory {path}", path = .path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot look at {path}", path = .path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error("cannot read {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the symbolic link {path}", path = .path.display())]
    ReadLink { path: PathBuf, source: io::Error },
    #[error("cannot read the extended attribute {name} of {path}", path = .path.display())]
    Xattr { path: PathBuf, name: String, source: io::Error },
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
