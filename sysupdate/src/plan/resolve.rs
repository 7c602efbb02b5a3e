//! Requirements and conflicts between extensions, resolved over all components at once.
//!
//! Every component begins with its newest eligible version. While something does not fit, one version is
//! skipped and the next older one is tried; a component without versions left stays as it is. If all stay, what
//! fits now still fits: this always ends. Where either of two could be skipped, the order of the components
//! decides, so that the same survey gives the same plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sysext_manifests::requirement::Requirement;
use sysext_manifests::version::Version;

use super::objection::{Objection, Obstacle};
use super::relations::Related;

/// How many versions of a component are tried, newest first: a long catalog must not keep the planner busy.
pub(super) const CANDIDATES_MAX: usize = 50;

/// A component, or another extension of this node, with the versions it could have.
#[derive(Debug)]
pub(super) struct Participant {
    /// Its name in messages.
    pub(super) label: String,
    /// The names of the extensions in it.
    pub(super) provides: Vec<String>,
    /// The version in use.
    pub(super) current: Option<Related>,
    /// Versions that may be used instead, the preferred one first.
    pub(super) candidates: Vec<Related>,
    /// Whether the operator requested the candidate by its number.
    pub(super) requested: bool,
}

/// What was resolved for a participant.
#[derive(Debug, Default)]
pub(super) struct Resolution {
    /// Its candidate; without one it stays as it is.
    pub(super) candidate: Option<usize>,
    /// The candidates that were skipped, and why.
    pub(super) skipped: BTreeMap<usize, Objection>,
    /// What meets the candidate's requirements.
    pub(super) met: Vec<MetRequirement>,
    /// The participants whose change makes this one possible.
    pub(super) relies_on: BTreeSet<usize>,
}

/// A requirement, and what meets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MetRequirement {
    /// The requirement.
    pub requirement: String,
    /// The component or extension that meets it.
    pub by: String,
    /// Its version, if it is known.
    pub version: Option<Version>,
    /// Whether this run installs that version.
    pub changed: bool,
}

/// What does not fit, and what to skip for it.
enum Misfit {
    /// A candidate that never fits, whichever versions the others get.
    Impossible(usize, Objection),
    /// A candidate that does not fit to what the others have now.
    Unfit(usize, Objection),
}

/// Chooses a candidate for every participant.
pub(super) fn resolve(participants: &[Participant]) -> Vec<Resolution> {
    let mut impossible: Vec<BTreeMap<usize, Objection>> = vec![BTreeMap::new(); participants.len()];
    loop {
        let mut state = State { participants, impossible: &impossible, skipped: impossible.clone() };
        let (who, candidate, objection) = loop {
            match state.misfit() {
                None => return state.resolutions(),
                Some(Misfit::Unfit(who, objection)) => {
                    let Some(candidate) = state.candidate(who) else { return state.resolutions() };
                    state.skipped[who].insert(candidate, objection);
                }
                Some(Misfit::Impossible(who, objection)) => {
                    let Some(candidate) = state.candidate(who) else { return state.resolutions() };
                    // What was skipped for the sake of this candidate may be tried again.
                    break (who, candidate, objection);
                }
            }
        };
        impossible[who].insert(candidate, objection);
    }
}

/// Which candidates are left.
struct State<'a> {
    participants: &'a [Participant],
    /// The candidates that never fit.
    impossible: &'a [BTreeMap<usize, Objection>],
    skipped: Vec<BTreeMap<usize, Objection>>,
}

impl<'a> State<'a> {
    /// The first candidate that is left.
    fn candidate(&self, who: usize) -> Option<usize> {
        (0..self.participants[who].candidates.len()).find(|index| !self.skipped[who].contains_key(index))
    }

    /// What a participant will have.
    fn chosen(&self, who: usize) -> Option<&'a Related> {
        let Participant { candidates, current, .. } = &self.participants[who];
        match self.candidate(who) {
            Some(index) => candidates.get(index),
            None => current.as_ref(),
        }
    }

    fn changes(&self, who: usize) -> bool {
        self.candidate(who).is_some()
    }

    fn providers(&self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let participants = self.participants.iter().enumerate();
        participants
            .filter(move |(_, participant)| participant.provides.iter().any(|provided| provided == name))
            .map(|(index, _)| index)
    }

    /// The participant that meets a requirement.
    fn met_by(&self, requirement: &'a Requirement) -> Option<usize> {
        self.providers(requirement.name.as_str())
            .find(|provider| self.chosen(*provider).is_some_and(|related| related.meets(requirement)))
    }

    /// Whether a requirement is met as long as nothing changes.
    fn is_met_now(&self, requirement: &'a Requirement) -> bool {
        self.providers(requirement.name.as_str()).any(|provider| {
            self.participants[provider].current.as_ref().is_some_and(|related| related.meets(requirement))
        })
    }

    fn misfit(&self) -> Option<Misfit> {
        (0..self.participants.len()).find_map(|who| {
            let related = self.chosen(who)?;
            let requires = related.relations.requires.iter();
            let unmet = requires.filter(|requirement| self.met_by(requirement).is_none());
            let conflicts = related.relations.conflicts.iter();
            let mut unmet = unmet.filter_map(|requirement| self.unmet(who, related, requirement));
            let excluded = conflicts.flat_map(|name| self.providers(name.as_str()));
            let mut excluded = excluded.filter_map(|other| self.excluded(who, related, other));
            unmet.next().or_else(|| excluded.next())
        })
    }

    /// What to skip for a requirement that nothing meets.
    fn unmet(&self, who: usize, related: &Related, requirement: &'a Requirement) -> Option<Misfit> {
        let Participant { label, .. } = &self.participants[who];
        let held = || Objection::Held {
            by: label.clone(),
            version: related.version.clone(),
            requirement: requirement.to_string(),
        };
        if !self.changes(who) {
            // What is not met anyway holds nobody.
            if !self.is_met_now(requirement) {
                return None;
            }
            let mut providers = self.providers(requirement.name.as_str());
            let breaks = providers.find(|provider| {
                let current = self.participants[*provider].current.as_ref();
                self.changes(*provider) && current.is_some_and(|related| related.meets(requirement))
            })?;
            return Some(Misfit::Unfit(breaks, held()));
        }
        let objection = Objection::Requires {
            requirement: requirement.to_string(),
            obstacle: self.obstacle(requirement),
        };
        if !self.can_be_met(requirement) {
            return Some(Misfit::Impossible(who, objection));
        }
        let mut providers = self.providers(requirement.name.as_str());
        let yields = providers.find(|provider| {
            self.changes(*provider)
                && !self.participants[*provider].requested
                && self.left(*provider).any(|related| related.meets(requirement))
        });
        Some(match yields {
            Some(provider) => Misfit::Unfit(provider, held()),
            None => Misfit::Unfit(who, objection),
        })
    }

    /// The versions that a participant may still get, the current one included.
    fn left(&self, who: usize) -> impl Iterator<Item = &'a Related> + '_ {
        let Participant { candidates, current, .. } = &self.participants[who];
        let candidates = candidates.iter().enumerate();
        let left = candidates.filter(move |(index, _)| !self.skipped[who].contains_key(index));
        left.map(|(_, related)| related).chain(current)
    }

    /// Whether any version of any participant meets a requirement, whatever else is required.
    fn can_be_met(&self, requirement: &'a Requirement) -> bool {
        self.providers(requirement.name.as_str()).any(|provider| {
            let Participant { candidates, current, .. } = &self.participants[provider];
            let candidates = candidates.iter().enumerate();
            let possible = candidates.filter(|(index, _)| !self.impossible[provider].contains_key(index));
            possible.map(|(_, related)| related).chain(current).any(|related| related.meets(requirement))
        })
    }

    fn obstacle(&self, requirement: &'a Requirement) -> Obstacle {
        let provider = self.providers(requirement.name.as_str()).find_map(|provider| {
            let related = self.chosen(provider)?;
            Some((self.participants[provider].label.clone(), related, self.changes(provider)))
        });
        match provider {
            None => Obstacle::Missing,
            Some((_, Related { version: None, .. }, _)) => Obstacle::UnknownVersion,
            Some((by, Related { version: Some(version), .. }, changes)) => {
                Obstacle::Version { by, version: version.clone(), changed: changes }
            }
        }
    }

    /// What to skip for a conflict of one participant with another.
    fn excluded(&self, who: usize, related: &Related, other: usize) -> Option<Misfit> {
        let installed = self.chosen(other).filter(|_| other != who)?;
        let [this, that] = [who, other].map(|index| self.participants[index].label.clone());
        let (this_version, that_version) = (related.version.clone(), installed.version.clone());
        let with_other = Objection::Conflicts { with: that, version: that_version };
        let with_this = Objection::Conflicts { with: this, version: this_version };
        match (self.changes(who), self.changes(other)) {
            // They are merged together already.
            (false, false) => None,
            (false, true) if self.participants[other].current.is_some() => None,
            // Some version of the other one is merged in any case.
            (true, _) if self.participants[other].current.is_some() => {
                Some(Misfit::Impossible(who, with_other))
            }
            (true, false) => Some(Misfit::Unfit(who, with_other)),
            (false, true) => Some(Misfit::Unfit(other, with_this)),
            (true, true) => {
                // The first one stays, unless only the other one is requested.
                let requested = |index: usize| self.participants[index].requested;
                let other_yields = match (requested(who), requested(other)) {
                    (true, false) => true,
                    (false, true) => false,
                    _ => who < other,
                };
                Some(match other_yields {
                    true => Misfit::Unfit(other, with_this),
                    false => Misfit::Unfit(who, with_other),
                })
            }
        }
    }

    fn resolutions(self) -> Vec<Resolution> {
        let relies_on = self.reliances();
        let each = relies_on.into_iter().enumerate().map(|(who, relies_on)| {
            let changed = self.chosen(who).filter(|_| self.changes(who));
            let requires = changed.into_iter().flat_map(|related| &related.relations.requires);
            let met = requires.filter_map(|requirement| {
                let by = self.met_by(requirement)?;
                Some(MetRequirement {
                    requirement: requirement.to_string(),
                    by: self.participants[by].label.clone(),
                    version: self.chosen(by)?.version.clone(),
                    changed: self.changes(by),
                })
            });
            let (candidate, skipped) = (self.candidate(who), self.skipped[who].clone());
            Resolution { candidate, skipped, met: met.collect(), relies_on }
        });
        each.collect()
    }

    /// Which changes make which others possible, directly or through others.
    fn reliances(&self) -> Vec<BTreeSet<usize>> {
        let count = self.participants.len();
        let mut reliances = vec![BTreeSet::new(); count];
        let changing: Vec<usize> = (0..count).filter(|who| self.changes(*who)).collect();
        for &who in &changing {
            let Some(related) = self.chosen(who) else { continue };
            for requirement in &related.relations.requires {
                // Without the change of the other, nothing would meet it.
                if !self.is_met_now(requirement) {
                    reliances[who].extend(self.met_by(requirement).filter(|by| *by != who));
                }
            }
            for &other in changing.iter().filter(|other| **other != who) {
                // The other one's present version would not fit to this one.
                let Some(current) = &self.participants[other].current else { continue };
                let provides = &self.participants[who].provides;
                let broken = current.relations.requires.iter().any(|requirement| {
                    provides.iter().any(|name| name == requirement.name.as_str())
                        && self.is_met_now(requirement)
                        && self.met_by(requirement).is_none()
                });
                let excluded = current
                    .relations
                    .conflicts
                    .iter()
                    .any(|name| provides.iter().any(|other| other == name.as_str()));
                let excluded = excluded && self.participants[who].current.is_none();
                if broken || excluded {
                    reliances[who].insert(other);
                }
            }
        }
        loop {
            let mut grew = false;
            for &who in &changing {
                let through = reliances[who].iter().flat_map(|other| reliances[*other].iter().copied());
                let through: Vec<usize> = through.filter(|other| *other != who).collect();
                let before = reliances[who].len();
                reliances[who].extend(through);
                grew |= reliances[who].len() > before;
            }
            if !grew {
                return reliances;
            }
        }
    }
}
