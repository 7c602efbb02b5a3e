//! Making room without bringing anything: what was begun, what is old, and what takes no part.

use crate::failure::Failure;
use crate::host::Host;
use crate::merge;
use crate::paths::Paths;
use crate::plan::{self, RemovedFile, Situation, State};
use crate::targets::{Location, removal};

/// What went.
#[derive(Debug, Default)]
pub(crate) struct Vacuumed {
    /// How many files of one transfer that takes part, at most: as stock counts.
    pub removed: usize,
    /// Of how many transfers that take no part.
    pub disabled_transfers: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A file that goes.
#[derive(Debug)]
pub(crate) struct Going<'a> {
    /// Which.
    pub location: &'a Location,
    /// Why.
    pub because: Because,
}

/// Why a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// It is one of more than may be there, or was begun.
    Old(State),
    /// Its transfer takes no part.
    Disabled(State),
}

/// Takes away what a component has too much.
pub(crate) fn vacuum(
    host: &Host,
    paths: &Paths,
    situation: &Situation,
    watch: &mut dyn FnMut(Going<'_>),
) -> Result<Vacuumed, Failure> {
    let plan = plan::vacuum(situation);
    let mut vacuumed = Vacuumed::default();
    for surplus in &plan.transfers {
        for (location, state) in &surplus.files {
            watch(Going { location, because: Because::Old(*state) });
            location.remove(host)?;
        }
        vacuumed.removed = vacuumed.removed.max(surplus.files.len());
    }
    for removal in &plan.removals {
        removal::out_of_use(host, removal)?;
    }
    if plan.removals.iter().any(|removal| removal.merged) {
        let report = merge::refresh(&*host.mounts, paths, &merge::Options::default())?;
        vacuumed.warnings.extend(merge::reload(&*host.manager, paths, &report));
    }
    for removal in &plan.removals {
        for RemovedFile { location, state, .. } in &removal.files {
            watch(Going { location, because: Because::Disabled(*state) });
        }
        removal::off_the_disk(host, removal)?;
        vacuumed.disabled_transfers += usize::from(!removal.files.is_empty());
    }
    Ok(vacuumed)
}
