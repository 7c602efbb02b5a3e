//! Images that are not merged, with the reason.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An image that is skipped, while the others are merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Quarantined {
    /// The extension.
    pub name: String,
    /// Its path, as the target system sees it.
    pub path: PathBuf,
    /// Why it is skipped.
    pub reason: QuarantineReason,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.path.display(), self.reason)
    }
}

/// Why an image is skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum QuarantineReason {
    /// A kind of extension that stock systemd supports and this program does not.
    NotSupported {
        /// The kind.
        what: Unsupported,
    },
    /// A symbolic link whose target does not exist.
    Dangling {
        /// The target.
        target: PathBuf,
        /// What the system reported.
        error: String,
    },
    /// Two entries of one directory have the same name.
    Duplicate {
        /// The other one, which is merged.
        other: PathBuf,
    },
    /// The policy requires a signature, and the origin is unknown.
    Unsigned,
    /// The caller excludes it.
    HeldBack {
        /// Why.
        reason: String,
    },
    /// It cannot be read.
    Unreadable {
        /// What the system reported.
        error: String,
    },
    /// It is not an erofs or squashfs image.
    Superblock,
    /// The kernel cannot mount it.
    Mount {
        /// What the kernel reported.
        error: String,
    },
    /// It could not be mounted or read this time: it may be damaged, or a disk of this machine fails.
    NotNow {
        /// The error.
        error: String,
    },
    /// It contains too many files.
    TooLarge {
        /// The most that are accepted.
        limit: usize,
    },
    /// It has no extension-release file.
    ReleaseMissing,
    /// The name of its extension-release file is that of another extension.
    ReleaseName {
        /// The names found.
        found: Vec<String>,
    },
    /// It is for other hosts.
    Incompatible {
        /// What differs.
        reason: String,
    },
    /// It would replace the host's os-release.
    CarriesOsRelease,
    /// It would hide a file of the host of another kind.
    HidesHost {
        /// The file.
        path: PathBuf,
        /// What the host has there.
        host: HostKind,
    },
    /// It has a character device 0:0, which hides whatever has its path.
    Whiteout {
        /// Where.
        path: PathBuf,
    },
    /// It has an attribute with which overlayfs hides files: that of an opaque directory, for example.
    OverlayAttribute {
        /// Where.
        path: PathBuf,
        /// The name of the attribute.
        name: String,
    },
    /// A directory of the host could be used by fewer users than now.
    TakesRight {
        /// Where.
        path: PathBuf,
        /// The permission bits of the image's directory.
        mode: u32,
        /// The permission bits of the host's directory.
        host: u32,
    },
    /// Another extension contains the same file.
    Collides {
        /// The file.
        path: PathBuf,
        /// The other extension, which is merged.
        with: String,
    },
}

/// What stock systemd supports and this program does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unsupported {
    /// `NAME.v/` and `NAME.raw.v/`.
    VersionedDirectory,
    /// A block device.
    BlockDevice,
    /// An image with a partition table.
    PartitionTable,
    /// Not a file or directory.
    SpecialFile,
}

/// What the host has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        matches!(self, Self::NotNow { .. } | Self::Unreadable { .. } | Self::Mount { .. })
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported { what } => write!(f, "{what} are not supported yet"),
            Self::Dangling { target, error } => {
                write!(f, "the link to {} is broken: {error}", target.display())
            }
            Self::Duplicate { other } => write!(f, "{} has the same name", other.display()),
            Self::Unsigned => f.write_str("its origin is unknown, but the policy requires a signature"),
            Self::HeldBack { reason } => f.write_str(reason),
            Self::Unreadable { error } => write!(f, "cannot be read: {error}"),
            Self::Superblock => f.write_str("is not an erofs or squashfs image"),
            Self::Mount { error } => write!(f, "the kernel cannot mount it: {error}"),
            Self::NotNow { error } => write!(f, "cannot be mounted or read now: {error}"),
            Self::TooLarge { limit } => write!(f, "contains more than {limit} files"),
            Self::ReleaseMissing => f.write_str("has no extension-release file"),
            Self::ReleaseName { found } => {
                write!(
                    f,
                    "its extension-release is for {} and does not set user.extension-release.strict=0",
                    found.join(", ")
                )
            }
            Self::Incompatible { reason } => f.write_str(reason),
            Self::CarriesOsRelease => f.write_str("contains an os-release file"),
            Self::HidesHost { path, host } => {
                let host = match host {
                    HostKind::Directory => "directory",
                    HostKind::Link => "symbolic link",
                    HostKind::File => "file",
                };
                write!(f, "would hide the host's {host} {}", path.display())
            }
            Self::Collides { path, with } => {
                write!(f, "conflicts with {with}: both contain {}", path.display())
            }
            Self::Whiteout { path } => {
                write!(f, "{} is a device 0:0, which would hide a file of the host", path.display())
            }
            Self::OverlayAttribute { path, name } => {
                write!(f, "{} has the attribute {name}, with which overlayfs hides files", path.display())
            }
            Self::TakesRight { path, mode, host } => write!(
                f,
                "its directory {} has the mode {mode:04o}, which takes rights away that {host:04o} on the host gives",
                path.display()
            ),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionedDirectory => "versioned directories (.v)",
            Self::BlockDevice => "block devices",
            Self::PartitionTable => "images with a partition table",
            Self::SpecialFile => "special files",
        })
    }
}
