//! What to do about versions that an interrupted run activated.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use sysext_manifests::version::Version;

use super::relations::Relations;
use super::survey::{Situation, Survey, TransferState};
use super::{Activation, ComponentPlan, Decision};
use crate::settings::ComponentName;
use crate::state::{Stage, Trial};
use crate::targets::Location;

/// How an interrupted run is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Resume {
    /// Activate the version and run its checks.
    Check,
    /// Roll it back.
    RollBack {
        /// Why.
        #[serde(flatten)]
        reason: RollbackReason,
    },
}

/// Why a version is rolled back, although it did not fail its checks now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum RollbackReason {
    /// It failed its health checks, as the interrupted run recorded.
    Bad {
        /// The output of the failed check.
        output: String,
    },
    /// The rollback had begun.
    Begun,
    /// Some of its files are gone, so that it cannot be checked.
    FilesMissing {
        /// The transfers whose files are missing.
        transfers: Vec<String>,
    },
    /// This machine could not mount or check it, which says nothing about the version.
    NotChecked {
        /// Why.
        because: String,
    },
    /// It was activated together with a version that is not in use any more.
    WithoutOther {
        /// The other component.
        component: ComponentName,
        /// The version of that component.
        version: Version,
    },
}

impl fmt::Display for RollbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { output } | Self::NotChecked { because: output } => f.write_str(output),
            Self::Begun => f.write_str("an interrupted run had begun to roll it back"),
            Self::FilesMissing { transfers } => write!(f, "its files are missing: {}", transfers.join(", ")),
            Self::WithoutOther { component, version } => {
                write!(f, "it relies on {component} {version}, which is not in use")
            }
        }
    }
}

/// Plans the end of everything that an interrupted run left on trial.
pub(super) fn recover(survey: &Survey) -> Vec<ComponentPlan> {
    let on_trial = survey.components.iter();
    let on_trial = on_trial.filter_map(|situation| Some((situation, situation.record.trial.as_ref()?)));
    let mut resumed: Vec<_> =
        on_trial.map(|(situation, trial)| (situation, trial, situation.resume_alone(trial))).collect();
    // One that is rolled back takes those along that rely on it.
    loop {
        let in_use: BTreeSet<(ComponentName, Version)> = survey
            .components
            .iter()
            .filter_map(|situation| {
                let name = &situation.component;
                let version = match resumed.iter().find(|(other, ..)| other.component == *name) {
                    Some((_, trial, Resume::Check)) => Some(trial.version.clone()),
                    Some((_, trial, Resume::RollBack { .. })) => trial.previous.clone(),
                    None => situation.active(&situation.update_sets()),
                };
                Some((name.clone(), version?))
            })
            .collect();
        let surveyed = |name: &ComponentName| survey.components.iter().any(|each| each.component == *name);
        let mut changed = false;
        for (_, trial, resume) in resumed.iter_mut().filter(|(.., resume)| *resume == Resume::Check) {
            let relies_on = trial.relies_on.iter().filter(|(name, _)| surveyed(name));
            let mut relies_on = relies_on.map(|(name, version)| (name.clone(), version.clone()));
            if let Some((component, version)) = relies_on.find(|each| !in_use.contains(each)) {
                let reason = RollbackReason::WithoutOther { component, version };
                *resume = Resume::RollBack { reason };
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let plans = resumed.into_iter().map(|(situation, trial, resume)| ComponentPlan {
        component: situation.component.clone(),
        active: situation.active(&situation.update_sets()),
        decision: Decision::Resume { resume, activation: situation.activation_on_trial(trial) },
        requires: Vec::new(),
        relies_on: trial.relies_on.clone(),
        removals: Vec::new(),
        skipped: Vec::new(),
        source_failure: None,
        set_aside: None,
    });
    plans.collect()
}

impl Situation {
    /// The plan for a trial, if no other component has one.
    pub(super) fn resume(&self, trial: &Trial) -> Decision {
        Decision::Resume { resume: self.resume_alone(trial), activation: self.activation_on_trial(trial) }
    }

    fn resume_alone(&self, trial: &Trial) -> Resume {
        let missing = self.not_installed(&trial.version);
        let bad = self.record.failure_of(&trial.version, &trial.sha256);
        match (trial.stage, bad) {
            (Stage::RollingBack, Some(bad)) => {
                Resume::RollBack { reason: RollbackReason::Bad { output: bad.output.clone() } }
            }
            _ if !missing.is_empty() || self.transfers.is_empty() => {
                Resume::RollBack { reason: RollbackReason::FilesMissing { transfers: missing } }
            }
            (Stage::RollingBack, None) => Resume::RollBack { reason: RollbackReason::Begun },
            (Stage::Checking, _) => Resume::Check,
        }
    }

    /// What the interrupted run activated.
    fn activation_on_trial(&self, trial: &Trial) -> Activation {
        let installed =
            |transfer: &TransferState| transfer.installed(&trial.version).map(|local| local.location.clone());
        let files: Vec<Location> = self.transfers.iter().filter_map(installed).collect();
        Activation {
            version: trial.version.clone(),
            previous: trial.previous.clone(),
            merged: self.merged,
            links: self.links_to(Some(&trial.version)),
            rollback_links: self.links_to(trial.previous.as_ref()),
            files: self.removable(&trial.version, files),
            sha256: trial.sha256.clone(),
            health: trial.health.clone(),
            relations: Relations::default(),
            relies_on: trial.relies_on.clone(),
        }
    }
}
