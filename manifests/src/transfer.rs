//! Transfer files: where the versions of a component come from, where they go, and how they are activated.
//!
//! The format is that of systemd-sysupdate; our additions are in `[X-Sysupdate]`, which stock tools ignore. A mistake
//! that could install or skip the wrong version is an error. Other invalid values are ignored with a [`Warning`], as
//! in systemd.

use std::time::Duration;

use crate::health::HealthCheck;
use crate::pattern::{PartitionUuid, Patterns};
use crate::requirement::{Requirement, VersionRequirement};
use crate::specifier::Identity;
use crate::version::Version;

mod draft;
mod keys;
mod kinds;
mod problem;
mod reader;
mod rewrite;
mod span;
pub(crate) mod writer;

pub use crate::words::WordsError;
pub use kinds::{Activate, Channel, PartitionType, RelativeTo, SourceType, TargetType};
pub use problem::{Meant, Place, TransferError, Warning};
pub use span::{SpanError, format_span, parse_span};
pub use writer::{TextError, TransferText, VerifyText};

/// How many versions a directory keeps by default.
pub const INSTANCES_MAX_DEFAULT: u64 = 3;
/// How many versions partitions keep by default: one in each slot.
pub const INSTANCES_MAX_SLOTS: u64 = u64::MAX;
/// How many boot attempts a new version has by default.
pub const TRIES_LEFT_DEFAULT: u64 = 3;
/// The minimum number of versions that a target keeps: the running one and its successor.
pub const INSTANCES_MAX_FLOOR: u64 = 2;
/// How long health checks may fail by default.
pub const HEALTH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Where systemd-sysext looks for extensions, highest priority first. The next merge includes what is there.
pub const EXTENSION_DIRECTORIES: [&str; 3] = ["/etc/extensions", "/run/extensions", "/var/lib/extensions"];

/// One transfer, checked and with its specifiers expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The file's name without `.transfer` or `.conf`.
    pub id: String,
    /// Older versions are obsolete: they are listed but never installed.
    pub min_version: Option<Version>,
    /// Versions that are never removed; see [`Transfer::protects`].
    pub protect_versions: Vec<Version>,
    /// Whether a `SHA256SUMS` needs an OpenPGP signature. A repository's catalog is always signed.
    pub verify: bool,
    /// The transfer is enabled if one of these features is, or if the list is empty.
    pub features: Vec<String>,
    /// The transfer is enabled only if all of these features are.
    pub requisite_features: Vec<String>,
    /// URLs of the list of changes; `@v` is replaced by the version.
    pub changelog: Vec<String>,
    /// URLs of AppStream metadata.
    pub appstream: Vec<String>,
    /// Where versions come from.
    pub source: Source,
    /// Where versions go.
    pub target: Target,
    /// The identifier of the repository whose signed catalog lists the versions.
    pub repository: Option<String>,
    /// URLs of mirrors.
    pub mirrors: Vec<String>,
    /// Which versions are installed: `1.32` (that stream), `1.32.3` (that upstream version) and others; see
    /// [`VersionRequirement`].
    pub version: Option<VersionRequirement>,
    /// Newer versions are never installed.
    pub max_version: Option<Version>,
    /// The release channels that are allowed.
    pub channel: Option<Channel>,
    /// Other extensions that must be there as well.
    pub requires: Vec<Requirement>,
    /// The maximum number of bytes per second for downloads.
    pub bandwidth: Option<u64>,
    /// How a new version is activated.
    pub activate: Activate,
    /// The checks that must all pass after activation.
    pub health_checks: Vec<HealthCheck>,
    /// How long the checks may fail.
    pub health_timeout: Duration,
    /// Whether to keep the installed version.
    pub hold: bool,
}

/// Where versions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its type.
    pub kind: SourceType,
    /// A URL, or a directory as an absolute path without a slash at its end.
    pub path: String,
    /// The base of a directory's path.
    pub relative_to: RelativeTo,
    /// The names of versions.
    pub patterns: Patterns,
}

/// Where versions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its type.
    pub kind: TargetType,
    /// A directory as an absolute path without a slash at its end; for partitions a block device, an image
    /// of a disk, or [`AUTO`].
    pub path: String,
    /// The base of the path.
    pub relative_to: RelativeTo,
    /// The first pattern names new versions; all of them match installed ones.
    pub patterns: Patterns,
    /// Access mode of new files; otherwise from the pattern's `@m`, otherwise the source's.
    pub mode: Option<u32>,
    /// How many versions are kept: at least [`INSTANCES_MAX_FLOOR`].
    pub instances_max: u64,
    /// Whether files of interrupted downloads are removed.
    pub remove_temporary: bool,
    /// A symlink to the installed version, as an absolute path.
    pub current_symlink: Option<String>,
    /// Whether new files lose their write bits; otherwise from the pattern's `@r`.
    pub read_only: Option<bool>,
    /// The boot attempts that a new version has left, if a pattern uses `@l`.
    pub tries_left: Option<u64>,
    /// The boot attempts that a new version has done, if a pattern uses `@d`.
    pub tries_done: Option<u64>,
    /// The keys for partitions, which are read for all targets.
    pub partition: Partition,
}

/// The `Path=` of partitions on the disk that the running system is on.
pub const AUTO: &str = "auto";

/// The keys of a target for partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// The type of the partitions that are slots.
    pub kind: PartitionType,
    /// The UUID of new versions; otherwise from the pattern's `@u`, otherwise unchanged.
    pub uuid: Option<PartitionUuid>,
    /// The flags of new versions; otherwise from `@f`, otherwise unchanged.
    pub flags: Option<u64>,
    /// The no-auto flag alone; otherwise from `@a`.
    pub no_auto: Option<bool>,
    /// The grow-file-system flag alone; otherwise from `@g`.
    pub grow_file_system: Option<bool>,
    /// Whether the rest of the slot is filled with zeros; see [`Partition::fills_with_zeros`].
    pub zero_fill: Option<bool>,
}

impl Partition {
    /// Whether the rest of a slot is filled with zeros; the default is to do so for signatures only.
    pub fn fills_with_zeros(&self) -> bool {
        self.zero_fill.unwrap_or_else(|| self.kind.is_signature())
    }
}

/// A transfer and the warnings about its file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The transfer.
    pub transfer: Transfer,
    /// Warnings in the order of the lines.
    pub warnings: Vec<Warning>,
}

impl Transfer {
    /// Reads a transfer file and its drop-ins.
    ///
    /// `name` is the file's name, for messages and for [`Transfer::id`]. `drop_ins` are the names and texts of
    /// the files in its `.d` directories, in the order in which they apply: a later value wins, lists grow, and
    /// an empty value removes what was set before.
    pub fn parse(
        name: &str,
        text: &str,
        drop_ins: &[(&str, &str)],
        identity: &Identity,
    ) -> Result<Parsed, TransferError> {
        reader::parse(name, text, drop_ins, identity)
    }

    /// Whether a version must never be removed. Spellings are compared: `01` does not protect `1`.
    pub fn protects(&self, version: &Version) -> bool {
        self.protect_versions.iter().any(|protected| protected.as_str() == version.as_str())
    }

    /// Whether a version is too old to be installed.
    pub fn is_obsolete(&self, version: &Version) -> bool {
        self.min_version.as_ref().is_some_and(|min| version < min)
    }

    /// The features that decide whether the transfer is enabled; without any, it always is.
    pub fn named_features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().chain(&self.requisite_features).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
