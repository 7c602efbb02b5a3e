//! The rules by which a version is chosen, and what its installation takes.

use std::path::PathBuf;

use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::survey::{Active, Goal, Hold, Offer, Offers, Situation, Wanted};
use super::{Activation, ComponentPlan, Decision, Keep, Link, NewFile, Objection, Skipped};

pub(super) fn decide(situation: &Situation, goal: Goal) -> ComponentPlan {
    let sets = situation.update_sets();
    let active = situation.active(&sets);
    let (decision, skipped) = match (&situation.record.trial, &situation.wanted) {
        (Some(trial), _) if goal == Goal::Download => {
            let (version, objections) = (trial.version.clone(), vec![Objection::OnTrial]);
            (Decision::Refuse { version, objections }, Vec::new())
        }
        (Some(trial), _) => (situation.resume(trial), Vec::new()),
        (None, Wanted::Exactly(version)) => {
            (situation.exactly(version, active.as_ref(), &sets, goal), Vec::new())
        }
        (None, Wanted::Newest) => situation.newest(active.as_ref(), &sets, goal),
    };
    let removals = match &decision {
        Decision::Install { .. } | Decision::Activate { .. } | Decision::Keep { .. }
            if goal == Goal::Update =>
        {
            situation.removals_in_update()
        }
        // An interrupted run is finished first; and a refused request changes nothing.
        _ => Vec::new(),
    };
    let source_failure = match &situation.offers {
        Offers::Known(_) => None,
        Offers::Unknown { reason } => Some(reason.clone()),
    };
    let set_aside = situation.unreadable.clone().filter(|_| goal == Goal::Update);
    let component = situation.component.clone();
    ComponentPlan { component, active, decision, removals, skipped, source_failure, set_aside }
}

impl Situation {
    fn newest(&self, active: Option<&Version>, sets: &[UpdateSet], goal: Goal) -> (Decision, Vec<Skipped>) {
        let mut skipped = Vec::new();
        for set in sets {
            let version = set.version.clone();
            if active.is_some_and(|active| version <= *active) {
                break;
            }
            let objections: Vec<_> = self.objections(set).collect();
            if !objections.is_empty() {
                skipped.push(Skipped { version, objections });
                continue;
            }
            let decision = match self.hold {
                Hold::Held => Decision::Keep { reason: Keep::Held { candidate: version } },
                Hold::Free => self.use_version(version, active, sets, goal),
            };
            return (decision, skipped);
        }
        let repairable = |set: &UpdateSet| !set.is_installed() && self.missing(set).is_empty();
        let reason = match active {
            Some(version) if find(sets, version).is_some_and(repairable) => {
                // A file of the version in use is missing, and can be installed again.
                return (self.use_version(version.clone(), active, sets, goal), skipped);
            }
            Some(_) => Keep::UpToDate,
            None => Keep::Nothing,
        };
        (Decision::Keep { reason }, skipped)
    }

    fn exactly(
        &self,
        version: &Version,
        active: Option<&Version>,
        sets: &[UpdateSet],
        goal: Goal,
    ) -> Decision {
        let version = version.clone();
        let Some(set) = find(sets, &version) else {
            return Decision::Refuse { version, objections: vec![Objection::NotOffered] };
        };
        if active == Some(&version) && set.is_installed() {
            return Decision::Keep { reason: Keep::UpToDate };
        }
        let objections = self.objections(set).filter(|objection| !objection.yields_to_request());
        let objections: Vec<_> = objections.collect();
        match objections.is_empty() {
            true => self.use_version(version, active, sets, goal),
            false => Decision::Refuse { version, objections },
        }
    }

    /// Uses a version that every transfer has or can get.
    fn use_version(
        &self,
        version: Version,
        active: Option<&Version>,
        sets: &[UpdateSet],
        goal: Goal,
    ) -> Decision {
        let offer = self.offer(&version);
        let mut files = Vec::new();
        let mut remove = Vec::new();
        let mut targets = Vec::new();
        for (index, transfer) in self.transfers.iter().enumerate() {
            if let Some(installed) = transfer.installed(&version) {
                targets.push(installed.path.clone());
                continue;
            }
            let Some(source) = offer.and_then(|offer| offer.files.get(index).cloned().flatten()) else {
                continue;
            };
            remove.extend(transfer.surplus(&version, active, self.record.last_good.as_ref()));
            targets.push(source.target.clone());
            let left = transfer.local.iter().find(|local| local.version == version);
            let reuse = left.map(|local| local.path.clone());
            files.push(NewFile { transfer: transfer.transfer.clone(), source, reuse });
        }
        if goal == Goal::Download {
            return Decision::Download { version, remove, files };
        }
        let last_good = || self.record.last_good.clone().filter(|good| is_installed(sets, good));
        let previous = active.cloned().or_else(last_good).filter(|previous| *previous != version);
        let activation = Activation {
            merged: self.merged,
            files: self.removable(&version, targets.clone()),
            links: self.links(targets.into_iter().map(Some)),
            rollback_links: self.links_to(previous.as_ref()),
            sha256: offer.map(Offer::sha256).unwrap_or_default(),
            health: offer.map(|offer| offer.health.clone()).unwrap_or_default(),
            previous,
            version,
        };
        if files.is_empty() {
            Decision::Activate { activation }
        } else {
            Decision::Install { remove, files, activation }
        }
    }

    /// The files of a version that may be removed; none if the operator protects it.
    pub(super) fn removable(&self, version: &Version, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let protected = self.transfers.iter().any(|transfer| transfer.protected.contains(version));
        if protected { Vec::new() } else { files }
    }

    /// The links, pointing to the installed files of a version, or removed.
    pub(super) fn links_to(&self, version: Option<&Version>) -> Vec<Link> {
        self.links(self.transfers.iter().map(|transfer| Some(transfer.installed(version?)?.path.clone())))
    }

    fn links(&self, targets: impl Iterator<Item = Option<PathBuf>>) -> Vec<Link> {
        let linked =
            self.transfers.iter().zip(targets).filter_map(|(transfer, target)| match &transfer.active {
                Active::Linked { link, .. } => Some(Link { path: link.clone(), target }),
                Active::Newest => None,
            });
        linked.collect()
    }
}

fn find<'a>(sets: &'a [UpdateSet], version: &Version) -> Option<&'a UpdateSet> {
    sets.iter().find(|set| set.version == *version)
}

fn is_installed(sets: &[UpdateSet], version: &Version) -> bool {
    find(sets, version).is_some_and(UpdateSet::is_installed)
}
