//! Errors that occur while a tree is built.

use std::io;
use std::path::PathBuf;

use super::Device;

/// Why extensions must not contain device nodes and pipes.
pub(super) const WHY_NO_SPECIALS: &str =
    "the host creates its own devices and pipes, and a device node 0:0 would hide a file of the host";

/// Why a tree could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TreeError {
    #[error("{path} already exists and is not a {wanted}", path = .path.display())]
    Occupied { path: PathBuf, wanted: &'static str },
    #[error("invalid path {path}: {reason}", path = .path.display())]
    Path { path: PathBuf, reason: &'static str },
    #[error("{path}: the last name has {length} bytes, more than 255", path = .path.display())]
    NameTooLong {
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    #[error("{path}: the target of a symbolic link has 1 to 4095 bytes, not {length}", path = .path.display())]
    Target {
        path: PathBuf,
        /// Length of its target in bytes.
        length: usize,
    },
    #[error("{path} is a {what}, which an image cannot contain", path = .path.display())]
    Unsupported { path: PathBuf, what: &'static str },
    #[error("{path} is a {what}, which an extension must not contain", path = .path.display())]
    Special { path: PathBuf, what: &'static str },
    #[error("{path}: invalid device number {major}:{minor}", path = .path.display(), major = .device.major, minor = .device.minor)]
    Device { path: PathBuf, device: Device },
    #[error("{path}: no such file to link to", path = .path.display())]
    NoSuchFile { path: PathBuf },
    #[error("cannot list the directory {path}", path = .path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot access {path}", path = .path.display())]
    Stat { path: PathBuf, source: io::Error },
    #[error("cannot read {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the symbolic link {path}", path = .path.display())]
    ReadLink { path: PathBuf, source: io::Error },
    #[error("cannot read the extended attribute {name} of {path}", path = .path.display())]
    Xattr { path: PathBuf, name: String, source: io::Error },
}

impl TreeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Special { path, .. } => Some(format!("exclude {}: {WHY_NO_SPECIALS}", path.display())),
            Self::Unsupported { path, .. } => Some(format!("remove or exclude {}", path.display())),
            Self::Path { .. } => Some("use a relative path such as usr/bin/name".into()),
            _ => None,
        }
    }
}
