//! Finding out what the planner has to know: what is installed, recorded and offered.

use std::collections::BTreeMap;

use sysext_manifests::transfer::Activate;

use crate::failure::Failure;
use crate::host::Host;
use crate::paths::Paths;
use crate::plan::{Goal, Hold, Offers, Situation, Survey, Wanted};
use crate::settings::{Component, ComponentName};
use crate::sources::Discovery;
use crate::state::{Recalled, Record};
use crate::targets::inventory;

/// A survey, and what the operator should know about it.
#[derive(Debug)]
pub struct Surveyed {
    /// The survey.
    pub survey: Survey,
    /// What failed, by component. A component whose source failed is surveyed all the same.
    pub failures: Vec<(ComponentName, Failure)>,
    /// What is odd, by component.
    pub warnings: Vec<(ComponentName, String)>,
}

/// Surveys components, each independently. Without a discovery, no source is asked.
pub fn survey<'a>(
    host: &Host,
    paths: &Paths,
    components: impl IntoIterator<Item = &'a Component>,
    mut discovery: Option<&mut Discovery<'_>>,
    goal: Goal,
    wanted: &Wanted,
) -> Surveyed {
    let survey = Survey { goal, components: Vec::new() };
    let mut surveyed = Surveyed { survey, failures: Vec::new(), warnings: Vec::new() };
    for component in components {
        let name = || component.name.clone();
        let mut offers = Offers::Known(BTreeMap::new());
        if let Some(discovery) = &mut discovery {
            offers = discovery.offers(component).unwrap_or_else(|error| {
                surveyed.failures.push((name(), Failure::from(&*error)));
                Offers::Unknown { reason: error.to_string() }
            });
            surveyed.warnings.extend(discovery.take_warnings().into_iter().map(|warning| (name(), warning)));
        }
        match situation(host, paths, component, offers, wanted.clone()) {
            Ok(situation) => {
                let unreadable = situation.unreadable.iter();
                // The program that sets it aside says so once.
                let unreadable = unreadable.filter(|_| goal != Goal::Recover);
                surveyed.warnings.extend(unreadable.map(|unreadable| (name(), unreadable.to_string())));
                surveyed.survey.components.push(situation);
            }
            Err(failure) => surveyed.failures.push((name(), failure)),
        }
    }
    surveyed.survey.components.sort_by(|a, b| a.component.cmp(&b.component));
    surveyed
}

/// Surveys one component. A record that cannot be read counts as an empty one.
pub fn situation(
    host: &Host,
    paths: &Paths,
    component: &Component,
    offers: Offers,
    wanted: Wanted,
) -> Result<Situation, Failure> {
    let store = &*host.store;
    let recalled = Record::recall(store, &component.name.record(paths));
    let (record, unreadable) = match recalled? {
        Recalled::Record(record) => (record, None),
        Recalled::Unreadable(unreadable) => (Record::default(), Some(unreadable)),
    };
    let transfers = component.transfers.iter().map(|transfer| inventory::take(store, paths, transfer));
    let transfers = transfers.collect::<Result<_, _>>()?;
    let leftovers = component.idle.iter().map(|idle| inventory::take_leftover(store, paths, idle));
    let leftovers = leftovers.collect::<Result<_, _>>()?;
    let held = component.transfers.iter().any(|transfer| transfer.hold);
    Ok(Situation {
        component: component.name.clone(),
        transfers,
        leftovers,
        merged: component.transfers.iter().any(|transfer| transfer.activate == Activate::Refresh),
        record,
        unreadable,
        offers,
        wanted,
        hold: if held { Hold::Held } else { Hold::Free },
    })
}
