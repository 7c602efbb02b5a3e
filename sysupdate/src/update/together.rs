//! Components that rely on each other's change: they are activated together or not at all.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::health::Verdict;
use crate::plan::{Activation, Resume, RollbackReason};
use crate::settings::ComponentName;
use crate::update::execute::Work;
use crate::update::trial::RunningTrial;

/// A component whose files are installed.
pub(super) struct Ready {
    pub(super) index: usize,
    pub(super) activation: Activation,
    /// What an interrupted run left to do; nothing for a new version.
    pub(super) resume: Option<Resume>,
}

/// A component whose version is on trial.
pub(super) struct Begun {
    pub(super) index: usize,
    pub(super) trial: RunningTrial,
    pub(super) resume: Resume,
}

/// Leaves out what relies on another component that is not ready.
pub(super) fn without_unmet(ready: &mut Vec<Ready>, work: &mut [Work]) {
    loop {
        let versions: BTreeSet<_> = ready
            .iter()
            .map(|each| (work[each.index].report.component.clone(), each.activation.version.clone()))
            .collect();
        let before = ready.len();
        ready.retain(|each| {
            let relies_on = each.activation.relies_on.iter();
            let mut unmet = relies_on.filter(|(name, version)| {
                // What an interrupted run left was judged by the plan.
                each.resume.is_none() && !versions.contains(&((*name).clone(), (*version).clone()))
            });
            let Some((name, version)) = unmet.next() else { return true };
            let error = format!(
                "{} was not activated: it relies on {name} {version}, which failed",
                each.activation.version
            );
            work[each.index].report.fail(Failure { error, hint: None });
            false
        });
        if ready.len() == before {
            return;
        }
    }
}

/// How a trial ends.
pub(super) enum Ending {
    /// By the result of its checks.
    Checked(Verdict),
    /// By a rollback for another reason.
    RollBack(RollbackReason),
}

impl Ending {
    /// The ending as long as no check has failed.
    pub(super) fn of(resume: &Resume) -> Self {
        match resume {
            Resume::Check => Self::Checked(Verdict::Healthy),
            Resume::RollBack { reason } => Self::RollBack(reason.clone()),
        }
    }

    const fn is_rollback(&self) -> bool {
        matches!(
            self,
            Self::RollBack(_) | Self::Checked(Verdict::Unhealthy { .. } | Verdict::NotChecked { .. })
        )
    }
}

/// Rolls back what relies on a version that is rolled back, or on a component that failed. It is not bad.
pub(super) fn roll_back_together(
    trials: &[Begun],
    endings: &mut [Ending],
    work: &[Work],
    mut failed: BTreeSet<ComponentName>,
) {
    loop {
        let rolled_back = trials.iter().zip(&*endings).filter(|(_, ending)| ending.is_rollback());
        failed.extend(rolled_back.map(|(begun, _)| work[begun.index].report.component.clone()));
        let mut changed = false;
        for (begun, ending) in trials.iter().zip(&mut *endings).filter(|(_, ending)| !ending.is_rollback()) {
            let mut relies_on = begun.trial.activation.relies_on.iter();
            if let Some((component, version)) = relies_on.find(|(name, _)| failed.contains(*name)) {
                let (component, version) = (component.clone(), version.clone());
                *ending = Ending::RollBack(RollbackReason::WithoutOther { component, version });
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
