//! What is removed: surplus versions, abandoned downloads, and the files of disabled transfers.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sysext_manifests::version::Version;

use super::survey::{Active, Leftover, LocalInstance, Situation, TransferState};
use super::{Hold, State};
use crate::settings::DisabledBy;
use crate::targets::Location;

/// What is removed of a disabled transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Removal {
    /// The transfer's name.
    pub transfer: String,
    /// Why it is disabled.
    #[serde(flatten)]
    pub reason: DisabledBy,
    /// Its link, which is removed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<PathBuf>,
    /// Its files, which are removed once they are no longer merged.
    pub files: Vec<RemovedFile>,
    /// Whether its files are merged: then the merged set is refreshed before they are removed.
    pub merged: bool,
}

/// A file that is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RemovedFile {
    /// Where it is.
    #[serde(rename = "path")]
    pub location: Location,
    /// How complete it is.
    pub state: State,
    /// Its new location before the refresh, where the merge would find it by its name: that of a partial download,
    /// which every later run removes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Location>,
}

/// What a vacuum of a component removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacuum {
    /// The surplus of each enabled transfer: abandoned downloads, then old versions.
    pub transfers: Vec<Surplus>,
    /// The files of disabled transfers.
    pub removals: Vec<Removal>,
}

/// The surplus files of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// The transfer's name.
    pub transfer: String,
    /// The files, and how complete each is.
    pub files: Vec<(Location, State)>,
}

/// Plans the removal of surplus files without an installation.
pub fn vacuum(situation: &Situation) -> Vacuum {
    let sets = situation.update_sets();
    let active = situation.active(&sets);
    let stays = |transfer: &TransferState, version: &Version| {
        let trial = situation.record.trial.as_ref();
        let tried =
            trial.is_some_and(|trial| trial.version == *version || trial.previous.as_ref() == Some(version));
        tried || transfer.stays(version, active.as_ref(), situation.record.last_good.as_ref())
    };
    let transfers = situation.transfers.iter().map(|transfer| {
        let old = transfer.oldest(transfer.instances_max, |version| stays(transfer, version));
        let abandoned = transfer.abandoned();
        let files = abandoned.chain(old).map(|local| (local.location.clone(), local.state));
        Surplus { transfer: transfer.transfer.clone(), files: files.collect() }
    });
    Vacuum { transfers: transfers.collect(), removals: situation.removals() }
}

impl Situation {
    /// What an update removes of disabled transfers.
    pub(super) fn removals_in_update(&self) -> Vec<Removal> {
        match self.hold {
            Hold::Free => self.removals(),
            Hold::Held => Vec::new(),
        }
    }

    fn removals(&self) -> Vec<Removal> {
        self.leftovers.iter().filter_map(|leftover| self.removal(leftover)).collect()
    }

    /// All files of a transfer, except for protected ones and for those that another transfer has as well.
    fn removal(&self, leftover: &Leftover) -> Option<Removal> {
        let Leftover { state: transfer, reason, merged } = leftover;
        let is_removed = |local: &&LocalInstance| {
            let shared = self.transfers.iter().any(|other| other.has(&local.location));
            !transfer.protects(local) && !shared
        };
        let link = match &transfer.active {
            Active::Linked { link, version: Some(version) } => {
                let leads_to_kept = transfer.installed(version).is_some_and(|local| !is_removed(&local));
                let shared = self.transfers.iter().any(|other| other.is_linked_at(link));
                (!leads_to_kept && !shared).then(|| link.clone())
            }
            Active::Linked { version: None, .. } | Active::Newest => None,
        };
        let by_name = *merged && transfer.active == Active::Newest;
        let files = transfer.local.iter().filter(is_removed).map(|local| RemovedFile {
            location: local.location.clone(),
            state: local.state,
            set_aside: (by_name && local.state == State::Installed).then(|| local.location.partial()),
        });
        let removal = Removal {
            transfer: transfer.transfer.clone(),
            reason: reason.clone(),
            link,
            files: files.collect(),
            merged: *merged,
        };
        let nothing = removal.link.is_none() && removal.files.is_empty();
        (!nothing).then_some(removal)
    }
}

impl TransferState {
    /// What is removed before a version is installed: abandoned downloads of other versions, and the oldest
    /// surplus versions. Never the version in use, the last good one, or a protected one.
    pub(super) fn surplus(
        &self,
        coming: &Version,
        active: Option<&Version>,
        last_good: Option<&Version>,
    ) -> Vec<Location> {
        let abandoned = self.abandoned().filter(|local| local.version != *coming);
        // One place is for the new version.
        let old = self
            .oldest(self.instances_max.saturating_sub(1), |version| self.stays(version, active, last_good));
        abandoned.chain(old).map(|local| local.location.clone()).collect()
    }

    /// Downloads that are not installed and may be removed. A protected file is kept once it is complete.
    fn abandoned(&self) -> impl Iterator<Item = &LocalInstance> {
        let downloads = self.local.iter().filter(|local| local.state != State::Installed);
        downloads.filter(|local| !self.protects(local))
    }

    /// Whether a file is never removed.
    fn protects(&self, local: &LocalInstance) -> bool {
        local.state != State::Partial && self.protected.contains(&local.version)
    }

    /// The oldest installed ones that may be removed, as many as exceed `limit`.
    fn oldest(&self, limit: usize, stays: impl Fn(&Version) -> bool) -> Vec<&LocalInstance> {
        let mut installed: Vec<&LocalInstance> =
            self.local.iter().filter(|local| local.state == State::Installed).collect();
        installed.sort_by(|a, b| a.version.cmp(&b.version));
        let count = installed.len() + self.local.iter().filter(|local| self.stays_pending(local)).count();
        let surplus = count.saturating_sub(limit);
        installed.retain(|local| !stays(&local.version));
        installed.truncate(surplus);
        installed
    }

    /// Whether a file is pending and protected: it counts like an installed one.
    fn stays_pending(&self, local: &LocalInstance) -> bool {
        local.state == State::Pending && self.protects(local)
    }

    /// Whether a version is never removed.
    fn stays(&self, version: &Version, active: Option<&Version>, last_good: Option<&Version>) -> bool {
        // Where links disagree, no version is active as a whole; the one this transfer's link points to stays
        // all the same.
        let linked = match &self.active {
            Active::Linked { version, .. } => version.as_ref(),
            Active::Newest => None,
        };
        [active, linked, last_good].contains(&Some(version)) || self.protected.contains(version)
    }

    fn has(&self, location: &Location) -> bool {
        self.local.iter().any(|local| local.location == *location)
    }

    fn is_linked_at(&self, path: &Path) -> bool {
        matches!(&self.active, Active::Linked { link, .. } if link == path)
    }
}
