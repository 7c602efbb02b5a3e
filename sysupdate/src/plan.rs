//! Deciding what to do. Pure: the same situation gives the same plan, and the plan leaves the executor
//! nothing to decide.

use std::path::PathBuf;

use serde::Serialize;
use sysext_manifests::digest::Sha256;
use sysext_manifests::trust::{Claim, Verified};
use sysext_manifests::version::Version;

use crate::record::{Record, Stage, Trial};

mod display;
#[cfg(test)]
mod tests;

/// Everything the planner knows about one component.
#[derive(Debug)]
pub struct Situation {
    /// The component's name.
    pub component: String,
    /// Its transfers, in the order of their file names.
    pub lines: Vec<Line>,
    /// What the node remembers.
    pub record: Record,
    /// What the sources have.
    pub offers: Offers,
    /// What is asked for.
    pub request: Request,
    /// Whether the operator holds it.
    pub hold: Hold,
}

/// One transfer: its rules, and what is there of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The transfer's name.
    pub transfer: String,
    /// Versions below are never installed.
    pub minimum: Option<Version>,
    /// Versions that are never removed.
    pub protected: Vec<Version>,
    /// How many versions may be there, the new one included.
    pub instances_max: usize,
    /// What is there.
    pub local: Vec<Local>,
    /// Which version is in use.
    pub active: Active,
}

/// Which version of a transfer is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Active {
    /// A link says so.
    Linked {
        /// The link.
        link: PathBuf,
        /// The version it points to, if it points to one.
        version: Option<Version>,
    },
    /// No link: the newest one that is there is in use.
    Newest,
}

/// A file of some version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The version.
    pub version: Version,
    /// The file.
    pub path: PathBuf,
    /// How far it came.
    pub state: State,
}

/// How far a file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Under its final name.
    Installed,
    /// Complete, under the pending name.
    Pending,
    /// Begun.
    Partial,
}

/// What the sources have.
#[derive(Debug)]
pub enum Offers {
    /// These versions.
    Known(Vec<Offer>),
    /// Nobody knows: the source failed.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// A version that sources have.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The version.
    pub version: Version,
    /// For each transfer, where to get it from.
    pub sources: Vec<Option<Source>>,
    /// Why nobody should install it any more.
    pub withdrawn: Option<String>,
    /// The checks its catalog asks for.
    pub health: Vec<String>,
}

/// Where to get a file from, and what it will be called.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where its bytes come from.
    pub origin: Origin,
    /// Where it will be.
    pub target: PathBuf,
    /// Its permission bits, where the definition says.
    pub mode: Option<u32>,
}

/// Where bytes come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Someone said which bytes it has.
    Claimed(Verified<Claim>),
    /// A file of this node about which nobody said anything.
    File(PathBuf),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The newest version there is.
    Newest,
    /// This version, older or newer.
    Exactly(Version),
}

/// Whether the operator holds a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It moves on.
    Free,
    /// `Hold=yes` in a definition.
    Held,
}

/// What will be done.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// For each component.
    pub components: Vec<ComponentPlan>,
}

/// What will be done with a component.
#[derive(Debug, Serialize)]
pub struct ComponentPlan {
    /// Its name.
    pub component: String,
    /// The version in use.
    pub active: Option<Version>,
    /// What will be done.
    #[serde(flatten)]
    pub decision: Decision,
    /// Newer versions that will not be used, and why, newest first.
    pub passed_over: Vec<PassedOver>,
    /// Why nobody knows what the sources have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_failure: Option<String>,
}

/// What will be done.
#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// An interrupted run put a version in use: judge it first.
    Settle {
        /// How far it came.
        stage: Stage,
        /// What was put in use, and the way back.
        activation: Activation,
    },
    /// Get a version, and put it in use.
    Install {
        /// What to remove first.
        remove: Vec<PathBuf>,
        /// What to get, in this order.
        acquire: Vec<Acquire>,
        /// How it is put in use.
        activation: Activation,
    },
    /// A version is there already: put it in use.
    Activate {
        /// How.
        activation: Activation,
    },
    /// Leave it as it is.
    Keep {
        /// Why.
        reason: Keep,
    },
    /// What was asked for cannot be done.
    Refuse {
        /// Why.
        reason: Refusal,
    },
}

/// How a version is put in use, and the way back.
#[derive(Clone, Debug, Serialize)]
pub struct Activation {
    /// The version.
    pub version: Version,
    /// What was in use before.
    pub previous: Option<Version>,
    /// The links that put it in use, in this order.
    pub links: Vec<Link>,
    /// The links that put back what was in use before.
    pub back: Vec<Link>,
    /// The files of the version, which go if it does not pass.
    pub files: Vec<PathBuf>,
    /// The digests of the version's files, where they are known.
    pub sha256: Vec<Sha256>,
    /// The checks its catalog asks for.
    pub health: Vec<String>,
}

/// A link and where it shall point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The link.
    pub path: PathBuf,
    /// The file, or none: then the link goes.
    pub target: Option<PathBuf>,
}

/// A file to get.
#[derive(Debug, Serialize)]
pub struct Acquire {
    /// The transfer's name.
    pub transfer: String,
    /// Where from, and what it will be called.
    #[serde(flatten)]
    pub source: Source,
    /// Bytes an interrupted run left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<PathBuf>,
}

/// Why a component stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Keep {
    /// Nothing newer may be used.
    UpToDate,
    /// Nothing is here, and nothing is offered.
    Nothing,
    /// The operator holds it.
    Held {
        /// What would be used otherwise.
        candidate: Version,
    },
}

/// Why what was asked for cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Refusal {
    /// No source has the version, and it is not here.
    NotOffered {
        /// What was asked for.
        version: Version,
    },
    /// It is below `MinVersion=`.
    Obsolete {
        /// What was asked for.
        version: Version,
        /// The least version allowed.
        minimum: Version,
    },
    /// Some transfers do not have it.
    Incomplete {
        /// What was asked for.
        version: Version,
        /// The transfers that miss it.
        missing: Vec<String>,
    },
}

/// A newer version that will not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The version.
    pub version: Version,
    /// Why.
    #[serde(flatten)]
    pub reason: Objection,
}

/// Why a version is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Objection {
    /// It was tried and did not pass its checks.
    Bad {
        /// What the check said.
        output: String,
    },
    /// It is below `MinVersion=`.
    Obsolete {
        /// The least version allowed.
        minimum: Version,
    },
    /// Its publisher took it back.
    Withdrawn {
        /// What the publisher said.
        message: String,
    },
    /// Some transfers do not have it.
    Incomplete {
        /// The transfers that miss it.
        missing: Vec<String>,
    },
}

/// Decides for every component by itself: none depends on what happens to another.
pub fn plan(situations: &[Situation]) -> Plan {
    Plan { components: situations.iter().map(decide).collect() }
}

fn decide(situation: &Situation) -> ComponentPlan {
    let active = situation.active();
    let (decision, passed_over) = match (&situation.record.trial, &situation.request) {
        (Some(trial), _) => {
            let activation = situation.trial(trial);
            (Decision::Settle { stage: trial.stage, activation }, Vec::new())
        }
        (None, Request::Exactly(version)) => (situation.exactly(version, active.as_ref()), Vec::new()),
        (None, Request::Newest) => situation.newest(active.as_ref()),
    };
    let source_failure = match &situation.offers {
        Offers::Known(_) => None,
        Offers::Unknown { reason } => Some(reason.clone()),
    };
    ComponentPlan { component: situation.component.clone(), active, decision, passed_over, source_failure }
}

impl Situation {
    /// The version in use: the one all links agree on; without links, the newest that is here whole.
    pub fn active(&self) -> Option<Version> {
        let links: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| match &line.active {
                Active::Linked { version, .. } => Some(version),
                Active::Newest => None,
            })
            .collect();
        match links.split_first() {
            Some((first, others)) => others.iter().all(|other| other == first).then(|| (*first).clone())?,
            None => self.versions().into_iter().find(|version| self.is_installed(version)),
        }
    }

    fn offers(&self) -> &[Offer] {
        match &self.offers {
            Offers::Known(offers) => offers,
            Offers::Unknown { .. } => &[],
        }
    }

    fn offer(&self, version: &Version) -> Option<&Offer> {
        self.offers().iter().find(|offer| offer.version == *version)
    }

    /// Every version that is here or offered, newest first.
    pub fn versions(&self) -> Vec<Version> {
        let here = self.lines.iter().flat_map(|line| &line.local).map(|local| &local.version);
        let mut versions: Vec<Version> =
            here.chain(self.offers().iter().map(|offer| &offer.version)).cloned().collect();
        versions.sort_by(|a, b| b.cmp(a));
        versions.dedup();
        versions
    }

    /// Whether every transfer has it under its final name.
    pub fn is_installed(&self, version: &Version) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.installed(version).is_some())
    }

    /// Whether every transfer that does not have it can get it.
    pub fn is_available(&self, version: &Version) -> bool {
        self.offer(version).is_some_and(|offer| offer.sources.iter().all(Option::is_some))
    }

    fn missing(&self, version: &Version) -> Vec<String> {
        let offer = self.offer(version);
        let has = |index: usize| offer.is_some_and(|offer| matches!(offer.sources.get(index), Some(Some(_))));
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(index, line)| line.installed(version).is_none() && !has(*index))
            .map(|(_, line)| line.transfer.clone())
            .collect()
    }

    /// The least version the transfers agree to, if this one is below.
    pub fn obsolete(&self, version: &Version) -> Option<Version> {
        self.lines.iter().filter_map(|line| line.minimum.clone()).max().filter(|minimum| version < minimum)
    }

    /// Why the newest-version rule may not use a version.
    pub fn objection(&self, version: &Version) -> Option<Objection> {
        let missing = self.missing(version);
        if !missing.is_empty() {
            return Some(Objection::Incomplete { missing });
        }
        if let Some(minimum) = self.obsolete(version) {
            return Some(Objection::Obsolete { minimum });
        }
        let offer = self.offer(version);
        if let Some(message) = offer.and_then(|offer| offer.withdrawn.clone()) {
            return Some(Objection::Withdrawn { message });
        }
        let digests = offer.map(Offer::sha256).unwrap_or_default();
        let bad = self.record.judged_bad(version, &digests)?;
        Some(Objection::Bad { output: bad.output.clone() })
    }

    fn newest(&self, active: Option<&Version>) -> (Decision, Vec<PassedOver>) {
        let mut passed_over = Vec::new();
        for version in self.versions() {
            if active.is_some_and(|active| version <= *active) {
                break;
            }
            if let Some(reason) = self.objection(&version) {
                passed_over.push(PassedOver { version, reason });
                continue;
            }
            let decision = match self.hold {
                Hold::Held => Decision::Keep { reason: Keep::Held { candidate: version } },
                Hold::Free => self.use_version(version, active),
            };
            return (decision, passed_over);
        }
        let reason = match active {
            Some(version) if !self.is_installed(version) && self.missing(version).is_empty() => {
                // Something of the version in use is gone, and can be had again.
                return (self.use_version(version.clone(), active), passed_over);
            }
            Some(_) => Keep::UpToDate,
            None => Keep::Nothing,
        };
        (Decision::Keep { reason }, passed_over)
    }

    fn exactly(&self, version: &Version, active: Option<&Version>) -> Decision {
        let version = version.clone();
        if active == Some(&version) && self.is_installed(&version) {
            return Decision::Keep { reason: Keep::UpToDate };
        }
        if !self.versions().contains(&version) {
            return Decision::Refuse { reason: Refusal::NotOffered { version } };
        }
        if let Some(minimum) = self.obsolete(&version) {
            return Decision::Refuse { reason: Refusal::Obsolete { version, minimum } };
        }
        let missing = self.missing(&version);
        if !missing.is_empty() {
            return Decision::Refuse { reason: Refusal::Incomplete { version, missing } };
        }
        self.use_version(version, active)
    }

    /// A version that every transfer has or can get.
    fn use_version(&self, version: Version, active: Option<&Version>) -> Decision {
        let offer = self.offer(&version);
        let last_good = || self.record.last_good.clone().filter(|good| self.is_installed(good));
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
            remove.extend(line.surplus(&version, active, &self.record));
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

impl Offer {
    /// The digests of its files, in the order of the transfers; none if one of them is not known.
    pub fn sha256(&self) -> Vec<Sha256> {
        let digests: Option<Vec<_>> = self
            .sources
            .iter()
            .map(|source| match &source.as_ref()?.origin {
                Origin::Claimed(claim) => Some(claim.get().sha256),
                Origin::File(_) => None,
            })
            .collect();
        digests.unwrap_or_default()
    }
}

impl Line {
    /// The file of a version under its final name.
    pub fn installed(&self, version: &Version) -> Option<&Local> {
        self.local.iter().find(|local| local.version == *version && local.state == State::Installed)
    }

    /// What has to go before a version comes: what was begun for others, and the oldest ones of more than
    /// may be there. Never the version in use, the last good one, or a protected one.
    fn surplus(&self, coming: &Version, active: Option<&Version>, record: &Record) -> Vec<PathBuf> {
        let begun = self
            .local
            .iter()
            .filter(|local| local.version != *coming && local.state != State::Installed)
            .map(|local| local.path.clone());
        let mut installed: Vec<&Local> =
            self.local.iter().filter(|local| local.state == State::Installed).collect();
        installed.sort_by(|a, b| a.version.cmp(&b.version));
        let surplus = (installed.len() + 1).saturating_sub(self.instances_max);
        let keep = |version: &Version| {
            active == Some(version)
                || record.last_good.as_ref() == Some(version)
                || self.protected.contains(version)
        };
        let oldest = installed
            .into_iter()
            .filter(|local| !keep(&local.version))
            .take(surplus)
            .map(|local| local.path.clone());
        begun.chain(oldest).collect()
    }
}
