//! What goes: surplus versions, what was begun for others, and all that transfers have which take no part.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sysext_manifests::version::Version;

use super::survey::{Active, Idle, Line, Local, Shown, Situation};
use super::{Hold, State};
use crate::settings::DisabledBy;
use crate::targets::names;

/// What goes of a transfer that takes no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// The transfer's name.
    pub transfer: String,
    /// Why it takes no part.
    #[serde(flatten)]
    pub because: DisabledBy,
    /// Its link, which goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<PathBuf>,
    /// Its files, which go once nothing shows them.
    pub files: Vec<Leaving>,
    /// Whether the merged set is refreshed before they go.
    pub shown: Shown,
}

/// A file that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// Its name.
    pub path: PathBuf,
    /// How far it came.
    pub state: State,
    /// The name it gets first, where the merge would find it by its own: that of a download that was begun,
    /// so that whoever comes next removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<PathBuf>,
}

/// What a vacuum of a component takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacuum {
    /// Of each transfer that takes part: what was begun, then what is old.
    pub transfers: Vec<Surplus>,
    /// Of those that do not.
    pub removals: Vec<Removal>,
}

/// What a transfer has too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// The transfer's name.
    pub transfer: String,
    /// The files, each with how far it came.
    pub files: Vec<(PathBuf, State)>,
}

/// Plans to make room without bringing anything.
pub fn vacuum(situation: &Situation) -> Vacuum {
    let sets = situation.update_sets();
    let active = situation.active(&sets);
    let stays = |line: &Line, version: &Version| {
        let trial = situation.record.trial.as_ref();
        let tried =
            trial.is_some_and(|trial| trial.version == *version || trial.previous.as_ref() == Some(version));
        tried || line.stays(version, active.as_ref(), situation.record.last_good.as_ref())
    };
    let transfers = situation.lines.iter().map(|line| {
        let old = line.oldest(line.instances_max, |version| stays(line, version));
        let begun = line.begun();
        let files = begun.chain(old).map(|local| (local.path.clone(), local.state));
        Surplus { transfer: line.transfer.clone(), files: files.collect() }
    });
    Vacuum { transfers: transfers.collect(), removals: situation.removals() }
}

impl Situation {
    /// What an update takes away of the transfers that take no part.
    pub(super) fn removals_in_update(&self) -> Vec<Removal> {
        match self.hold {
            Hold::Free => self.removals(),
            Hold::Held => Vec::new(),
        }
    }

    fn removals(&self) -> Vec<Removal> {
        self.idle.iter().filter_map(|idle| self.removal(idle)).collect()
    }

    /// All that a transfer has, except for what is protected and for what another transfer has as well.
    fn removal(&self, idle: &Idle) -> Option<Removal> {
        let Idle { line, because, shown } = idle;
        let goes = |local: &&Local| {
            let shared = self.lines.iter().any(|line| line.has(&local.path));
            !line.protects(local) && !shared
        };
        let link = match &line.active {
            Active::Linked { link, version: Some(version) } => {
                let leads_to_what_stays = line.installed(version).is_some_and(|local| !goes(&local));
                let shared = self.lines.iter().any(|line| line.is_linked_at(link));
                (!leads_to_what_stays && !shared).then(|| link.clone())
            }
            Active::Linked { version: None, .. } | Active::Newest => None,
        };
        let by_name = *shown == Shown::Merged && line.active == Active::Newest;
        let files = line.local.iter().filter(goes).map(|local| Leaving {
            path: local.path.clone(),
            state: local.state,
            set_aside: (by_name && local.state == State::Installed).then(|| names::partial(&local.path)),
        });
        let removal = Removal {
            transfer: line.transfer.clone(),
            because: because.clone(),
            link,
            files: files.collect(),
            shown: *shown,
        };
        let nothing = removal.link.is_none() && removal.files.is_empty();
        (!nothing).then_some(removal)
    }
}

impl Line {
    /// What has to go before a version comes: what was begun for others, and the oldest ones of more than
    /// may be there. Never the version in use, the last good one, or a protected one.
    pub(super) fn surplus(
        &self,
        coming: &Version,
        active: Option<&Version>,
        last_good: Option<&Version>,
    ) -> Vec<PathBuf> {
        let begun = self.begun().filter(|local| local.version != *coming);
        // One place is for the version that comes.
        let old = self
            .oldest(self.instances_max.saturating_sub(1), |version| self.stays(version, active, last_good));
        begun.chain(old).map(|local| local.path.clone()).collect()
    }

    /// What is not under its final name and may go. A pending file that is protected is as good as installed;
    /// one that is only begun is nothing yet.
    fn begun(&self) -> impl Iterator<Item = &Local> {
        let begun = self.local.iter().filter(|local| local.state != State::Installed);
        begun.filter(|local| !self.protects(local))
    }

    /// Whether a file stays whatever happens.
    fn protects(&self, local: &Local) -> bool {
        local.state != State::Partial && self.protected.contains(&local.version)
    }

    /// The oldest installed ones that may go, as many as are more than `limit`.
    fn oldest(&self, limit: usize, stays: impl Fn(&Version) -> bool) -> Vec<&Local> {
        let mut installed: Vec<&Local> =
            self.local.iter().filter(|local| local.state == State::Installed).collect();
        installed.sort_by(|a, b| a.version.cmp(&b.version));
        let there = installed.len() + self.local.iter().filter(|local| self.waits(local)).count();
        let surplus = there.saturating_sub(limit);
        installed.retain(|local| !stays(&local.version));
        installed.truncate(surplus);
        installed
    }

    /// Whether a file is pending and stays so: it takes a place as those do that are installed.
    fn waits(&self, local: &Local) -> bool {
        local.state == State::Pending && self.protects(local)
    }

    /// Whether a version is never removed.
    fn stays(&self, version: &Version, active: Option<&Version>, last_good: Option<&Version>) -> bool {
        // Where links disagree, no version is active as a whole; what this line's link shows stays all the same.
        let linked = match &self.active {
            Active::Linked { version, .. } => version.as_ref(),
            Active::Newest => None,
        };
        [active, linked, last_good].contains(&Some(version)) || self.protected.contains(version)
    }

    fn has(&self, path: &Path) -> bool {
        self.local.iter().any(|local| local.path == path)
    }

    fn is_linked_at(&self, path: &Path) -> bool {
        matches!(&self.active, Active::Linked { link, .. } if link == path)
    }
}
