//! Finding out what the planner has to know: what is installed, recorded and offered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Activate;

use crate::failure::Failure;
use crate::host::Host;
use crate::host::store::EntryKind;
use crate::merge;
use crate::paths::Paths;
use crate::plan::{Goal, Hold, Offers, OtherExtension, Related, Relations, Situation, Survey, Wanted};
use crate::settings::{self, Chosen, Component, ComponentName, OnDisabled};
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
    identity: &Identity,
    components: impl IntoIterator<Item = &'a Component>,
    mut discovery: Option<&mut Discovery<'_>>,
    goal: Goal,
    wanted: &Wanted,
) -> Surveyed {
    let survey = Survey { goal, components: Vec::new(), others: Vec::new() };
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
    surveyed.survey.others = others(host, paths, identity, &surveyed.survey.components);
    surveyed
}

/// What else is installed: by other components, whether they are enabled or not, and by hand.
///
/// What cannot be read of them fails when they are updated; here only their requirements stay unknown.
fn others(host: &Host, paths: &Paths, identity: &Identity, surveyed: &[Situation]) -> Vec<OtherExtension> {
    let loaded = settings::load(&*host.store, paths, identity, &Chosen::All, OnDisabled::Allow);
    let components = loaded.into_iter().flatten().filter_map(|(_, component)| component.ok());
    let components =
        components.filter(|component| surveyed.iter().all(|situation| situation.component != component.name));
    let mut others: Vec<OtherExtension> = components
        .filter_map(|component| {
            let offers = Offers::Known(BTreeMap::new());
            situation(host, paths, &component, offers, Wanted::Newest).ok()?.as_other()
        })
        .collect();
    let known = surveyed.iter().flat_map(|situation| &situation.provides);
    let known: BTreeSet<String> =
        known.chain(others.iter().flat_map(|other| &other.provides)).cloned().collect();
    let placed = paths.extensions.iter().flat_map(|directory| {
        let entries = host.store.list(directory).unwrap_or_default().into_iter();
        let masks = |kind: &EntryKind| matches!(kind, EntryKind::Link(to) if to == Path::new("/dev/null"));
        entries.filter(move |entry| !masks(&entry.kind)).map(|entry| entry.name)
    });
    let placed = placed.filter_map(|name| match merge::extension_name(Path::new(&name)) {
        Some(extension) => Some(extension.to_owned()),
        // Others than images are directories, and may have any name.
        None => (!name.starts_with('.')).then_some(name),
    });
    let placed: BTreeSet<String> = placed.filter(|name| !known.contains(name)).collect();
    others.extend(placed.into_iter().map(|name| OtherExtension {
        label: name.clone(),
        provides: vec![name],
        installed: Related { version: None, relations: Relations::default() },
    }));
    others.sort_by(|a, b| a.label.cmp(&b.label));
    others
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
    let leftovers =
        component.disabled.iter().map(|disabled| inventory::take_leftover(store, paths, disabled));
    let leftovers = leftovers.collect::<Result<_, _>>()?;
    let held = component.transfers.iter().any(|transfer| transfer.hold);
    Ok(Situation {
        component: component.name.clone(),
        provides: provides(component),
        requires: component.transfers.iter().flat_map(|transfer| transfer.requires.clone()).collect(),
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

/// The names of the extensions in a component: those that its links have in the merge, and its own.
fn provides(component: &Component) -> Vec<String> {
    let links = component.transfers.iter().filter_map(|transfer| transfer.target.current_symlink.as_ref());
    let mut names: Vec<String> =
        links.filter_map(|link| merge::extension_name(Path::new(link))).map(str::to_owned).collect();
    if let ComponentName::Named(name) = &component.name {
        names.push(name.clone());
    }
    names.sort();
    names.dedup();
    names
}
