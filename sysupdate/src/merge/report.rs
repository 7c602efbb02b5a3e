//! The result of a merge, and what is merged.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sysext_manifests::version::Version;

use super::quarantine::Quarantined;

/// The result of a merge.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergeReport {
    /// The result in one word.
    pub outcome: MergeOutcome,
    /// The hierarchies that are merged now, as the target system sees them.
    pub hierarchies: Vec<PathBuf>,
    /// The extensions that are merged now, lowest layer first.
    pub extensions: Vec<Merged>,
    /// The images that were skipped.
    pub quarantined: Vec<Quarantined>,
    /// The extensions that are not merged because a stronger directory has an entry with their name.
    pub masked: Vec<Masked>,
    /// The added or removed extensions that require systemd to be reloaded; none if nothing changed.
    pub reload: Vec<String>,
    /// Warnings for the operator.
    pub warnings: Vec<Warning>,
    /// How long it took, in seconds in JSON.
    #[serde(serialize_with = "as_seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "f64"))]
    pub took: Duration,
}

/// The result of a merge in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MergeOutcome {
    /// Nothing was merged before.
    Merged,
    /// Another set replaced the merged one.
    Refreshed,
    /// The same set is already merged, or there is nothing to merge.
    Unchanged,
    /// Nothing is merged any more.
    Unmerged,
}

/// An extension that is merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Merged {
    /// Its name.
    pub name: String,
    /// The image or directory, symbolic links resolved, as the target system sees it.
    pub path: PathBuf,
    /// Its version, if the file name contains one.
    pub version: Option<Version>,
}

/// An extension that is not merged because a stronger directory has an entry with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Masked {
    /// The extension.
    pub name: String,
    /// Its entry in the extension directory, as the target system sees it.
    pub entry: PathBuf,
    /// The path it resolves to; the entry itself if that does not exist.
    pub path: PathBuf,
    /// What masks it.
    #[serde(flatten)]
    pub by: MaskedBy,
}

/// What masks an extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum MaskedBy {
    /// A link to `/dev/null`, or an empty directory: the operator masks the name.
    Mask {
        /// Its path, as the target system sees it.
        #[serde(rename = "by")]
        entry: PathBuf,
    },
    /// Another extension.
    Other {
        /// Its path, as the target system sees it.
        #[serde(rename = "by")]
        entry: PathBuf,
    },
}

/// A warning for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// The new overlay could not be moved beneath the old one.
    Gap {
        /// The hierarchy whose files were missing for a moment.
        hierarchy: PathBuf,
        /// What the kernel reported.
        reason: String,
    },
    /// An earlier run was interrupted; its leftover overlay was detached.
    Interrupted {
        /// The hierarchy.
        hierarchy: PathBuf,
    },
    /// A mount hidden below the overlay could not be detached; its copy above is in use.
    MountedTwice {
        /// The mount point.
        path: PathBuf,
        /// What the kernel reported.
        reason: String,
    },
    /// A merged directory has another mode or owner than the host's.
    Directory {
        /// The extension.
        extension: String,
        /// The first such directory.
        path: PathBuf,
        /// The mode and owner in the image.
        image: String,
        /// The mode and owner on the host.
        host: String,
        /// How many more directories of the extension differ.
        others: usize,
    },
}

/// What is merged.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// `/usr` and `/opt`, as the target system sees them.
    pub hierarchies: Vec<HierarchyStatus>,
    /// What the last merge skipped, if this program did it.
    pub quarantined: Vec<Quarantined>,
}

/// What is merged at one hierarchy, in the JSON format of `systemd-sysext status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HierarchyStatus {
    /// The hierarchy, as the target system sees it.
    pub hierarchy: PathBuf,
    /// The names of the extensions, lowest layer first; none if nothing is merged.
    pub extensions: Vec<String>,
    /// When, in microseconds since 1970 in JSON.
    #[serde(serialize_with = "as_microseconds")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i64>"))]
    pub since: Option<Timestamp>,
}

impl fmt::Display for MergeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hierarchies: Vec<_> = self.hierarchies.iter().map(|path| path.display().to_string()).collect();
        let hierarchies = hierarchies.join(" and ");
        match (self.outcome, self.extensions.is_empty()) {
            (MergeOutcome::Merged, _) => writeln!(f, "merged into {hierarchies}:")?,
            (MergeOutcome::Refreshed, _) => writeln!(f, "refreshed {hierarchies}:")?,
            (MergeOutcome::Unchanged, false) => writeln!(f, "unchanged in {hierarchies}:")?,
            (MergeOutcome::Unchanged, true) => writeln!(f, "nothing to merge")?,
            (MergeOutcome::Unmerged, _) => writeln!(f, "unmerged")?,
        }
        for extension in &self.extensions {
            writeln!(f, "  {extension}")?;
        }
        for quarantined in &self.quarantined {
            writeln!(f, "skipped: {quarantined}")?;
        }
        for masked in &self.masked {
            writeln!(f, "not merged: {masked}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.hierarchies.iter().map(|one| one.hierarchy.display().to_string());
        let width = names.map(|name| name.len()).max().unwrap_or(0).max("HIERARCHY".len());
        writeln!(f, "{:<width$} {:<20} EXTENSIONS", "HIERARCHY", "SINCE")?;
        for HierarchyStatus { hierarchy, extensions, since } in &self.hierarchies {
            // To the second: a person reads it.
            let since = since.and_then(|time| Timestamp::from_second(time.as_second()).ok());
            let since = since.map_or("-".to_owned(), |time| time.to_string());
            let extensions = if extensions.is_empty() { "none".to_owned() } else { extensions.join(" ") };
            writeln!(f, "{:<width$} {since:<20} {extensions}", hierarchy.display().to_string())?;
        }
        self.quarantined.iter().try_for_each(|quarantined| writeln!(f, "skipped: {quarantined}"))
    }
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        write!(f, " ({})", self.path.display())
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.path.display(), self.by)
    }
}

impl fmt::Display for MaskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mask { entry } => write!(f, "masked by {}", entry.display()),
            Self::Other { entry } => write!(f, "overridden by {}", entry.display()),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { hierarchy, reason } => write!(
                f,
                "files of {} were missing for a moment: this kernel cannot move a mount beneath another (Linux 6.5 can): {reason}",
                hierarchy.display()
            ),
            Self::Interrupted { hierarchy } => {
                write!(
                    f,
                    "an earlier run was interrupted; its leftover overlay at {} was detached",
                    hierarchy.display()
                )
            }
            Self::MountedTwice { path, reason } => {
                write!(f, "{} stays mounted twice until the next boot: {reason}", path.display())
            }
            Self::Directory { extension, path, image, host, others } => {
                write!(
                    f,
                    "{extension} changes the directory {}: {image}, on the host {host}",
                    path.display()
                )?;
                match others {
                    0 => Ok(()),
                    others => write!(f, " (and {others} more)"),
                }
            }
        }
    }
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn as_microseconds<S: Serializer>(since: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    since.map(|time| time.as_microsecond()).serialize(serializer)
}
