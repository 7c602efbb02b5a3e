//! The update: settle what an interrupted run left, find out what there is, plan, do it, judge it.
//!
//! No component's failure stops another. All that were changed are merged in one swap and judged one by
//! one; those that do not pass go back in one more swap.

use std::collections::BTreeMap;

use sysext_manifests::specifier::Identity;

use crate::acquire::Progress;
use crate::failure::Failure;
use crate::health::Verdict;
use crate::host::Host;
use crate::merge;
use crate::paths::Paths;
use crate::plan::{
    self, Activation, ComponentPlan, Decision, Hold, Keep, Offers, Removal, Request, Shown, Situation,
};
use crate::settings::{Component, ComponentName, Loaded};
use crate::sources::{Discovery, Memory};
use crate::state::{Recalled, Record, Stage, Unreadable};
use crate::targets::inventory;
use crate::targets::removal;
use crate::update::report::{ComponentReport, Outcome, Report};
use crate::update::trial::OnTrial;

pub mod install;
pub mod report;
pub mod trial;
mod verdict;

use verdict::refreshes;

/// What happens, as it happens.
#[derive(Debug)]
pub enum Step<'a> {
    /// A file is being fetched.
    Fetching {
        /// The component.
        component: &'a ComponentName,
        /// The file.
        file: &'a str,
        /// How far it came.
        progress: Progress<'a>,
    },
    /// A version is here, whole and verified.
    Installed {
        /// The component.
        component: &'a ComponentName,
        /// The version and its files.
        activation: &'a Activation,
        /// Who vouched for it.
        evidence: String,
    },
    /// The merged set was refreshed.
    Merged(&'a merge::report::Report),
    /// A version's checks begin.
    Checking {
        /// The component.
        component: &'a ComponentName,
        /// The version.
        activation: &'a Activation,
    },
    /// A version's checks ended.
    Judged {
        /// The component.
        component: &'a ComponentName,
        /// The version.
        activation: &'a Activation,
        /// How.
        verdict: &'a Verdict,
    },
}

/// Everything an update works with.
#[derive(Debug)]
pub struct Update<'a> {
    /// The world.
    pub host: &'a Host,
    /// The paths.
    pub paths: &'a Paths,
    /// Who this node is.
    pub identity: &'a Identity,
    /// What is asked for.
    pub request: Request,
    /// How far it goes.
    pub until: Until,
}

/// How far an update goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The files are here, whole and verified. Nothing that is in use changes.
    Acquired,
    /// The version is in use and judged.
    Judged,
}

/// One component on its way through the update.
struct Work {
    component: Component,
    report: ComponentReport,
    /// What is out of use, and goes off the disk after the next refresh.
    retired: Vec<Removal>,
}

/// A component that was changed and is not judged yet.
struct Tried {
    index: usize,
    trial: OnTrial,
    stage: Stage,
}

/// What was merged on the way.
#[derive(Default)]
struct Merges {
    last: Option<merge::report::Report>,
    warnings: Vec<String>,
}

type Watch<'w> = &'w mut dyn FnMut(Step<'_>);

impl Update<'_> {
    /// Updates components, each by itself.
    pub fn run(&self, components: Loaded, watch: Watch<'_>) -> Report {
        let mut reports = Vec::new();
        let mut work = Vec::new();
        for (name, component) in components {
            match component {
                Ok(component) => {
                    let report = ComponentReport::new(name, component.warnings.clone());
                    work.push(Work { component, report, retired: Vec::new() });
                }
                Err(error) => reports.push(ComponentReport::failed(name, error)),
            }
        }
        let mut merges = Merges::default();
        if self.until == Until::Judged {
            let unsettled = self.resume(&mut work);
            self.judge(&mut work, unsettled, &mut merges, watch);
        }
        let changed = self.change(&mut work, watch);
        self.judge(&mut work, changed, &mut merges, watch);
        reports.extend(work.into_iter().map(|work| work.report));
        reports.sort_by(|a, b| a.component.cmp(&b.component));
        Report { components: reports, merged: merges.last, warnings: merges.warnings }
    }

    /// What is to be decided about a component of which this is remembered.
    fn situation(&self, component: &Component, record: Record, offers: Offers) -> Result<Situation, Failure> {
        take_inventory(self.host, self.paths, component, record, offers, self.request.clone())
    }

    /// Takes up what interrupted runs wrote down.
    fn resume(&self, work: &mut [Work]) -> Vec<Tried> {
        let mut tried = Vec::new();
        for (index, Work { component, report, .. }) in work.iter_mut().enumerate() {
            let (record, unreadable) = match recall(self.host, self.paths, component) {
                Ok(recalled) => recalled,
                Err(failure) => {
                    report.fail(failure);
                    continue;
                }
            };
            if let Some(unreadable) = unreadable {
                report.warnings.push(unreadable.to_string());
                if let Err(error) = unreadable.set_aside(&*self.host.store) {
                    report.fail(error);
                    continue;
                }
            }
            if record.trial.is_none() {
                continue;
            }
            let situation = match self.situation(component, record, Offers::Known(BTreeMap::new())) {
                Ok(situation) => situation,
                Err(failure) => {
                    report.fail(failure);
                    continue;
                }
            };
            let plan = plan::plan(std::slice::from_ref(&situation));
            for ComponentPlan { decision, .. } in plan.components {
                let Decision::Settle { stage, activation } = decision else { continue };
                let path = component.name.record(self.paths);
                let record = situation.record.clone();
                // What is not there whole cannot be judged.
                let whole = situation.is_installed(&activation.version);
                let stage = if whole { stage } else { Stage::Returning };
                match OnTrial::resume(self.host, self.paths, path, record, activation, stage) {
                    Ok(trial) => tried.push(Tried { index, trial, stage }),
                    Err(error) => report.fail(error),
                }
            }
        }
        tried
    }

    /// Finds out what there is, plans, and brings it here.
    fn change(&self, work: &mut [Work], watch: Watch<'_>) -> Vec<Tried> {
        let mut discovery = Discovery::new(self.host, self.paths, self.identity, Memory::Keep);
        let mut tried = Vec::new();
        for (index, Work { component, report, retired }) in work.iter_mut().enumerate() {
            if report.is_stuck() {
                continue;
            }
            let offers = discovery.offers(component).unwrap_or_else(|error| {
                report.fail(&*error);
                Offers::Unknown { reason: error.to_string() }
            });
            report.warnings.extend(discovery.take_warnings());
            let situation = recall(self.host, self.paths, component)
                .and_then(|(record, _)| self.situation(component, record, offers));
            let situation = match situation {
                Ok(situation) => situation,
                Err(failure) => {
                    report.fail(failure);
                    continue;
                }
            };
            for plan in plan::plan(std::slice::from_ref(&situation)).components {
                report.begin(&plan);
                let removals = plan.removals.into_iter().filter(|_| self.until == Until::Judged);
                for removal in removals {
                    match removal::out_of_use(self.host, &removal) {
                        Err(error) => report.fail(error),
                        Ok(()) if removal.shown == Shown::Merged => retired.push(removal),
                        Ok(()) => self.discard(removal, report),
                    }
                }
                match self.carry_out(component, &situation, plan.decision, report, watch) {
                    Ok(Some(trial)) => tried.push(Tried { index, trial, stage: Stage::Checking }),
                    Ok(None) => {}
                    Err(failure) => report.fail(failure),
                }
            }
        }
        tried
    }

    /// Does what was decided, up to the point where it has to be judged.
    fn carry_out(
        &self,
        component: &Component,
        situation: &Situation,
        decision: Decision,
        report: &mut ComponentReport,
        watch: Watch<'_>,
    ) -> Result<Option<OnTrial>, Failure> {
        let activation = match decision {
            // What an interrupted run began and this one ended is the greater news.
            Decision::Keep { .. } if report.outcome != Outcome::Undecided => return Ok(None),
            Decision::Keep { reason } => {
                report.outcome = match (reason, &situation.offers) {
                    (Keep::Held { candidate }, _) => Outcome::Held { candidate },
                    // Nobody knows whether there is something newer.
                    (Keep::UpToDate | Keep::Nothing, Offers::Unknown { .. }) => Outcome::Undecided,
                    (Keep::UpToDate, Offers::Known(_)) => Outcome::UpToDate,
                    (Keep::Nothing, Offers::Known(_)) => Outcome::Nothing,
                };
                return Ok(None);
            }
            Decision::Refuse { reason } => return Err(Failure { error: reason.to_string(), hint: None }),
            Decision::Settle { activation, .. } if self.until == Until::Acquired => {
                let Activation { version, .. } = activation;
                return Err(Failure {
                    error: format!("an interrupted run put {version} in use, which is not judged yet"),
                    hint: Some("`sysupdate update` ends that first".to_owned()),
                });
            }
            // Judged before anything else was planned; there is one only if that failed.
            Decision::Settle { .. } => return Ok(None),
            Decision::Activate { activation } => activation,
            Decision::Install { remove, acquire, activation } => {
                let name = &component.name;
                remove.iter().try_for_each(|path| removal::remove(self.host, path))?;
                let mut progress = |file: &str, progress: Progress<'_>| {
                    watch(Step::Fetching { component: name, file, progress });
                };
                let installed = match self.until {
                    Until::Acquired => install::acquire(self.host, &acquire, &mut progress),
                    Until::Judged => install::install(self.host, &acquire, &mut progress),
                };
                let installed = installed?;
                let evidence: Vec<String> =
                    installed.iter().map(|file| file.evidence().to_string()).collect();
                let evidence = evidence.join("; ");
                watch(Step::Installed {
                    component: name,
                    activation: &activation,
                    evidence: evidence.clone(),
                });
                report.evidence = Some(evidence);
                activation
            }
        };
        if self.until == Until::Acquired {
            report.outcome = Outcome::Acquired { version: activation.version };
            return Ok(None);
        }
        let path = component.name.record(self.paths);
        let record = situation.record.clone();
        let trial = OnTrial::begin(self.host, self.paths, path, record, activation)?;
        Ok(Some(trial))
    }

    /// Merges what was changed, judges it, and takes back what does not pass.
    fn judge(&self, work: &mut [Work], tried: Vec<Tried>, merges: &mut Merges, watch: Watch<'_>) {
        let tries = tried.iter().any(|Tried { index, stage, .. }| {
            *stage == Stage::Checking && refreshes(&work[*index].component)
        });
        let refresh_first = tries || work.iter().any(|work| !work.retired.is_empty());
        if refresh_first && let Err(failure) = self.refresh(merges, watch) {
            // Nothing changed in what is merged. The trials stay written down for the next run, which also
            // finds the files of what was retired.
            for Work { report, .. } in work.iter_mut().filter(|work| !work.retired.is_empty()) {
                report.fail(failure.clone());
            }
            for Tried { index, trial, .. } in tried {
                let report = &mut work[index].report;
                let Activation { version, previous, .. } = trial.activation;
                report.outcome = Outcome::Unjudged { version, previous };
                report.fail(failure.clone());
            }
            return;
        }
        for Work { report, retired, .. } in work.iter_mut() {
            retired.drain(..).for_each(|removal| self.discard(removal, report));
        }
        let mut returning = Vec::new();
        for Tried { index, mut trial, stage } in tried {
            let Work { component, report, .. } = &mut work[index];
            let verdict = match stage {
                Stage::Checking => self.verdict(component, &trial.activation, merges.last.as_ref(), watch),
                Stage::Returning => Verdict::Unhealthy { output: trial.reason_to_return() },
            };
            let Activation { version, previous, .. } = trial.activation.clone();
            let result = match verdict {
                Verdict::Healthy => {
                    report.outcome = Outcome::Updated { version, previous };
                    trial.commit(self.host)
                }
                Verdict::Masked { by: because } => {
                    report.outcome = Outcome::Hidden { version, previous, because };
                    trial.leave(self.host)
                }
                Verdict::Unhealthy { output } => {
                    report.outcome =
                        Outcome::TakenBack { version, returned_to: previous, output: output.clone() };
                    let back = match stage {
                        Stage::Checking => trial.take_back(self.host, self.paths, output),
                        Stage::Returning => trial.go_back(self.host, self.paths),
                    };
                    back.map(|()| returning.push((index, trial)))
                }
            };
            if let Err(error) = result {
                report.fail(error);
            }
        }
        let refresh_again = returning.iter().any(|(index, _)| refreshes(&work[*index].component));
        if refresh_again && let Err(failure) = self.refresh(merges, watch) {
            for (index, _) in &returning {
                work[*index].report.fail(failure.clone());
            }
            return;
        }
        for (index, trial) in returning {
            if let Err(error) = trial.discard(self.host) {
                work[index].report.fail(error);
            }
        }
    }

    /// Removes what nothing shows any more.
    fn discard(&self, removal: Removal, report: &mut ComponentReport) {
        match removal::off_the_disk(self.host, &removal) {
            Ok(()) => report.dropped.push(removal.into()),
            Err(error) => report.fail(error),
        }
    }

    /// Swaps what is merged for what the links say now.
    fn refresh(&self, merges: &mut Merges, watch: Watch<'_>) -> Result<(), Failure> {
        let report = merge::refresh(&*self.host.mounts, self.paths, &merge::Options::default())?;
        merges.warnings.extend(merge::reload(&*self.host.manager, self.paths, &report));
        watch(Step::Merged(&report));
        merges.last = Some(report);
        Ok(())
    }
}

/// What is to be decided about a component. A record that cannot be read counts as an empty one, and is
/// returned besides.
pub fn situation(
    host: &Host,
    paths: &Paths,
    component: &Component,
    offers: Offers,
    request: Request,
) -> Result<(Situation, Option<Unreadable>), Failure> {
    let (record, unreadable) = recall(host, paths, component)?;
    Ok((take_inventory(host, paths, component, record, offers, request)?, unreadable))
}

/// What is remembered of a component; nothing, and why, where the record cannot be read.
fn recall(
    host: &Host,
    paths: &Paths,
    component: &Component,
) -> Result<(Record, Option<Unreadable>), Failure> {
    let recalled = Record::recall(&*host.store, &component.name.record(paths))?;
    Ok(match recalled {
        Recalled::Record(record) => (record, None),
        Recalled::Unreadable(unreadable) => (Record::default(), Some(unreadable)),
    })
}

/// Puts what is here of a component beside what is remembered and offered of it.
fn take_inventory(
    host: &Host,
    paths: &Paths,
    component: &Component,
    record: Record,
    offers: Offers,
    request: Request,
) -> Result<Situation, Failure> {
    let lines = component.transfers.iter().map(|transfer| inventory::take(&*host.store, paths, transfer));
    let lines = lines.collect::<Result<_, _>>()?;
    let idle = component.disabled.iter().map(|idle| inventory::take_idle(&*host.store, paths, idle));
    let idle = idle.collect::<Result<_, _>>()?;
    let held = component.transfers.iter().any(|transfer| transfer.hold);
    let hold = if held { Hold::Held } else { Hold::Free };
    Ok(Situation { component: component.name.to_string(), lines, idle, record, offers, request, hold })
}
