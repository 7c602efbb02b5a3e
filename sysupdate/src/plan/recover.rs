//! What to do about a version that an interrupted run activated.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::survey::{Situation, TransferState};
use super::{Activation, ComponentPlan, Decision};
use crate::state::{Stage, Trial};

/// How an interrupted run is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// Why a version is rolled back without being checked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

impl fmt::Display for RollbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { output } => f.write_str(output),
            Self::Begun => f.write_str("an interrupted run had begun to roll it back"),
            Self::FilesMissing { transfers } => write!(f, "its files are missing: {}", transfers.join(", ")),
        }
    }
}

/// The plan for a component that an interrupted run left on trial.
pub(super) fn recover(situation: &Situation) -> Option<ComponentPlan> {
    let trial = situation.record.trial.as_ref()?;
    Some(ComponentPlan {
        component: situation.component.clone(),
        active: situation.active(&situation.update_sets()),
        decision: situation.resume(trial),
        removals: Vec::new(),
        skipped: Vec::new(),
        source_failure: None,
        set_aside: None,
    })
}

impl Situation {
    pub(super) fn resume(&self, trial: &Trial) -> Decision {
        let missing = self.not_installed(&trial.version);
        let bad = self.record.failure_of(&trial.version, &trial.sha256);
        let resume = match (trial.stage, bad) {
            (Stage::RollingBack, Some(bad)) => {
                Resume::RollBack { reason: RollbackReason::Bad { output: bad.output.clone() } }
            }
            _ if !missing.is_empty() => {
                Resume::RollBack { reason: RollbackReason::FilesMissing { transfers: missing } }
            }
            (Stage::RollingBack, None) => Resume::RollBack { reason: RollbackReason::Begun },
            (Stage::Checking, _) => Resume::Check,
        };
        Decision::Resume { resume, activation: self.activation_on_trial(trial) }
    }

    /// What the interrupted run activated.
    fn activation_on_trial(&self, trial: &Trial) -> Activation {
        let installed =
            |transfer: &TransferState| transfer.installed(&trial.version).map(|local| local.path.clone());
        let files: Vec<PathBuf> = self.transfers.iter().filter_map(installed).collect();
        Activation {
            version: trial.version.clone(),
            previous: trial.previous.clone(),
            merged: self.merged,
            links: self.links_to(Some(&trial.version)),
            rollback_links: self.links_to(trial.previous.as_ref()),
            files: self.removable(&trial.version, files),
            sha256: trial.sha256.clone(),
            health: trial.health.clone(),
        }
    }
}
