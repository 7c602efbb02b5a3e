//! What the planner knows: the rules, what is installed, what is offered, what is recorded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sysext_manifests::digest::Sha256;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::requirement::{Requirement, VersionRequirement};
use sysext_manifests::trust::{Claim, Verified};
use sysext_manifests::update_set::{self, Instances, UpdateSet};
use sysext_manifests::version::Version;

use super::State;
use super::relations::{OtherExtension, Related, Relations};
use crate::merge::quarantine::Unsupported;
use crate::settings::{ComponentName, DisabledBy};
use crate::state::{Record, Unreadable};
use crate::targets::Location;

/// Everything the planner knows.
#[derive(Debug)]
pub struct Survey {
    /// What the plan is for.
    pub goal: Goal,
    /// The components that may be changed, sorted by name.
    pub components: Vec<Situation>,
    /// What else is installed, sorted by name.
    pub others: Vec<OtherExtension>,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Finish what an interrupted run began, and nothing else.
    Recover,
    /// Download a version without activating it. Nothing that is in use changes.
    Download,
    /// Install and activate a version.
    Update,
}

/// Everything the planner knows about one component.
#[derive(Debug)]
pub struct Situation {
    /// The component's name.
    pub component: ComponentName,
    /// The names of the extensions in it.
    pub provides: Vec<String>,
    /// What the operator's definitions require of every version.
    pub requires: Vec<Requirement>,
    /// Its enabled transfers, in the order of their file names.
    pub transfers: Vec<TransferState>,
    /// What its disabled transfers installed.
    pub leftovers: Vec<Leftover>,
    /// Whether it is merged into the running system.
    pub merged: bool,
    /// What the node recorded about it.
    pub record: Record,
    /// The record's file, if it could not be read; `record` is then empty.
    pub unreadable: Option<Unreadable>,
    /// What the sources have.
    pub offers: Offers,
    /// Which version is requested.
    pub wanted: Wanted,
    /// Whether the operator holds it.
    pub hold: Hold,
}

/// One transfer: its rules, and its files on this node.
#[derive(Clone, Debug)]
pub struct TransferState {
    /// The transfer's name.
    pub transfer: String,
    /// Older versions are never installed.
    pub minimum: Option<Version>,
    /// Newer versions are never installed.
    pub maximum: Option<Version>,
    /// What versions must match.
    pub requirement: Option<VersionRequirement>,
    /// Versions that are never removed.
    pub protected: Vec<Version>,
    /// How many versions are kept, the new one included.
    pub instances_max: usize,
    /// Its files.
    pub local: Vec<LocalInstance>,
    /// Which version is in use.
    pub active: Active,
}

/// The files of a disabled transfer.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// The transfer.
    pub state: TransferState,
    /// Why it is disabled.
    pub reason: DisabledBy,
    /// Whether its files are merged into the running system.
    pub merged: bool,
}

/// Which version of a transfer is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Active {
    /// The one that a link points to.
    Linked {
        /// The link.
        link: PathBuf,
        /// The version it points to, if it points to one.
        version: Option<Version>,
    },
    /// Without a link, the newest installed one.
    Newest,
}

/// A version of a transfer on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalInstance {
    /// The version.
    pub version: Version,
    /// Where it is.
    pub location: Location,
    /// How complete it is.
    pub state: State,
}

/// What the sources have.
#[derive(Debug)]
pub enum Offers {
    /// These versions. A catalog may have many: each is found without a look at the others.
    Known(BTreeMap<Version, Offer>),
    /// A source failed.
    Unknown {
        /// The error.
        reason: String,
    },
}

/// What sources have of a version.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What it requires of other extensions.
    pub relations: Relations,
    /// What the catalog says and this program cannot use.
    pub malformed: Option<String>,
    /// The file of each transfer.
    pub files: Vec<Option<OfferedFile>>,
    /// What the merge does not support, if the version is to be merged.
    pub unread: Option<Unsupported>,
    /// Why its publisher withdrew it.
    pub withdrawn: Option<String>,
    /// The catalog's health checks, if the version is to be merged.
    pub health: Vec<HealthCheck>,
}

/// A file that a source has, and where it is installed.
#[derive(Clone, Debug)]
pub struct OfferedFile {
    /// Where its bytes come from.
    pub origin: Origin,
    /// Where it is installed.
    pub target: Location,
    /// Its permission bits, if the definition sets them.
    pub mode: Option<u32>,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// From the URLs of a claim that also names their digest.
    Claimed(Verified<Claim>),
    /// From a file of this node without a known digest.
    File(PathBuf),
}

/// Which version is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest eligible version.
    Newest,
    /// This version, older or newer.
    Exactly(Version),
}

/// Whether the operator holds a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is updated.
    Free,
    /// `Hold=yes` in a definition.
    Held,
}

impl Situation {
    /// The version in use: the one all links agree on; without links, the newest complete one. `sets` are
    /// this situation's.
    pub(super) fn active(&self, sets: &[UpdateSet]) -> Option<Version> {
        let links: Vec<_> = self
            .transfers
            .iter()
            .filter_map(|transfer| match &transfer.active {
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

    /// A version that may be installed, with all that it requires.
    pub(super) fn related(&self, version: &Version) -> Related {
        let offered = self.offer(version).map(|offer| &offer.relations);
        self.with_operators(version, offered.or(self.recorded(version)))
    }

    /// The version in use, with all that it requires: as it was when it was installed.
    pub(super) fn active_related(&self, version: &Version) -> Related {
        let offered = self.offer(version).map(|offer| &offer.relations);
        self.with_operators(version, self.recorded(version).or(offered))
    }

    fn recorded(&self, version: &Version) -> Option<&Relations> {
        self.record.installed(version).map(|installed| &installed.relations)
    }

    fn with_operators(&self, version: &Version, relations: Option<&Relations>) -> Related {
        let mut relations = relations.cloned().unwrap_or_default();
        relations.requires.extend(self.requires.iter().cloned());
        Related { version: Some(version.clone()), relations }
    }

    /// What this component is for others that are changed without it.
    pub fn as_other(&self) -> Option<OtherExtension> {
        let version = self.active(&self.update_sets())?;
        let (label, provides) = (self.component.to_string(), self.provides.clone());
        Some(OtherExtension { label, provides, installed: self.active_related(&version) })
    }

    /// The file that a transfer, by its number, would install of a version.
    pub fn offered_file(&self, version: &Version, transfer: usize) -> Option<&OfferedFile> {
        self.offer(version)?.files.get(transfer)?.as_ref()
    }

    /// Every known version, installed or offered, newest first.
    pub fn update_sets(&self) -> Vec<UpdateSet> {
        let each = self.transfers.iter().enumerate();
        let transfers: Vec<_> = each.map(|(index, transfer)| self.instances(index, transfer)).collect();
        update_set::update_sets(&transfers)
    }

    /// The transfers without an installed file of a version.
    pub(super) fn not_installed(&self, version: &Version) -> Vec<String> {
        let missing = self.transfers.iter().filter(|transfer| transfer.installed(version).is_none());
        missing.map(|transfer| transfer.transfer.clone()).collect()
    }

    fn instances<'a>(&'a self, index: usize, transfer: &'a TransferState) -> Instances<'a> {
        let has = |offer: &Offer| matches!(offer.files.get(index), Some(Some(_)));
        let offers = self.offers().into_iter().flatten();
        Instances {
            minimum: transfer.minimum.as_ref(),
            protected: &transfer.protected,
            local: transfer.local.iter().map(|local| (&local.version, local.state)).collect(),
            offered: offers.filter(|(_, offer)| has(offer)).map(|(version, _)| version).collect(),
        }
    }
}

impl Offer {
    /// Why this program cannot run its health checks, if it cannot. Such a version would never be healthy.
    pub fn cannot_check(&self) -> Option<String> {
        let error = self.health.iter().find_map(|check| check.runnable().err())?;
        Some(error.to_string())
    }

    /// The digests of its files, in the order of the transfers; empty if one of them is unknown.
    pub fn sha256(&self) -> Vec<Sha256> {
        let digests: Option<Vec<_>> = self
            .files
            .iter()
            .map(|file| match &file.as_ref()?.origin {
                Origin::Claimed(claim) => Some(claim.get().sha256),
                Origin::File(_) => None,
            })
            .collect();
        digests.unwrap_or_default()
    }
}

impl TransferState {
    /// The installed file of a version.
    pub fn installed(&self, version: &Version) -> Option<&LocalInstance> {
        self.local.iter().find(|local| local.version == *version && local.state == State::Installed)
    }

    /// The most complete file of a version.
    pub fn farthest(&self, version: &Version) -> Option<&LocalInstance> {
        self.local.iter().filter(|local| local.version == *version).max_by_key(|local| local.state)
    }
}
