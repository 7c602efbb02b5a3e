//! Transfer files: where a component's versions come from, where they go, and what happens then.
//!
//! The format is systemd-sysupdate's; our additions stand in `[X-Sysupdate]`, which stock tools skip.
//! Parsing is strict where a mistake would install or leave out the wrong thing, and otherwise does as
//! systemd does: the value is ignored and a [`Warning`] says so.

use std::fmt;
use std::time::Duration;

use crate::pattern::Patterns;
use crate::specifier::Identity;
use crate::version::Version;

mod draft;
mod health;
mod keys;
mod problem;
mod reader;
mod span;
mod words;
mod writer;

pub use health::{HealthCheck, HealthCheckError};
pub use problem::{Meant, Place, TransferError, Warning};
pub use span::{SpanError, format_span, parse_span};
pub use words::WordsError;
pub use writer::{TextError, TransferText, VerifyText};

/// How many versions a target keeps unless the file says otherwise.
pub const INSTANCES_MAX_DEFAULT: u64 = 3;
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
    /// Which names there are versions.
    pub patterns: Patterns,
}

/// Kinds of sources. systemd knows more; these are what this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceType {
    /// Files below a URL, listed in a `SHA256SUMS`.
    UrlFile,
    /// Files in a directory.
    RegularFile,
}

/// Where versions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What kind of thing it is.
    pub kind: TargetType,
    /// A directory as an absolute path without a slash at its end.
    pub path: String,
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
    /// Boot attempts a new version has left, for `@l`.
    pub tries_left: Option<u64>,
    /// Boot attempts a new version has behind it, for `@d`.
    pub tries_done: Option<u64>,
}

/// Kinds of targets. systemd knows more; this is what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetType {
    /// Files in a directory.
    RegularFile,
}

/// What makes a new version take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activate {
    /// Refresh the merged extensions.
    Refresh,
    /// Nothing: whoever uses the file sees to it.
    None,
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

impl SourceType {
    /// The name in `Type=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UrlFile => "url-file",
            Self::RegularFile => "regular-file",
        }
    }
}

impl TargetType {
    /// The name in `Type=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RegularFile => "regular-file",
        }
    }
}

impl Activate {
    /// The name in `Activate=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::None => "none",
        }
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Activate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
