//! Transfer files: where a component's versions come from, where they go, and what happens then.
//!
//! The format is systemd-sysupdate's; our additions stand in `[X-Sysupdate]`, which stock tools skip.
//! Parsing is strict where a mistake would install or leave out the wrong thing, and otherwise does as
//! systemd does: the value is ignored and a [`Warning`] says so.

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

/// How many versions a directory keeps unless the file says otherwise.
pub const INSTANCES_MAX_DEFAULT: u64 = 3;
/// How many versions partitions hold unless the file says otherwise: as many as there are slots.
pub const INSTANCES_MAX_SLOTS: u64 = u64::MAX;
/// How often a new version may be tried to boot unless the file says otherwise.
pub const TRIES_LEFT_DEFAULT: u64 = 3;
/// One to run and one to go to: no target keeps fewer.
pub const INSTANCES_MAX_FLOOR: u64 = 2;
/// How long health checks may go on failing unless the file says otherwise.
pub const HEALTH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Where systemd-sysext looks for extensions, highest priority first. A symlink there takes part in the next merge.
pub const EXTENSION_DIRECTORIES: [&str; 3] = ["/etc/extensions", "/run/extensions", "/var/lib/extensions"];

/// One transfer, checked and with its specifiers expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The file's name without `.transfer` or `.conf`.
    pub id: String,
    /// Older versions are obsolete: listed, never installed.
    pub min_version: Option<Version>,
    /// Versions that are never removed; see [`Transfer::protects`].
    pub protect_versions: Vec<Version>,
    /// Whether a stock manifest needs an OpenPGP signature. Says nothing about a repository's catalog.
    pub verify: bool,
    /// The transfer takes part if any of these features is enabled, or if there is none here.
    pub features: Vec<String>,
    /// The transfer takes part only if all of these features are enabled.
    pub requisite_features: Vec<String>,
    /// Where changes are described; `@v` stands for the version.
    pub changelog: Vec<String>,
    /// Where AppStream metadata lies.
    pub appstream: Vec<String>,
    /// Where versions come from.
    pub source: Source,
    /// Where versions go.
    pub target: Target,
    /// The repository whose signed catalog decides, by its identifier.
    pub repository: Option<String>,
    /// Other places with the same files.
    pub mirrors: Vec<String>,
    /// Which versions are installed: `1.32` (that stream), `1.32.3` (that upstream version) and others; see
    /// [`VersionRequirement`].
    pub version: Option<VersionRequirement>,
    /// Newer versions are never installed.
    pub max_version: Option<Version>,
    /// How ripe versions have to be.
    pub channel: Option<Channel>,
    /// Other extensions that must be there as well.
    pub requires: Vec<Requirement>,
    /// How many bytes a second may be downloaded.
    pub bandwidth: Option<u64>,
    /// What makes a new version take effect.
    pub activate: Activate,
    /// What must pass after activation; all of them.
    pub health_checks: Vec<HealthCheck>,
    /// How long they may take to pass.
    pub health_timeout: Duration,
    /// Whether to stay at what is installed.
    pub hold: bool,
}

/// Where versions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What kind of thing it is.
    pub kind: SourceType,
    /// A URL, or a directory as an absolute path without a slash at its end.
    pub path: String,
    /// What a directory's path starts from.
    pub relative_to: RelativeTo,
    /// Which names there are versions.
    pub patterns: Patterns,
}

/// Where versions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What kind of thing it is.
    pub kind: TargetType,
    /// A directory as an absolute path without a slash at its end; for partitions a block device, an image
    /// of a disk, or [`AUTO`].
    pub path: String,
    /// What the path starts from.
    pub relative_to: RelativeTo,
    /// The first one names new versions, all of them recognise installed ones.
    pub patterns: Patterns,
    /// Access mode of new files; otherwise from the pattern's `@m`, otherwise the source's.
    pub mode: Option<u32>,
    /// How many versions are kept, at least [`INSTANCES_MAX_FLOOR`].
    pub instances_max: u64,
    /// Whether leftovers of broken downloads are removed.
    pub remove_temporary: bool,
    /// A symlink to the installed version, as an absolute path.
    pub current_symlink: Option<String>,
    /// Whether new files lose their write bits; otherwise from the pattern's `@r`.
    pub read_only: Option<bool>,
    /// Boot attempts a new version has left, where the patterns have `@l`.
    pub tries_left: Option<u64>,
    /// Boot attempts a new version has behind it, where the patterns have `@d`.
    pub tries_done: Option<u64>,
    /// What is said of partitions, whatever the target is.
    pub partition: Partition,
}

/// The `Path=` of partitions on the disk that the running system is on.
pub const AUTO: &str = "auto";

/// What a target says of its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Which partitions are slots.
    pub kind: PartitionType,
    /// The UUID of new versions; otherwise from the pattern's `@u`, otherwise left alone.
    pub uuid: Option<PartitionUuid>,
    /// The flags of new versions; otherwise from `@f`, otherwise left alone.
    pub flags: Option<u64>,
    /// The no-auto flag alone; otherwise from `@a`.
    pub no_auto: Option<bool>,
    /// The grow-file-system flag alone; otherwise from `@g`.
    pub grow_file_system: Option<bool>,
    /// Whether the rest of the slot is filled with zeros; see [`Partition::fills_with_zeros`].
    pub zero_fill: Option<bool>,
}

impl Partition {
    /// Whether the rest of a slot is filled with zeros: as the file says, else for signatures.
    pub fn fills_with_zeros(&self) -> bool {
        self.zero_fill.unwrap_or_else(|| self.kind.is_signature())
    }
}

/// A transfer and what was odd about its file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The transfer.
    pub transfer: Transfer,
    /// What was ignored or changed, in the order of the lines.
    pub warnings: Vec<Warning>,
}

impl Transfer {
    /// Reads a transfer file and its drop-ins.
    ///
    /// `name` is the file's name, for messages and for [`Transfer::id`]. `drop_ins` are the names and texts of
    /// the files in its `.d` directories, in the order in which they apply: a later value wins, lists grow, and
    /// an empty value forgets what was set before.
    pub fn parse(
        name: &str,
        text: &str,
        drop_ins: &[(&str, &str)],
        identity: &Identity,
    ) -> Result<Parsed, TransferError> {
        reader::parse(name, text, drop_ins, identity)
    }

    /// Whether a version is never to be removed. The spelling counts: `01` does not protect `1`.
    pub fn protects(&self, version: &Version) -> bool {
        self.protect_versions.iter().any(|protected| protected.as_str() == version.as_str())
    }

    /// Whether a version is too old to be installed.
    pub fn is_obsolete(&self, version: &Version) -> bool {
        self.min_version.as_ref().is_some_and(|min| version < min)
    }

    /// The features that decide whether the transfer takes part; with none, it always does.
    pub fn named_features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().chain(&self.requisite_features).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
