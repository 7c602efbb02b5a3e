//! Update sets: for every version of a component, which of its transfers have it and which can get it.
//!
//! [`update_sets`] only counts. [`crate::stock`] chooses among the sets as systemd-sysupdate does; our own
//! planner has other rules.

use std::cmp::Reverse;

use serde::Serialize;

use crate::version::Version;

/// How much of a version a target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Some bytes, under the partial name.
    Partial,
    /// All bytes, under the pending name.
    Pending,
    /// All bytes, under the final name.
    Installed,
}

/// The versions that one transfer has and can get, and its rules about them.
#[derive(Clone, Debug)]
pub struct Instances<'a> {
    /// `MinVersion=`.
    pub minimum: Option<&'a Version>,
    /// `ProtectVersion=`.
    pub protected: &'a [Version],
    /// The versions in its target.
    pub local: Vec<(&'a Version, State)>,
    /// The versions in its source.
    pub offered: Vec<&'a Version>,
}

/// One version in all transfers of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSet {
    /// Spelled as in the first target that has it, otherwise as in the first source.
    pub version: Version,
    /// One for each transfer; never empty.
    pub members: Vec<Member>,
    /// The largest `MinVersion=` of the transfers, if this version is older.
    pub obsolete: Option<Version>,
    /// Whether a `ProtectVersion=` names it.
    pub protected: bool,
}

/// What one transfer has of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// What its target has, if anything.
    pub local: Option<State>,
    /// Whether its source has it.
    pub offered: bool,
}

/// The update set of every version that a target or a source has, newest first.
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
                // A target may have the partial and the final file of a version: the better one counts.
                Some(_) => members[*index].local = members[*index].local.max(*state),
                None => members[*index].offered = true,
            }
        }
        let least = transfers.iter().filter_map(|transfer| transfer.minimum).max();
        let obsolete = least.filter(|least| version < least).cloned();
        let mut set = Self { version: (*version).clone(), members, obsolete, protected: false };
        // As in systemd, spellings are compared: `01` does not protect `1`.
        let offered = group.iter().find(|(.., state)| state.is_none()).filter(|_| set.is_available());
        let spellings = [Some(version), offered.map(|(version, ..)| version)];
        let mut protected = transfers.iter().flat_map(|transfer| transfer.protected);
        set.protected = protected.any(|protected| {
            spellings.iter().flatten().any(|version| version.as_str() == protected.as_str())
        });
        Some(set)
    }

    /// Whether any target has it or a part of it.
    pub fn is_local(&self) -> bool {
        self.members.iter().any(|member| member.local.is_some())
    }

    /// Whether any target has it in exactly this state.
    pub fn has(&self, state: State) -> bool {
        self.members.iter().any(|member| member.local == Some(state))
    }

    /// Whether every target has it under its final name.
    pub fn is_installed(&self) -> bool {
        self.members.iter().all(|member| member.local == Some(State::Installed))
    }

    /// Whether every source has it.
    pub fn is_available(&self) -> bool {
        self.members.iter().all(|member| member.offered)
    }

    /// The indices of the transfers that have not installed it and cannot get it.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| member.local != Some(State::Installed) && !member.offered)
            .map(|(n, _)| n)
    }
}
