//! Update sets: what is there of each version over all transfers of a component, and what stock
//! systemd-sysupdate makes of it.
//!
//! [`update_sets`] only counts and has no opinion; [`Selection`] has systemd 262's, which
//! `tests/tests/peer_selection.rs` holds against the real program. Our own planner has others.

use std::cmp::Reverse;

use serde::Serialize;

use crate::version::Version;

#[cfg(test)]
mod tests;

/// How far a file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Begun.
    Partial,
    /// Complete, under the pending name.
    Pending,
    /// Under its final name.
    Installed,
}

/// One transfer: its rules about versions, and what is there of it.
#[derive(Clone, Debug)]
pub struct Instances<'a> {
    /// `MinVersion=`.
    pub minimum: Option<&'a Version>,
    /// `ProtectVersion=`.
    pub protected: &'a [Version],
    /// What its target has.
    pub local: Vec<(&'a Version, State)>,
    /// What its source has.
    pub offered: Vec<&'a Version>,
}

/// A version over all transfers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSet {
    /// The version, as it is spelled where it is installed, and else where it is offered first.
    pub version: Version,
    /// For each transfer, what is there of it; there is at least one transfer.
    pub members: Vec<Member>,
    /// The largest of the transfers' `MinVersion=`, if this version is below.
    pub obsolete: Option<Version>,
    /// Whether any transfer protects it.
    pub protected: bool,
}

/// What one transfer has of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// How far it came here, if anything is.
    pub local: Option<State>,
    /// Whether its source has it.
    pub offered: bool,
}

/// The update set of every version that any transfer has or is offered, newest first.
pub fn update_sets(transfers: &[Instances<'_>]) -> Vec<UpdateSet> {
    let found = |local: bool| {
        let each = transfers.iter().enumerate();
        each.flat_map(move |(index, transfer)| {
            let here = transfer.local.iter().filter(move |_| local);
            let there = transfer.offered.iter().filter(move |_| !local);
            let here = here.map(move |(version, state)| (*version, index, Some(*state)));
            here.chain(there.map(move |version| (*version, index, None)))
        })
    };
    let mut found: Vec<_> = found(true).chain(found(false)).collect();
    // Stable, so that the first of equal versions gives its spelling.
    found.sort_by_key(|(version, ..)| Reverse(*version));
    let groups = found.chunk_by(|(a, ..), (b, ..)| a == b);
    groups.filter_map(|group| UpdateSet::gather(transfers, group)).collect()
}

impl UpdateSet {
    fn gather(transfers: &[Instances<'_>], group: &[(&Version, usize, Option<State>)]) -> Option<Self> {
        let (version, ..) = group.first()?;
        let mut members = vec![Member::default(); transfers.len()];
        for (_, index, state) in group {
            match state {
                // Of several files the one that came farthest counts.
                Some(_) => members[*index].local = members[*index].local.max(*state),
                None => members[*index].offered = true,
            }
        }
        let least = transfers.iter().filter_map(|transfer| transfer.minimum).max();
        let obsolete = least.filter(|least| version < least).cloned();
        let mut set = Self { version: (*version).clone(), members, obsolete, protected: false };
        // The spelling counts, where it is installed and where it can be had: `01` does not protect `1`.
        let offered = group.iter().find(|(.., state)| state.is_none()).filter(|_| set.is_available());
        let spellings = [Some(version), offered.map(|(version, ..)| version)];
        let mut protected = transfers.iter().flat_map(|transfer| transfer.protected);
        set.protected = protected.any(|protected| {
            spellings.iter().flatten().any(|version| version.as_str() == protected.as_str())
        });
        Some(set)
    }

    /// Whether any transfer has something of it.
    pub fn is_here(&self) -> bool {
        self.members.iter().any(|member| member.local.is_some())
    }

    /// Whether any transfer has got exactly this far.
    pub fn has(&self, state: State) -> bool {
        self.members.iter().any(|member| member.local == Some(state))
    }

    /// Whether every transfer has it under its final name.
    pub fn is_installed(&self) -> bool {
        self.members.iter().all(|member| member.local == Some(State::Installed))
    }

    /// Whether every transfer's source has it.
    pub fn is_available(&self) -> bool {
        self.members.iter().all(|member| member.offered)
    }

    /// The transfers, by their number, that neither have it under its final name nor can get it.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| member.local != Some(State::Installed) && !member.offered)
            .map(|(n, _)| n)
    }
}

/// What systemd 262 makes of update sets: what it lists, what it takes for current, and what it would
/// update to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What `list` lists, newest first.
    pub listed: Vec<Listed>,
    /// What `check-new` answers.
    pub candidate: Option<Version>,
}

/// A version as `list VERSION --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The version.
    pub version: Version,
    /// It is the newest of those that are here, or not here and the newest of those that are offered.
    pub newest: bool,
    /// Every source has it.
    pub available: bool,
    /// Something of it is here.
    pub installed: bool,
    /// Something of it is begun.
    pub partial: bool,
    /// Something of it is complete and not yet under its final name.
    pub pending: bool,
    /// It is below a `MinVersion=`.
    pub obsolete: bool,
    /// A `ProtectVersion=` names it.
    pub protected: bool,
    /// Something of it is here, and for another transfer nothing, not even begun.
    pub incomplete: bool,
}

/// What `list --json` shows under one key or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current<'a> {
    /// `current`: nothing is here.
    Nothing,
    /// `current`.
    Installed(&'a Version),
    /// `current+pending`: it takes effect with the next run.
    Pending(&'a Version),
}

impl Selection {
    /// Decides as systemd 262 does.
    pub fn of(sets: &[UpdateSet]) -> Self {
        // A version that some source misses is not offered at all; of one that is here, anything counts.
        let shown = || sets.iter().filter(|set| set.is_here() || set.is_available());
        let newest_here = shown().find(|set| set.is_here());
        let newest_offered = shown().find(|set| set.is_available());
        let is = |set: &UpdateSet, newest: Option<&UpdateSet>| newest.is_some_and(|newest| newest == set);
        let listed = shown().map(|set| {
            let newest = is(set, newest_here) || !set.is_here() && is(set, newest_offered);
            Listed::of(set, newest)
        });
        let listed: Vec<Listed> = listed.collect();
        let candidate = candidate(&listed).map(|listed| listed.version.clone());
        Self { listed, candidate }
    }

    /// The newest version of which something is here.
    pub fn current(&self) -> Current<'_> {
        match self.listed.iter().find(|listed| listed.installed) {
            None => Current::Nothing,
            Some(listed) if listed.pending => Current::Pending(&listed.version),
            Some(listed) => Current::Installed(&listed.version),
        }
    }
}

impl Listed {
    fn of(set: &UpdateSet, newest: bool) -> Self {
        let begun = set.has(State::Partial) || set.has(State::Pending);
        let lacks = set.members.iter().any(|member| member.local.is_none());
        Self {
            version: set.version.clone(),
            newest,
            available: set.is_available(),
            installed: set.is_here(),
            partial: set.has(State::Partial),
            pending: set.has(State::Pending),
            obsolete: set.obsolete.is_some(),
            protected: set.protected,
            incomplete: set.is_here() && lacks && !begun,
        }
    }
}

/// The newest version that is offered and not here, if it is newer than what is here; else what is here,
/// if it needs mending and can be mended.
fn candidate(listed: &[Listed]) -> Option<&Listed> {
    let here = listed.iter().find(|listed| listed.newest && listed.installed);
    let offered = listed.iter().find(|listed| listed.newest && !listed.installed && !listed.obsolete);
    let Some(here) = here else { return offered };
    // With an incomplete version in its way, stock goes back to an older one that it can have whole.
    let may_go_back = here.incomplete;
    let offered = offered.filter(|offered| may_go_back || offered.version > here.version);
    offered.or_else(|| {
        let mendable = here.incomplete && here.available && !here.obsolete;
        (mendable || here.partial || here.pending).then_some(here)
    })
}
