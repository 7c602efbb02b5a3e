//! What stock systemd-sysupdate 262 chooses from the update sets of a component: what it lists, which
//! version it calls current, and which one it would install.
//!
//! `tests/tests/peer_selection` compares this with the real program.

use serde::Serialize;

use crate::update_set::{State, UpdateSet};
use crate::version::Version;

#[cfg(test)]
mod tests;

/// What systemd 262 answers for a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChoice {
    /// What `list` lists, newest first.
    pub listed: Vec<ListedVersion>,
    /// What `check-new` answers.
    pub candidate: Option<Version>,
}

/// A version as `list VERSION --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListedVersion {
    /// The version.
    pub version: Version,
    /// It is the newest local version, or it is not local and the newest available one.
    pub newest: bool,
    /// Every source has it.
    pub available: bool,
    /// A target has it or a part of it.
    pub installed: bool,
    /// A target has it under its partial name.
    pub partial: bool,
    /// A target has it under its pending name.
    pub pending: bool,
    /// It is older than a `MinVersion=`.
    pub obsolete: bool,
    /// A `ProtectVersion=` names it.
    pub protected: bool,
    /// One target has it and another has no part of it.
    pub incomplete: bool,
}

/// The key and value with which `list --json` shows the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current<'a> {
    /// `current`, null.
    Nothing,
    /// `current`.
    Installed(&'a Version),
    /// `current+pending`: the next update activates it.
    Pending(&'a Version),
}

impl StockChoice {
    /// Chooses as systemd 262 does.
    pub fn of(sets: &[UpdateSet]) -> Self {
        // systemd ignores a version that a source lacks, unless a target has at least a part of it.
        let shown = || sets.iter().filter(|set| set.is_local() || set.is_available());
        let newest_local = shown().find(|set| set.is_local());
        let newest_available = shown().find(|set| set.is_available());
        let is = |set: &UpdateSet, newest: Option<&UpdateSet>| newest.is_some_and(|newest| newest == set);
        let listed = shown().map(|set| {
            let newest = is(set, newest_local) || !set.is_local() && is(set, newest_available);
            ListedVersion::of(set, newest)
        });
        let listed: Vec<ListedVersion> = listed.collect();
        let candidate = candidate(&listed).map(|listed| listed.version.clone());
        Self { listed, candidate }
    }

    /// The newest version that a target has, or has a part of.
    pub fn current(&self) -> Current<'_> {
        match self.listed.iter().find(|listed| listed.installed) {
            None => Current::Nothing,
            Some(listed) if listed.pending => Current::Pending(&listed.version),
            Some(listed) => Current::Installed(&listed.version),
        }
    }
}

impl ListedVersion {
    fn of(set: &UpdateSet, newest: bool) -> Self {
        let begun = set.has(State::Partial) || set.has(State::Pending);
        let lacks = set.members.iter().any(|member| member.local.is_none());
        Self {
            version: set.version.clone(),
            newest,
            available: set.is_available(),
            installed: set.is_local(),
            partial: set.has(State::Partial),
            pending: set.has(State::Pending),
            obsolete: set.obsolete.is_some(),
            protected: set.protected,
            incomplete: set.is_local() && lacks && !begun,
        }
    }
}

/// The newest available version if it is newer than the newest local one; otherwise the local one, if an
/// update can complete it.
fn candidate(listed: &[ListedVersion]) -> Option<&ListedVersion> {
    let local = listed.iter().find(|listed| listed.newest && listed.installed);
    let offered = listed.iter().find(|listed| listed.newest && !listed.installed && !listed.obsolete);
    let Some(local) = local else { return offered };
    // If the newest local version is incomplete, systemd installs an older one that is complete.
    let accepts_older = local.incomplete;
    let offered = offered.filter(|offered| accepts_older || offered.version > local.version);
    offered.or_else(|| {
        let completable = local.incomplete && local.available && !local.obsolete;
        (completable || local.partial || local.pending).then_some(local)
    })
}
