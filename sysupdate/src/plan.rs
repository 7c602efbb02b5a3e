//! Deciding what to do. Pure: the same situation gives the same plan, and the plan leaves the executor
//! nothing to decide.

use std::path::PathBuf;

use serde::Serialize;
use sysext_manifests::digest::Sha256;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::version::Version;

use crate::merge::quarantine::Unread;
use crate::state::Stage;

mod choose;
mod display;
mod removal;
mod survey;
#[cfg(test)]
mod tests;

pub use removal::{Leaving, Removal, Surplus, Vacuum, vacuum};
pub use survey::{Active, Hold, Idle, Line, Local, Offer, Offers, Origin, Request, Shown, Situation, Source};
pub use sysext_manifests::update_set::State;

/// Decides for every component by itself: none depends on what happens to another.
pub fn plan(situations: &[Situation]) -> Plan {
    Plan { components: situations.iter().map(choose::decide).collect() }
}

/// What will be done.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// For each component.
    pub components: Vec<ComponentPlan>,
}

/// What will be done with a component.
#[derive(Debug, Serialize)]
pub struct ComponentPlan {
    /// Its name.
    pub component: String,
    /// The version in use.
    pub active: Option<Version>,
    /// What will be done.
    #[serde(flatten)]
    pub decision: Decision,
    /// What goes of transfers that take no part.
    pub removals: Vec<Removal>,
    /// Newer versions that will not be used, and why, newest first.
    pub passed_over: Vec<PassedOver>,
    /// Why nobody knows what the sources have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_failure: Option<String>,
}

/// What will be done.
#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// An interrupted run put a version in use: judge it first.
    Settle {
        /// How far it came.
        stage: Stage,
        /// What was put in use, and the way back.
        activation: Activation,
    },
    /// Get a version, and put it in use.
    Install {
        /// What to remove first.
        remove: Vec<PathBuf>,
        /// What to get, in this order.
        acquire: Vec<Acquire>,
        /// How it is put in use.
        activation: Activation,
    },
    /// A version is there already: put it in use.
    Activate {
        /// How.
        activation: Activation,
    },
    /// Leave it as it is.
    Keep {
        /// Why.
        reason: Keep,
    },
    /// What was asked for cannot be done.
    Refuse {
        /// Why.
        reason: Refusal,
    },
}

/// How a version is put in use, and the way back.
#[derive(Clone, Debug, Serialize)]
pub struct Activation {
    /// The version.
    pub version: Version,
    /// What was in use before.
    pub previous: Option<Version>,
    /// The links that put it in use, in this order.
    pub links: Vec<Link>,
    /// The links that put back what was in use before.
    pub back: Vec<Link>,
    /// The files of the version, which go if it does not pass.
    pub files: Vec<PathBuf>,
    /// The digests of the version's files, where they are known.
    pub sha256: Vec<Sha256>,
    /// The checks its catalog asks for.
    pub health: Vec<HealthCheck>,
}

/// A link and where it shall point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The link.
    pub path: PathBuf,
    /// The file, or none: then the link goes.
    pub target: Option<PathBuf>,
}

/// A file to get.
#[derive(Debug, Serialize)]
pub struct Acquire {
    /// The transfer's name.
    pub transfer: String,
    /// Where from, and what it will be called.
    #[serde(flatten)]
    pub source: Source,
    /// Bytes an interrupted run left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<PathBuf>,
}

/// Why a component stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Keep {
    /// Nothing newer may be used.
    UpToDate,
    /// Nothing is here, and nothing is offered.
    Nothing,
    /// The operator holds it.
    Held {
        /// What would be used otherwise.
        candidate: Version,
    },
}

/// Why what was asked for cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Refusal {
    /// No source has the version, and it is not here.
    NotOffered {
        /// What was asked for.
        version: Version,
    },
    /// It is below `MinVersion=`.
    Obsolete {
        /// What was asked for.
        version: Version,
        /// The least version allowed.
        minimum: Version,
    },
    /// It is above `MaxVersion=`.
    TooNew {
        /// What was asked for.
        version: Version,
        /// The highest version allowed.
        maximum: Version,
    },
    /// It does not fulfil `Version=`.
    Unfulfilled {
        /// What was asked for.
        version: Version,
        /// What is required.
        requirement: String,
    },
    /// It is of a kind that the merge of this program does not read.
    NotReadYet {
        /// What was asked for.
        version: Version,
        /// Which kind.
        what: Unread,
    },
    /// This program cannot run a health check that its catalog asks for.
    CannotCheck {
        /// What was asked for.
        version: Version,
        /// Which check, and why.
        message: String,
    },
    /// Some transfers do not have it.
    Incomplete {
        /// What was asked for.
        version: Version,
        /// The transfers that miss it.
        missing: Vec<String>,
    },
}

/// A newer version that will not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The version.
    pub version: Version,
    /// Why.
    #[serde(flatten)]
    pub reason: Objection,
}

/// Why a version is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Objection {
    /// It was tried and did not pass its checks.
    Bad {
        /// What the check said.
        output: String,
    },
    /// It is below `MinVersion=`.
    Obsolete {
        /// The least version allowed.
        minimum: Version,
    },
    /// It is above `MaxVersion=`.
    TooNew {
        /// The highest version allowed.
        maximum: Version,
    },
    /// It does not fulfil `Version=`.
    Unfulfilled {
        /// What is required.
        requirement: String,
    },
    /// It is of a kind that the merge of this program does not read.
    NotReadYet {
        /// Which kind.
        what: Unread,
    },
    /// This program cannot run a health check that its catalog asks for.
    CannotCheck {
        /// Which check, and why.
        message: String,
    },
    /// Its publisher took it back.
    Withdrawn {
        /// What the publisher said.
        message: String,
    },
    /// Some transfers do not have it.
    Incomplete {
        /// The transfers that miss it.
        missing: Vec<String>,
    },
}
