//! Deciding what to do. Pure: the same survey gives the same plan, and the plan leaves the executor no choice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use sysext_manifests::digest::Sha256;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::version::Version;

use crate::settings::ComponentName;
use crate::state::Unreadable;
use crate::targets::Location;

mod choose;
mod display;
mod objection;
mod recover;
mod relations;
mod removal;
mod resolve;
mod survey;
#[cfg(test)]
mod tests;

pub use display::Refused;
pub use objection::{Objection, Obstacle};
pub use recover::{Resume, RollbackReason};
pub use relations::{OtherExtension, Related, Relations, RelationsError};
pub use removal::{Removal, RemovedFile, Surplus, Vacuum, vacuum};
pub use resolve::MetRequirement;
pub use survey::{
    Active, Goal, Hold, Leftover, LocalInstance, Offer, OfferedFile, Offers, Origin, Situation, Survey,
    TransferState, Wanted,
};
pub use sysext_manifests::update_set::State;

/// Decides what to do with every component.
pub fn plan(survey: &Survey) -> Plan {
    let components = match survey.goal {
        Goal::Recover => recover::recover(survey),
        Goal::Download | Goal::Update => choose::decide(survey),
    };
    Plan { components }
}

/// What will be done.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// For each component.
    pub components: Vec<ComponentPlan>,
}

/// What will be done with a component.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentPlan {
    /// Its name.
    pub component: ComponentName,
    /// The version in use.
    pub active: Option<Version>,
    /// What will be done.
    #[serde(flatten)]
    pub decision: Decision,
    /// What meets the requirements of the version, if another one will be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<MetRequirement>,
    /// The components whose change makes this one possible, and their new versions: if one of them is not
    /// changed, neither is this one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub relies_on: BTreeMap<ComponentName, Version>,
    /// The files of disabled transfers, which will be removed.
    pub removals: Vec<Removal>,
    /// Newer versions that will not be used, and why, newest first.
    pub skipped: Vec<Skipped>,
    /// Why it is not known what the sources have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_failure: Option<String>,
    /// A record that cannot be read, and is moved out of the way first.
    #[serde(skip)]
    pub set_aside: Option<Unreadable>,
}

/// What will be done.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// Finish what an interrupted run began.
    Resume {
        /// How.
        resume: Resume,
        /// The version that was activated, and how to roll it back.
        activation: Activation,
    },
    /// Install a version and activate it.
    Install {
        /// Files to remove first.
        remove: Vec<Location>,
        /// Files to install, in this order.
        files: Vec<NewFile>,
        /// How it is activated.
        activation: Activation,
    },
    /// Download a version without activating it.
    Download {
        /// The version.
        version: Version,
        /// Files to remove first.
        remove: Vec<Location>,
        /// Files to download, in this order. None if all are installed.
        files: Vec<NewFile>,
    },
    /// Activate a version that is installed already.
    Activate {
        /// How.
        activation: Activation,
    },
    /// Change nothing.
    Keep {
        /// Why.
        reason: Keep,
    },
    /// Do not use the requested version.
    Refuse {
        /// The version.
        version: Version,
        /// Why not; there is at least one reason.
        objections: Vec<Objection>,
    },
}

/// How a version is activated, and how it is rolled back.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Activation {
    /// The version.
    pub version: Version,
    /// The version that was in use before.
    pub previous: Option<Version>,
    /// Whether the version is merged into the running system, and its health checks run.
    pub merged: bool,
    /// The links that activate it, in this order.
    pub links: Vec<Link>,
    /// The links that activate the previous version again.
    pub rollback_links: Vec<Link>,
    /// The files of the version, which are removed after a rollback.
    pub files: Vec<Location>,
    /// The digests of the version's files, where they are known.
    pub sha256: Vec<Sha256>,
    /// The catalog's health checks.
    pub health: Vec<HealthCheck>,
    /// What the version requires of other extensions.
    #[serde(skip)]
    pub relations: Relations,
    /// The plan's `relies_on`: it is recorded until the version passed its checks.
    #[serde(skip)]
    pub relies_on: BTreeMap<ComponentName, Version>,
}

/// A link and where it will point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Link {
    /// The link.
    pub path: PathBuf,
    /// The instance; without one, the link is removed.
    pub target: Option<Location>,
}

/// A file to install.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewFile {
    /// The transfer's name.
    pub transfer: String,
    /// Where it comes from, and its path.
    #[serde(flatten)]
    pub source: OfferedFile,
    /// An incomplete or unverified file of an interrupted run, which is resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Location>,
}

/// Why a component is not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Keep {
    /// No newer version is eligible.
    UpToDate,
    /// No version is installed, and none is eligible.
    Nothing,
    /// The operator holds it.
    Held {
        /// The version that would be installed otherwise.
        candidate: Version,
    },
}

/// A newer version that will not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Skipped {
    /// The version.
    pub version: Version,
    /// Why not; there is at least one reason.
    pub objections: Vec<Objection>,
}
