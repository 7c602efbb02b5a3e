//! Why a version must not be used.

use std::fmt;

use serde::Serialize;
use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::survey::{Offer, Situation};
use crate::merge::quarantine::Unread;

/// A reason not to use a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
        what: Unread,
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
    /// An interrupted run activated it, and its checks have not passed yet.
    OnTrial,
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
            Self::OnTrial => f.write_str("activated by an interrupted run, but not checked yet"),
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
        let withdrawn = offer.and_then(|offer| offer.withdrawn.clone());
        let withdrawn = withdrawn.map(|message| Objection::Withdrawn { message });
        let digests = offer.map(Offer::sha256).unwrap_or_default();
        let bad = self.record.failure_of(version, &digests);
        let bad = bad.map(|bad| Objection::Bad { output: bad.output.clone() });
        [incomplete, obsolete, too_new, unmatched, unsupported, withdrawn, bad].into_iter().flatten()
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

    /// The first requirement that a version does not match. A catalog names the upstream version, which has
    /// no revision of ours.
    fn unmatched(&self, version: &Version) -> Option<String> {
        let upstream = self.offer(version).and_then(|offer| offer.upstream.as_deref());
        let name = upstream.unwrap_or(version.as_str());
        let requirements = self.transfers.iter().filter_map(|transfer| transfer.requirement.as_ref());
        let mut unmatched = requirements.filter(|requirement| !requirement.matches(name));
        unmatched.next().map(ToString::to_string)
    }
}
