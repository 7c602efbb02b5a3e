//! The rules by which a version is chosen.

use std::path::PathBuf;

use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::survey::{Active, Hold, Line, Offer, Offers, Request, Situation};
use super::{Acquire, Activation, ComponentPlan, Decision, Keep, Link, PassedOver, Refusal};
use crate::state::Trial;

pub(super) fn decide(situation: &Situation) -> ComponentPlan {
    let sets = situation.update_sets();
    let active = situation.active(&sets);
    let (decision, passed_over) = match (&situation.record.trial, &situation.request) {
        (Some(trial), _) => {
            let activation = situation.trial(trial);
            (Decision::Settle { stage: trial.stage, activation }, Vec::new())
        }
        (None, Request::Exactly(version)) => (situation.exactly(version, active.as_ref(), &sets), Vec::new()),
        (None, Request::Newest) => situation.newest(active.as_ref(), &sets),
    };
    let removals = match &decision {
        Decision::Install { .. } | Decision::Activate { .. } | Decision::Keep { .. } => {
            situation.removals_in_update()
        }
        // First what was begun is ended; and a request that cannot be met changes nothing.
        Decision::Settle { .. } | Decision::Refuse { .. } => Vec::new(),
    };
    let source_failure = match &situation.offers {
        Offers::Known(_) => None,
        Offers::Unknown { reason } => Some(reason.clone()),
    };
    let component = situation.component.clone();
    ComponentPlan { component, active, decision, removals, passed_over, source_failure }
}

impl Situation {
    fn newest(&self, active: Option<&Version>, sets: &[UpdateSet]) -> (Decision, Vec<PassedOver>) {
        let mut passed_over = Vec::new();
        for set in sets {
            let version = set.version.clone();
            if active.is_some_and(|active| version <= *active) {
                break;
            }
            if let Some(reason) = self.objection(set) {
                passed_over.push(PassedOver { version, reason });
                continue;
            }
            let decision = match self.hold {
                Hold::Held => Decision::Keep { reason: Keep::Held { candidate: version } },
                Hold::Free => self.use_version(version, active, sets),
            };
            return (decision, passed_over);
        }
        let mendable = |set: &UpdateSet| !set.is_installed() && self.missing(set).is_empty();
        let reason = match active {
            Some(version) if find(sets, version).is_some_and(mendable) => {
                // Something of the version in use is gone, and can be had again.
                return (self.use_version(version.clone(), active, sets), passed_over);
            }
            Some(_) => Keep::UpToDate,
            None => Keep::Nothing,
        };
        (Decision::Keep { reason }, passed_over)
    }

    fn exactly(&self, version: &Version, active: Option<&Version>, sets: &[UpdateSet]) -> Decision {
        let version = version.clone();
        let Some(set) = find(sets, &version) else {
            return Decision::Refuse { reason: Refusal::NotOffered { version } };
        };
        if active == Some(&version) && set.is_installed() {
            return Decision::Keep { reason: Keep::UpToDate };
        }
        if let Some(minimum) = set.obsolete.clone() {
            return Decision::Refuse { reason: Refusal::Obsolete { version, minimum } };
        }
        if let Some(maximum) = self.too_new(&version) {
            return Decision::Refuse { reason: Refusal::TooNew { version, maximum } };
        }
        if let Some(requirement) = self.unfulfilled(&version) {
            return Decision::Refuse { reason: Refusal::Unfulfilled { version, requirement } };
        }
        let missing = self.missing(set);
        if !missing.is_empty() {
            return Decision::Refuse { reason: Refusal::Incomplete { version, missing } };
        }
        if let Some(what) = self.offer(&version).and_then(|offer| offer.unread) {
            return Decision::Refuse { reason: Refusal::NotReadYet { version, what } };
        }
        if let Some(message) = self.offer(&version).and_then(Offer::cannot_check) {
            return Decision::Refuse { reason: Refusal::CannotCheck { version, message } };
        }
        self.use_version(version, active, sets)
    }

    /// A version that every transfer has or can get.
    fn use_version(&self, version: Version, active: Option<&Version>, sets: &[UpdateSet]) -> Decision {
        let offer = self.offer(&version);
        let last_good = || self.record.last_good.clone().filter(|good| is_installed(sets, good));
        let previous = active.cloned().or_else(last_good).filter(|previous| *previous != version);
        let mut acquire = Vec::new();
        let mut remove = Vec::new();
        let mut targets = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            if let Some(installed) = line.installed(&version) {
                targets.push(installed.path.clone());
                continue;
            }
            let Some(source) = offer.and_then(|offer| offer.sources.get(index).cloned().flatten()) else {
                continue;
            };
            remove.extend(line.surplus(&version, active, self.record.last_good.as_ref()));
            targets.push(source.target.clone());
            let left = line.local.iter().find(|local| local.version == version);
            let reuse = left.map(|local| local.path.clone());
            acquire.push(Acquire { transfer: line.transfer.clone(), source, reuse });
        }
        let activation = Activation {
            files: self.removable(&version, targets.clone()),
            links: self.links(targets.into_iter().map(Some)),
            back: self.links_to(previous.as_ref()),
            sha256: offer.map(Offer::sha256).unwrap_or_default(),
            health: offer.map(|offer| offer.health.clone()).unwrap_or_default(),
            previous,
            version,
        };
        if acquire.is_empty() {
            Decision::Activate { activation }
        } else {
            Decision::Install { remove, acquire, activation }
        }
    }

    /// What an interrupted run was doing.
    fn trial(&self, trial: &Trial) -> Activation {
        let installed = |line: &Line| line.installed(&trial.version).map(|local| local.path.clone());
        let files = self.lines.iter().filter_map(installed).collect();
        Activation {
            version: trial.version.clone(),
            previous: trial.previous.clone(),
            links: self.links_to(Some(&trial.version)),
            back: self.links_to(trial.previous.as_ref()),
            files: self.removable(&trial.version, files),
            sha256: trial.sha256.clone(),
            health: trial.health.clone(),
        }
    }

    /// The files of a version that may go; none if the operator protects it.
    fn removable(&self, version: &Version, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let protected = self.lines.iter().any(|line| line.protected.contains(version));
        if protected { Vec::new() } else { files }
    }

    /// The links, pointing to a version that is here, or to nothing.
    fn links_to(&self, version: Option<&Version>) -> Vec<Link> {
        self.links(self.lines.iter().map(|line| Some(line.installed(version?)?.path.clone())))
    }

    fn links(&self, targets: impl Iterator<Item = Option<PathBuf>>) -> Vec<Link> {
        let linked = self.lines.iter().zip(targets).filter_map(|(line, target)| match &line.active {
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
