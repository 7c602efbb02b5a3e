//! The rules by which a version is chosen, and what its installation takes.

use std::collections::BTreeMap;

use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::resolve::{self, Participant, Resolution};
use super::survey::{Active, Goal, Hold, Offer, Offers, Situation, Survey, Wanted};
use super::{Activation, ComponentPlan, Decision, Keep, Link, NewFile, Objection, Skipped};
use crate::settings::ComponentName;
use crate::targets::Location;

pub(super) fn decide(survey: &Survey) -> Vec<ComponentPlan> {
    let choices: Vec<_> = survey.components.iter().map(|each| Choice::of(each, survey.goal)).collect();
    let others = survey.others.iter().map(|other| Participant {
        label: other.label.clone(),
        provides: other.provides.clone(),
        current: Some(other.installed.clone()),
        candidates: Vec::new(),
        requested: false,
    });
    let participants: Vec<_> = choices.iter().map(Choice::participant).chain(others).collect();
    let resolutions = resolve::resolve(&participants);
    // What others rely on: only components change.
    let chosen: Vec<_> = choices
        .iter()
        .zip(&resolutions)
        .map(|(choice, resolution)| {
            let version = choice.candidates.get(resolution.candidate?)?;
            Some((choice.situation.component.clone(), version.clone()))
        })
        .collect();
    let decided = choices.into_iter().zip(resolutions).map(|(choice, resolution)| {
        let reliance = |other: &usize| chosen.get(*other).cloned().flatten();
        let relies_on = resolution.relies_on.iter().filter_map(reliance).collect();
        choice.decide(resolution, relies_on, survey.goal)
    });
    decided.collect()
}

/// What one component could get, before others are looked at.
struct Choice<'a> {
    situation: &'a Situation,
    sets: Vec<UpdateSet>,
    active: Option<Version>,
    /// What is decided, whatever the others get.
    decided: Option<Decision>,
    /// The versions that may be used, the preferred one first.
    candidates: Vec<Version>,
    skipped: Vec<Skipped>,
}

impl<'a> Choice<'a> {
    fn of(situation: &'a Situation, goal: Goal) -> Self {
        let sets = situation.update_sets();
        let active = situation.active(&sets);
        let (candidates, skipped) = (Vec::new(), Vec::new());
        let mut choice = Self { situation, sets, active, decided: None, candidates, skipped };
        match (&situation.record.trial, &situation.wanted) {
            (Some(trial), _) if goal == Goal::Download => {
                let (version, objections) = (trial.version.clone(), vec![Objection::OnTrial]);
                choice.decided = Some(Decision::Refuse { version, objections });
            }
            (Some(trial), _) => choice.decided = Some(situation.resume(trial)),
            (None, Wanted::Exactly(version)) => choice.exactly(version.clone()),
            (None, Wanted::Newest) => choice.newest(),
        }
        choice
    }

    fn newest(&mut self) {
        for set in &self.sets {
            let version = set.version.clone();
            if self.active.as_ref().is_some_and(|active| version <= *active) {
                break;
            }
            let objections: Vec<_> = self.situation.objections(set).collect();
            if !objections.is_empty() {
                self.skipped.push(Skipped { version, objections });
                continue;
            }
            if self.situation.hold == Hold::Held {
                self.decided = Some(Decision::Keep { reason: Keep::Held { candidate: version } });
                break;
            }
            self.candidates.push(version);
            if self.candidates.len() == resolve::CANDIDATES_MAX {
                break;
            }
        }
    }

    fn exactly(&mut self, version: Version) {
        let Some(set) = find(&self.sets, &version) else {
            let objections = vec![Objection::NotOffered];
            self.decided = Some(Decision::Refuse { version, objections });
            return;
        };
        if self.active.as_ref() == Some(&version) && set.is_installed() {
            self.decided = Some(Decision::Keep { reason: Keep::UpToDate });
            return;
        }
        let objections = self.situation.objections(set);
        let objections: Vec<_> = objections.filter(|objection| !objection.yields_to_request()).collect();
        if objections.is_empty() {
            self.candidates.push(version);
        } else {
            self.decided = Some(Decision::Refuse { version, objections });
        }
    }

    fn participant(&self) -> Participant {
        Participant {
            label: self.situation.component.to_string(),
            provides: self.situation.provides.clone(),
            current: self.active.as_ref().map(|version| self.situation.active_related(version)),
            candidates: self.candidates.iter().map(|version| self.situation.related(version)).collect(),
            requested: matches!(self.situation.wanted, Wanted::Exactly(_)),
        }
    }

    fn decide(
        self,
        resolution: Resolution,
        relies_on: BTreeMap<ComponentName, Version>,
        goal: Goal,
    ) -> ComponentPlan {
        let Self { situation, sets, active, decided, candidates, mut skipped } = self;
        let Resolution { candidate, skipped: unfit, met, .. } = resolution;
        let chosen = candidate.and_then(|index| candidates.get(index));
        let unfit = unfit.into_iter().filter_map(|(index, objection)| {
            Some(Skipped { version: candidates.get(index)?.clone(), objections: vec![objection] })
        });
        skipped.extend(unfit);
        skipped.sort_by(|a, b| b.version.cmp(&a.version));
        let decision = match (decided, chosen) {
            (Some(decision), _) => decision,
            (None, Some(version)) => {
                skipped.retain(|skipped| skipped.version > *version);
                situation.use_version(version.clone(), active.as_ref(), &sets, &relies_on, goal)
            }
            (None, None) => match (&situation.wanted, skipped.pop()) {
                (Wanted::Exactly(_), Some(Skipped { version, objections })) => {
                    Decision::Refuse { version, objections }
                }
                (_, last) => {
                    skipped.extend(last);
                    situation.keep(active.as_ref(), &sets, goal)
                }
            },
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
        ComponentPlan {
            component: situation.component.clone(),
            active,
            decision,
            requires: met,
            relies_on,
            removals,
            skipped,
            source_failure,
            set_aside: situation.unreadable.clone().filter(|_| goal == Goal::Update),
        }
    }
}

impl Situation {
    /// Keeps the version in use, and installs files of it that are missing and can be installed again.
    fn keep(&self, active: Option<&Version>, sets: &[UpdateSet], goal: Goal) -> Decision {
        let Some(version) = active else { return Decision::Keep { reason: Keep::Nothing } };
        let repairable = |set: &UpdateSet| !set.is_installed() && self.missing(set).is_empty();
        match find(sets, version).is_some_and(repairable) {
            true => self.use_version(version.clone(), active, sets, &BTreeMap::new(), goal),
            false => Decision::Keep { reason: Keep::UpToDate },
        }
    }

    /// Uses a version that every transfer has or can get.
    fn use_version(
        &self,
        version: Version,
        active: Option<&Version>,
        sets: &[UpdateSet],
        relies_on: &BTreeMap<ComponentName, Version>,
        goal: Goal,
    ) -> Decision {
        let offer = self.offer(&version);
        let mut files = Vec::new();
        let mut remove = Vec::new();
        let mut targets = Vec::new();
        for (index, transfer) in self.transfers.iter().enumerate() {
            if let Some(installed) = transfer.installed(&version) {
                targets.push(installed.location.clone());
                continue;
            }
            let Some(source) = offer.and_then(|offer| offer.files.get(index).cloned().flatten()) else {
                continue;
            };
            remove.extend(transfer.surplus(&version, active, self.record.last_good.as_ref()));
            targets.push(source.target.clone());
            let left = transfer.local.iter().find(|local| local.version == version);
            let reuse = left.map(|local| local.location.clone());
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
            relations: offer.map(|offer| offer.relations.clone()).unwrap_or_default(),
            relies_on: relies_on.clone(),
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
    pub(super) fn removable(&self, version: &Version, files: Vec<Location>) -> Vec<Location> {
        let protected = self.transfers.iter().any(|transfer| transfer.protected.contains(version));
        if protected { Vec::new() } else { files }
    }

    /// The links, pointing to the installed files of a version, or removed.
    pub(super) fn links_to(&self, version: Option<&Version>) -> Vec<Link> {
        self.links(self.transfers.iter().map(|transfer| Some(transfer.installed(version?)?.location.clone())))
    }

    fn links(&self, targets: impl Iterator<Item = Option<Location>>) -> Vec<Link> {
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
