//! What an update did.

use std::fmt;

use serde::Serialize;
use sysext_manifests::version::Version;

use crate::failure::Failure;
use crate::merge;
use crate::plan::{Keep, Removal, Skipped};
use crate::settings::{ComponentName, DisabledBy};
use crate::state::InstalledFile;

/// What an update did.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateReport {
    /// What it did to each component, sorted by name.
    pub components: Vec<ComponentReport>,
    /// What is merged now, if the merged set was refreshed.
    pub merged: Option<merge::report::MergeReport>,
    /// What the operator should know about the merge.
    pub warnings: Vec<String>,
}

/// What an update did to a component.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentReport {
    /// Its name.
    pub component: ComponentName,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The files that were downloaded, and why they are trusted.
    pub files: Vec<InstalledFile>,
    /// The disabled transfers whose files were removed.
    pub removed: Vec<RemovedTransfer>,
    /// Newer versions that were not used, and why.
    pub skipped: Vec<Skipped>,
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A disabled transfer whose files were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemovedTransfer {
    /// The transfer's name.
    pub transfer: String,
    /// Why it is disabled.
    #[serde(flatten)]
    pub reason: DisabledBy,
}

impl From<Removal> for RemovedTransfer {
    fn from(Removal { transfer, reason, .. }: Removal) -> Self {
        Self { transfer, reason }
    }
}

/// The result for a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Something failed, and the component was not changed.
    Failed,
    /// No newer version is eligible.
    UpToDate,
    /// No version is installed, and none is eligible.
    Nothing,
    /// The operator holds it.
    Held {
        /// The version that would be installed otherwise.
        candidate: Version,
    },
    /// A version was downloaded and verified. The next update activates it.
    Downloaded {
        /// The version.
        version: Version,
    },
    /// A version was activated and passed its checks.
    Updated {
        /// The version.
        version: Version,
        /// The version that was in use before.
        previous: Option<Version>,
    },
    /// A version was activated, but the operator's own files mask it, so that it is not merged: it was not checked.
    Masked {
        /// The version.
        version: Version,
        /// The version that was in use before.
        previous: Option<Version>,
        /// What masks it.
        reason: String,
    },
    /// A version was activated, but the merged set could not be refreshed: it was not checked. The next update
    /// continues from there.
    Unverified {
        /// The version.
        version: Version,
        /// The version that was in use before.
        previous: Option<Version>,
    },
    /// A version could not be checked, through no fault of its own, and was rolled back. The next update tries again.
    NotChecked {
        /// The version.
        version: Version,
        /// The version that is in use again.
        previous: Option<Version>,
        /// Why it could not be checked.
        reason: String,
    },
    /// A version was rolled back.
    RolledBack {
        /// The version.
        version: Version,
        /// The version that is in use again.
        previous: Option<Version>,
        /// Why: the output of the failed check, for example.
        output: String,
    },
}

impl Outcome {
    /// The result for a component that the plan does not change.
    pub(super) fn kept(reason: Keep, source_failed: bool) -> Self {
        match reason {
            Keep::Held { candidate } => Self::Held { candidate },
            // There may be a newer version.
            Keep::UpToDate | Keep::Nothing if source_failed => Self::Failed,
            Keep::UpToDate => Self::UpToDate,
            Keep::Nothing => Self::Nothing,
        }
    }

    const fn is_change(&self) -> bool {
        match self {
            Self::Failed | Self::UpToDate | Self::Nothing | Self::Held { .. } => false,
            Self::Downloaded { .. }
            | Self::Updated { .. }
            | Self::Masked { .. }
            | Self::Unverified { .. }
            | Self::NotChecked { .. }
            | Self::RolledBack { .. } => true,
        }
    }
}

impl ComponentReport {
    /// A report about a component that was not changed yet.
    pub fn new(component: ComponentName, warnings: Vec<String>) -> Self {
        Self {
            component,
            outcome: Outcome::Failed,
            files: Vec::new(),
            removed: Vec::new(),
            skipped: Vec::new(),
            failures: Vec::new(),
            warnings,
        }
    }

    /// A report about a component whose definitions are unusable.
    pub fn failed(component: ComponentName, failure: impl Into<Failure>) -> Self {
        let mut report = Self::new(component, Vec::new());
        report.fail(failure);
        report
    }

    /// Adds a failure.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        self.failures.push(failure.into());
    }

    /// Adds what was done later.
    fn then(&mut self, later: Self) {
        // What was recovered is the greater news than that there is nothing else.
        if later.outcome.is_change() || self.outcome == Outcome::Failed {
            self.outcome = later.outcome;
        }
        self.files.extend(later.files);
        self.removed.extend(later.removed);
        self.skipped.extend(later.skipped);
        self.failures.extend(later.failures);
        self.warnings.extend(later.warnings);
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
            && !matches!(self.outcome, Outcome::RolledBack { .. } | Outcome::NotChecked { .. })
    }
}

impl UpdateReport {
    /// Adds a component.
    pub(super) fn add(&mut self, component: ComponentReport) {
        self.components.push(component);
        self.components.sort_by(|a, b| a.component.cmp(&b.component));
    }

    /// Adds what was done later.
    pub(super) fn then(&mut self, later: Self) {
        for component in later.components {
            match self.find(&component.component) {
                Some(earlier) => earlier.then(component),
                None => self.add(component),
            }
        }
        self.merged = later.merged.or(self.merged.take());
        self.warnings.extend(later.warnings);
    }

    /// Adds failures and warnings.
    pub(super) fn note(
        &mut self,
        failures: Vec<(ComponentName, Failure)>,
        warnings: Vec<(ComponentName, String)>,
    ) {
        for (name, failure) in failures {
            self.find(&name).into_iter().for_each(|report| report.fail(failure.clone()));
        }
        for (name, warning) in warnings {
            self.find(&name).into_iter().for_each(|report| report.warnings.push(warning.clone()));
        }
    }

    /// Whether anything failed for a component.
    pub(super) fn has_failed(&self, name: &ComponentName) -> bool {
        self.components.iter().any(|report| report.component == *name && !report.failures.is_empty())
    }

    fn find(&mut self, name: &ComponentName) -> Option<&mut ComponentReport> {
        self.components.iter_mut().find(|report| report.component == *name)
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.components.iter().all(ComponentReport::is_good)
    }
}

impl fmt::Display for ComponentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.component)?;
        match &self.outcome {
            Outcome::Failed => write!(f, "failed, nothing was changed")?,
            Outcome::UpToDate => write!(f, "up to date")?,
            Outcome::Nothing => write!(f, "nothing to install")?,
            Outcome::Held { candidate } => write!(f, "on hold; {candidate} is available")?,
            Outcome::Downloaded { version } => {
                write!(f, "{version} was downloaded; `sysupdate update` activates it")?;
            }
            Outcome::Updated { version, previous: Some(previous) } => {
                write!(f, "updated from {previous} to {version}")?;
            }
            Outcome::Updated { version, previous: None } => write!(f, "installed {version}")?,
            Outcome::Masked { version, reason, .. } => {
                write!(f, "{version} is installed but not merged, so it was not checked: {reason}")?;
            }
            Outcome::Unverified { version, .. } => {
                write!(
                    f,
                    "{version} is installed but not merged, so it was not checked; the next update continues \
                     from there"
                )?;
            }
            Outcome::NotChecked { version, previous, reason } => {
                write!(f, "{version} could not be checked, ")?;
                match previous {
                    Some(previous) => write!(f, "and {previous} stays in use")?,
                    None => f.write_str("and is not in use")?,
                }
                write!(f, "; the next update tries again: {reason}")?;
            }
            Outcome::RolledBack { version, previous: Some(previous), output } => {
                write!(f, "rolled back from {version} to {previous}: {output}")?;
            }
            Outcome::RolledBack { version, previous: None, output } => {
                write!(f, "rolled back {version}: {output}")?;
            }
        }
        for RemovedTransfer { transfer, reason } in &self.removed {
            write!(f, "\n  removed {transfer}: {reason}")?;
        }
        for skipped in &self.skipped {
            write!(f, "\n  {skipped}")?;
        }
        Ok(())
    }
}
