//! What the planner knows: the rules, what is here, what is offered, what is remembered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use sysext_manifests::digest::Sha256;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::requirement::VersionRequirement;
use sysext_manifests::trust::{Claim, Verified};
use sysext_manifests::update_set::{self, Instances, UpdateSet};
use sysext_manifests::version::Version;

use super::{Objection, State};
use crate::merge::quarantine::Unread;
use crate::settings::DisabledBy;
use crate::state::Record;

/// Everything the planner knows about one component.
#[derive(Debug)]
pub struct Situation {
    /// The component's name.
    pub component: String,
    /// Its transfers, in the order of their file names.
    pub lines: Vec<Line>,
    /// Its transfers that take no part.
    pub idle: Vec<Idle>,
    /// What the node remembers.
    pub record: Record,
    /// What the sources have.
    pub offers: Offers,
    /// What is asked for.
    pub request: Request,
    /// Whether the operator holds it.
    pub hold: Hold,
}

/// One transfer: its rules, and what is there of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The transfer's name.
    pub transfer: String,
    /// Versions below are never installed.
    pub minimum: Option<Version>,
    /// Versions above are never installed.
    pub maximum: Option<Version>,
    /// What versions must fulfil.
    pub requirement: Option<VersionRequirement>,
    /// Versions that are never removed.
    pub protected: Vec<Version>,
    /// How many versions may be there, the new one included.
    pub instances_max: usize,
    /// What is there.
    pub local: Vec<Local>,
    /// Which version is in use.
    pub active: Active,
}

/// A transfer that takes no part, and what is there of it.
#[derive(Clone, Debug)]
pub struct Idle {
    /// The transfer.
    pub line: Line,
    /// Why it takes no part.
    pub because: DisabledBy,
    /// How it was used.
    pub shown: Shown,
}

/// Whether what a transfer brings is merged into the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// It is, and the merged set is refreshed when it goes.
    Merged,
    /// It is not.
    Not,
}

/// Which version of a transfer is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Active {
    /// A link says so.
    Linked {
        /// The link.
        link: PathBuf,
        /// The version it points to, if it points to one.
        version: Option<Version>,
    },
    /// No link: the newest one that is there is in use.
    Newest,
}

/// A file of some version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The version.
    pub version: Version,
    /// The file.
    pub path: PathBuf,
    /// How far it came.
    pub state: State,
}

/// What the sources have.
#[derive(Debug)]
pub enum Offers {
    /// These versions. A catalog may have many: each is found without a look at the others.
    Known(BTreeMap<Version, Offer>),
    /// Nobody knows: the source failed.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What sources have of a version.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What the version is called upstream, where a catalog knows: requirements look at that.
    pub upstream: Option<String>,
    /// For each transfer, where to get it from.
    pub sources: Vec<Option<Source>>,
    /// What the merge of this program would not read, where it is to be merged.
    pub unread: Option<Unread>,
    /// Why nobody should install it any more.
    pub withdrawn: Option<String>,
    /// The checks that its catalog asks for, if it is to be merged.
    pub health: Vec<HealthCheck>,
}

/// Where to get a file from, and what it will be called.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where its bytes come from.
    pub origin: Origin,
    /// Where it will be.
    pub target: PathBuf,
    /// Its permission bits, where the definition says.
    pub mode: Option<u32>,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Someone said which bytes it has.
    Claimed(Verified<Claim>),
    /// A file of this node about which nobody said anything.
    File(PathBuf),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The newest version there is.
    Newest,
    /// This version, older or newer.
    Exactly(Version),
}

/// Whether the operator holds a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It moves on.
    Free,
    /// `Hold=yes` in a definition.
    Held,
}

impl Situation {
    /// The version in use: the one all links agree on; without links, the newest that is here whole. `sets`
    /// are this situation's.
    pub(super) fn active(&self, sets: &[UpdateSet]) -> Option<Version> {
        let links: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| match &line.active {
                Active::Linked { version, .. } => Some(version),
                Active::Newest => None,
            })
            .collect();
        match links.split_first() {
            Some((first, others)) => others.iter().all(|other| other == first).then(|| (*first).clone())?,
            None => sets.iter().find(|set| set.is_installed()).map(|set| set.version.clone()),
        }
    }

    fn offers(&self) -> Option<&BTreeMap<Version, Offer>> {
        match &self.offers {
            Offers::Known(offers) => Some(offers),
            Offers::Unknown { .. } => None,
        }
    }

    pub(super) fn offer(&self, version: &Version) -> Option<&Offer> {
        self.offers()?.get(version)
    }

    /// Where a transfer, by its number, would get a version from.
    pub fn source(&self, version: &Version, transfer: usize) -> Option<&Source> {
        self.offer(version)?.sources.get(transfer)?.as_ref()
    }

    /// What there is of every version that is here or offered, newest first.
    pub fn update_sets(&self) -> Vec<UpdateSet> {
        let transfers: Vec<_> =
            self.lines.iter().enumerate().map(|(index, line)| self.instances(index, line)).collect();
        update_set::update_sets(&transfers)
    }

    /// Whether every transfer has a version under its final name.
    pub fn is_installed(&self, version: &Version) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.installed(version).is_some())
    }

    fn instances<'a>(&'a self, index: usize, line: &'a Line) -> Instances<'a> {
        let has = |offer: &Offer| matches!(offer.sources.get(index), Some(Some(_)));
        let offers = self.offers().into_iter().flatten();
        Instances {
            minimum: line.minimum.as_ref(),
            protected: &line.protected,
            local: line.local.iter().map(|local| (&local.version, local.state)).collect(),
            offered: offers.filter(|(_, offer)| has(offer)).map(|(version, _)| version).collect(),
        }
    }

    /// The names of the transfers that neither have a version nor can get it.
    pub(super) fn missing(&self, set: &UpdateSet) -> Vec<String> {
        set.missing().filter_map(|index| Some(self.lines.get(index)?.transfer.clone())).collect()
    }

    /// The highest version the transfers agree to, if this one is above.
    pub fn too_new(&self, version: &Version) -> Option<Version> {
        self.lines.iter().filter_map(|line| line.maximum.clone()).min().filter(|maximum| version > maximum)
    }

    /// The requirement that excludes a version, if there is one.
    pub fn unfulfilled(&self, version: &Version) -> Option<String> {
        let upstream = self.offer(version).and_then(|offer| offer.upstream.as_deref());
        let requirements = self.lines.iter().filter_map(|line| line.requirement.as_ref());
        let mut unfulfilled =
            requirements.filter(|requirement| !requirement.matches(version.as_str(), upstream));
        unfulfilled.next().map(ToString::to_string)
    }

    /// Why the newest-version rule may not use a version.
    pub fn objection(&self, set: &UpdateSet) -> Option<Objection> {
        let missing = self.missing(set);
        if !missing.is_empty() {
            return Some(Objection::Incomplete { missing });
        }
        if let Some(minimum) = set.obsolete.clone() {
            return Some(Objection::Obsolete { minimum });
        }
        let version = &set.version;
        if let Some(maximum) = self.too_new(version) {
            return Some(Objection::TooNew { maximum });
        }
        if let Some(requirement) = self.unfulfilled(version) {
            return Some(Objection::Unfulfilled { requirement });
        }
        let offer = self.offer(version);
        if let Some(what) = offer.and_then(|offer| offer.unread) {
            return Some(Objection::NotReadYet { what });
        }
        if let Some(message) = offer.and_then(Offer::cannot_check) {
            return Some(Objection::CannotCheck { message });
        }
        if let Some(message) = offer.and_then(|offer| offer.withdrawn.clone()) {
            return Some(Objection::Withdrawn { message });
        }
        let digests = offer.map(Offer::sha256).unwrap_or_default();
        let bad = self.record.judged_bad(version, &digests)?;
        Some(Objection::Bad { output: bad.output.clone() })
    }
}

impl Offer {
    /// Why this program cannot run its health checks, if it cannot. It must not be installed then: it could
    /// never be called healthy.
    pub fn cannot_check(&self) -> Option<String> {
        let error = self.health.iter().find_map(|check| check.runnable().err())?;
        Some(error.to_string())
    }

    /// The digests of its files, in the order of the transfers; none if one of them is not known.
    pub fn sha256(&self) -> Vec<Sha256> {
        let digests: Option<Vec<_>> = self
            .sources
            .iter()
            .map(|source| match &source.as_ref()?.origin {
                Origin::Claimed(claim) => Some(claim.get().sha256),
                Origin::File(_) => None,
            })
            .collect();
        digests.unwrap_or_default()
    }
}

impl Line {
    /// The file of a version under its final name.
    pub fn installed(&self, version: &Version) -> Option<&Local> {
        self.local.iter().find(|local| local.version == *version && local.state == State::Installed)
    }

    /// The file of a version that came farthest.
    pub fn farthest(&self, version: &Version) -> Option<&Local> {
        self.local.iter().filter(|local| local.version == *version).max_by_key(|local| local.state)
    }
}
