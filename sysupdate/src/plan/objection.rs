//! Why a version must not be used.

use std::fmt;

use serde::Serialize;
use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::survey::{Offer, Situation};
use crate::merge::quarantine::Unsupported;

/// A reason not to use a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Objection {
    /// It is not installed, and no source has it.
    NotOffered,
    /// Some transfers neither have it nor can get it.
    Incomplete {
        /// These transfers.
        missing: Vec<String>,
    },
    /// It is older than `MinVersion=`.
    Obsolete {
        /// `MinVersion=`.
        minimum: Version,
    },
    /// It is newer than `MaxVersion=`.
    TooNew {
        /// `MaxVersion=`.
        maximum: Version,
    },
    /// It does not match `Version=`.
    Unmatched {
        /// `Version=`.
        requirement: String,
    },
    /// The merge of this program does not support it. Activated, it would be rolled back at once.
    Unsupported {
        /// The kind of image.
        what: Unsupported,
    },
    /// Its publisher withdrew it.
    Withdrawn {
        /// The publisher's reason.
        message: String,
    },
    /// It failed its health checks on this node.
    Bad {
        /// The output of the failed check.
        output: String,
    },
    /// This program cannot run a health check of its catalog.
    CannotCheck {
        /// The check, and why.
        message: String,
    },
    /// Its catalog says of it what this program cannot use.
    Malformed {
        /// What.
        message: String,
    },
    /// It requires an extension that is not there in a matching version.
    Requires {
        /// The requirement.
        requirement: String,
        /// What there is instead.
        #[serde(flatten)]
        obstacle: Obstacle,
    },
    /// Another extension requires the version in use, or at least not this one.
    Held {
        /// The component that holds it.
        by: String,
        /// The version of that component.
        version: Option<Version>,
        /// What that version requires.
        requirement: String,
    },
    /// It must not be merged together with another extension.
    Conflicts {
        /// The component of the other extension.
        with: String,
        /// The version of that component.
        version: Option<Version>,
    },
    /// An interrupted run activated it, and its checks have not passed yet.
    OnTrial,
}

/// Why a requirement is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "obstacle", rename_all = "kebab-case")]
pub enum Obstacle {
    /// The extension is not installed.
    Missing,
    /// The extension is installed, but no component knows its version.
    UnknownVersion,
    /// The extension has another version.
    Version {
        /// The component of the extension.
        by: String,
        /// Its version.
        version: Version,
        /// Whether this run installs that version.
        changed: bool,
    },
}

impl Objection {
    /// Whether the version is used all the same if the operator requests it by its number.
    pub const fn yields_to_request(&self) -> bool {
        match self {
            Self::Bad { .. } | Self::Withdrawn { .. } => true,
            Self::NotOffered
            | Self::Incomplete { .. }
            | Self::Obsolete { .. }
            | Self::TooNew { .. }
            | Self::Unmatched { .. }
            | Self::Unsupported { .. }
            | Self::CannotCheck { .. }
            | Self::Malformed { .. }
            | Self::Requires { .. }
            | Self::Held { .. }
            | Self::Conflicts { .. }
            | Self::OnTrial => false,
        }
    }

    /// What the operator can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OnTrial => Some("run `sysupdate update` first: it checks that version".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str("neither installed nor available"),
            Self::Incomplete { missing } => {
                write!(f, "incomplete: no matching file for {}", missing.join(", "))
            }
            Self::Obsolete { minimum } => write!(f, "older than MinVersion={minimum}"),
            Self::TooNew { maximum } => write!(f, "newer than MaxVersion={maximum}"),
            Self::Unmatched { requirement } => write!(f, "does not match Version={requirement}"),
            Self::Unsupported { what } => {
                write!(f, "{what} are not merged yet (systemd-sysext merges them: set Activate=none)")
            }
            Self::Withdrawn { message } => write!(f, "withdrawn by its publisher: {message}"),
            Self::Bad { output } if output.is_empty() => f.write_str("failed its health checks"),
            Self::Bad { output } => {
                let last = output.lines().last().unwrap_or_default();
                write!(f, "failed its health checks: {last}")
            }
            Self::CannotCheck { message } => write!(f, "cannot check its health: {message}"),
            Self::Malformed { message } => f.write_str(message),
            Self::Requires { requirement, obstacle } => write!(f, "requires {requirement}, {obstacle}"),
            Self::Held { by, version, requirement } => {
                write!(f, "held by {by}{}, which requires {requirement}", after_blank(version.as_ref()))
            }
            Self::Conflicts { with, version } => {
                write!(f, "conflicts with {with}{}", after_blank(version.as_ref()))
            }
            Self::OnTrial => f.write_str("activated by an interrupted run, but not checked yet"),
        }
    }
}

fn after_blank(version: Option<&Version>) -> String {
    version.map(|version| format!(" {version}")).unwrap_or_default()
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("which is neither installed nor available"),
            Self::UnknownVersion => f.write_str("but the version that is installed is unknown"),
            Self::Version { by, version, changed: false } => write!(f, "but {by} {version} is installed"),
            Self::Version { by, version, changed: true } => write!(f, "but this run installs {by} {version}"),
        }
    }
}

impl Situation {
    /// Every reason not to use a version, the most basic one first.
    pub fn objections(&self, set: &UpdateSet) -> impl Iterator<Item = Objection> {
        let version = &set.version;
        let offer = self.offer(version);
        let missing = self.missing(set);
        let incomplete = (!missing.is_empty()).then_some(Objection::Incomplete { missing });
        let obsolete = set.obsolete.clone().map(|minimum| Objection::Obsolete { minimum });
        let too_new = self.too_new(version).map(|maximum| Objection::TooNew { maximum });
        let unmatched = self.unmatched(version).map(|requirement| Objection::Unmatched { requirement });
        let unsupported = offer.and_then(|offer| offer.unread).map(|what| Objection::Unsupported { what });
        let cannot_check = offer.and_then(Offer::cannot_check);
        let cannot_check = cannot_check.map(|message| Objection::CannotCheck { message });
        let malformed = offer.and_then(|offer| offer.malformed.clone());
        let malformed = malformed.map(|message| Objection::Malformed { message });
        let withdrawn = offer.and_then(|offer| offer.withdrawn.clone());
        let withdrawn = withdrawn.map(|message| Objection::Withdrawn { message });
        let digests = offer.map(Offer::sha256).unwrap_or_default();
        let bad = self.record.failure_of(version, &digests);
        let bad = bad.map(|bad| Objection::Bad { output: bad.output.clone() });
        [incomplete, obsolete, too_new, unmatched, unsupported, cannot_check, malformed, withdrawn, bad]
            .into_iter()
            .flatten()
    }

    /// The names of the transfers that neither have a version nor can get it.
    pub(super) fn missing(&self, set: &UpdateSet) -> Vec<String> {
        set.missing().filter_map(|index| Some(self.transfers.get(index)?.transfer.clone())).collect()
    }

    /// The highest version that all transfers allow, if this one is newer.
    fn too_new(&self, version: &Version) -> Option<Version> {
        let maxima = self.transfers.iter().filter_map(|transfer| transfer.maximum.clone());
        maxima.min().filter(|maximum| version > maximum)
    }

    /// The first requirement that a version does not match.
    fn unmatched(&self, version: &Version) -> Option<String> {
        let upstream = self.offer(version).and_then(|offer| offer.relations.upstream.as_deref());
        let requirements = self.transfers.iter().filter_map(|transfer| transfer.requirement.as_ref());
        let mut unmatched =
            requirements.filter(|requirement| !requirement.matches(version.as_str(), upstream));
        unmatched.next().map(ToString::to_string)
    }
}
