//! An image that may not be merged, with the reason.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An image that is left out; the rest merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The extension.
    pub name: String,
    /// Where it lies, as the target system sees it.
    pub path: PathBuf,
    /// Why.
    pub reason: QuarantineReason,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.path.display(), self.reason)
    }
}

/// Why an image is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum QuarantineReason {
    /// A kind of extension that stock systemd reads and this program does not.
    NotReadYet {
        /// Which.
        what: Unread,
    },
    /// A symbolic link that leads nowhere.
    Dangling {
        /// What it says.
        target: PathBuf,
        /// What was found.
        error: String,
    },
    /// Two entries of one directory have the same name.
    Duplicate {
        /// The one that counts.
        other: PathBuf,
    },
    /// It lies there without evidence of where it came from, and the policy asks for that.
    Unsigned,
    /// The caller holds it back.
    HeldBack {
        /// Why.
        because: String,
    },
    /// It cannot be read.
    Unreadable {
        /// What went wrong.
        error: String,
    },
    /// Its first bytes are of no file system that is merged.
    Superblock,
    /// The kernel does not mount it.
    Mount {
        /// What it said.
        error: String,
    },
    /// More files than are looked at.
    TooLarge {
        /// How many are.
        limit: usize,
    },
    /// No extension-release file.
    ReleaseMissing,
    /// The extension-release file is of another name, and does not allow that.
    ReleaseName {
        /// The names found.
        found: Vec<String>,
    },
    /// It is not for this host.
    Incompatible {
        /// What does not fit.
        because: String,
    },
    /// It would replace the host's identity.
    CarriesOsRelease,
    /// It would hide something of the host that is of another kind.
    HidesHost {
        /// Where.
        path: PathBuf,
        /// What the host has there.
        host: HostKind,
    },
    /// Another extension has the same file.
    Collides {
        /// Which file.
        path: PathBuf,
        /// The extension that keeps it.
        with: String,
    },
}

/// What stock systemd reads and this program does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// `NAME.v/` and `NAME.raw.v/`.
    VersionedDirectory,
    /// A block device.
    BlockDevice,
    /// An image with a partition table.
    PartitionTable,
    /// Neither file nor directory.
    SpecialFile,
}

/// What the host has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    File,
}

impl QuarantineReason {
    /// Whether the same image may be merged later: a disk that fails to read gives the same error as a damaged image.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::Mount { .. })
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReadYet { what } => write!(f, "{what} are not read yet"),
            Self::Dangling { target, error } => {
                write!(f, "the link to {} is broken: {error}", target.display())
            }
            Self::Duplicate { other } => write!(f, "{} has the same name", other.display()),
            Self::Unsigned => {
                f.write_str("nothing says where it came from, and the policy asks for a signature")
            }
            Self::HeldBack { because } => f.write_str(because),
            Self::Unreadable { error } => write!(f, "cannot be read: {error}"),
            Self::Superblock => f.write_str("is neither erofs nor squashfs"),
            Self::Mount { error } => write!(f, "the kernel does not mount it: {error}"),
            Self::TooLarge { limit } => write!(f, "has more than {limit} files"),
            Self::ReleaseMissing => f.write_str("has no extension-release file"),
            Self::ReleaseName { found } => {
                write!(
                    f,
                    "its extension-release is for {}, and has no user.extension-release.strict=0",
                    found.join(", ")
                )
            }
            Self::Incompatible { because } => f.write_str(because),
            Self::CarriesOsRelease => f.write_str("carries an os-release file"),
            Self::HidesHost { path, host } => {
                let host = match host {
                    HostKind::Directory => "directory",
                    HostKind::Link => "symbolic link",
                    HostKind::File => "file",
                };
                write!(f, "would hide the {host} {} of the host", path.display())
            }
            Self::Collides { path, with } => write!(f, "{with} has {} too", path.display()),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionedDirectory => "versioned directories (.v)",
            Self::BlockDevice => "block devices",
            Self::PartitionTable => "images with a partition table",
            Self::SpecialFile => "special files",
        })
    }
}
