//! Executing a plan. All components that it changes are merged in one refresh and checked one by one; those that
//! fail are rolled back in one more refresh.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sysext_manifests::version::Version;

use crate::acquire::Progress;
use crate::failure::Failure;
use crate::health::Verdict;
use crate::host::Host;
use crate::merge;
use crate::paths::Paths;
use crate::plan::{Activation, ComponentPlan, Decision, NewFile, Plan, Refused, Removal, Resume};
use crate::services;
use crate::settings::{Component, ComponentName};
use crate::targets::removal;
use crate::update::install;
use crate::update::report::{ComponentReport, Outcome, UpdateReport};
use crate::update::trial::RunningTrial;
use crate::update::verdict;

/// What happens, as it happens.
#[derive(Debug)]
pub enum Step<'a> {
    /// A file is being downloaded.
    Fetching {
        /// The component.
        component: &'a ComponentName,
        /// The file's name.
        file: &'a str,
        /// The progress.
        progress: Progress<'a>,
    },
    /// A version is downloaded, complete and verified.
    Downloaded {
        /// The component.
        component: &'a ComponentName,
        /// The version.
        version: &'a Version,
        /// Why its files are trusted.
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
    Checked {
        /// The component.
        component: &'a ComponentName,
        /// The version.
        activation: &'a Activation,
        /// The result.
        verdict: &'a Verdict,
    },
}

pub(super) type Watch<'w> = &'w mut dyn FnMut(Step<'_>);

/// Does what a plan says. `components` has the definitions of every component in the plan.
pub fn execute(
    host: &Host,
    paths: &Paths,
    components: &BTreeMap<ComponentName, Component>,
    plan: Plan,
    watch: Watch<'_>,
) -> UpdateReport {
    let mut execution = Execution { host, paths, components, watch, merged: None, warnings: Vec::new() };
    let mut work = Vec::new();
    let mut trials = Vec::new();
    for ComponentPlan { component, decision, removals, skipped, source_failure, set_aside, .. } in
        plan.components
    {
        let mut report = ComponentReport::new(component, Vec::new());
        report.skipped = skipped;
        let mut item = Work { report, retired: Vec::new() };
        match set_aside.map_or(Ok(()), |unreadable| unreadable.set_aside(&*host.store)) {
            Ok(()) => {
                execution.retire(removals, &mut item);
                let begun = execution.begin(decision, source_failure.is_some(), &mut item.report);
                let begun = begun.unwrap_or_else(|failure| {
                    item.report.fail(failure);
                    None
                });
                trials.extend(begun.map(|(trial, resume)| Begun { index: work.len(), trial, resume }));
            }
            Err(error) => item.report.fail(error),
        }
        work.push(item);
    }
    execution.conclude(&mut work, trials);
    let Execution { merged, warnings, .. } = execution;
    let components = work.into_iter().map(|item| item.report).collect();
    UpdateReport { components, merged, warnings }
}

struct Execution<'a, 'w> {
    host: &'a Host,
    paths: &'a Paths,
    components: &'a BTreeMap<ComponentName, Component>,
    watch: Watch<'w>,
    /// The last refresh.
    merged: Option<merge::report::Report>,
    warnings: Vec<String>,
}

/// One component.
struct Work {
    report: ComponentReport,
    /// What is no longer used; its files are removed after the next refresh.
    retired: Vec<Removal>,
}

/// A component whose version is on trial.
struct Begun {
    index: usize,
    trial: RunningTrial,
    resume: Resume,
}

impl Execution<'_, '_> {
    /// Takes what disabled transfers installed out of use, and removes it unless it is merged.
    fn retire(&self, removals: Vec<Removal>, Work { report, retired }: &mut Work) {
        for removal in removals {
            match removal::out_of_use(self.host, &removal) {
                Err(error) => report.fail(error),
                Ok(()) if removal.merged => retired.push(removal),
                Ok(()) => self.discard(removal, report),
            }
        }
    }

    /// Executes a decision up to the refresh of the merged set.
    fn begin(
        &mut self,
        decision: Decision,
        source_failed: bool,
        report: &mut ComponentReport,
    ) -> Result<Option<(RunningTrial, Resume)>, Failure> {
        let record = report.component.record(self.paths);
        let activation = match decision {
            Decision::Keep { reason } => {
                report.outcome = Outcome::kept(reason, source_failed);
                return Ok(None);
            }
            Decision::Refuse { version, objections } => {
                let error = Refused(&version, &objections).to_string();
                return Err(Failure { error, hint: objections.iter().find_map(|each| each.hint()) });
            }
            Decision::Resume { resume, activation } => {
                let trial = RunningTrial::resume(self.host, self.paths, record, activation, &resume)?;
                return Ok(Some((trial, resume)));
            }
            Decision::Download { version, remove, files } => {
                self.make_room(&remove)?;
                let pending = {
                    let mut progress = fetching(&report.component, &mut *self.watch);
                    install::acquire(self.host, &files, &mut progress)
                };
                let pending = pending?;
                self.downloaded(report, &version, &pending);
                report.outcome = Outcome::Downloaded { version };
                return Ok(None);
            }
            Decision::Install { remove, files, activation } => {
                self.make_room(&remove)?;
                self.install(report, &files, &activation)?;
                activation
            }
            Decision::Activate { activation } => activation,
        };
        let trial = RunningTrial::begin(self.host, self.paths, record, activation)?;
        Ok(Some((trial, Resume::Check)))
    }

    fn make_room(&self, remove: &[PathBuf]) -> Result<(), Failure> {
        let removed = remove.iter().try_for_each(|path| removal::remove(self.host, path));
        removed.map_err(Failure::from)
    }

    fn install(
        &mut self,
        report: &mut ComponentReport,
        files: &[NewFile],
        activation: &Activation,
    ) -> Result<(), Failure> {
        let installed = {
            let mut progress = fetching(&report.component, &mut *self.watch);
            install::install(self.host, files, &mut progress)
        };
        let installed = installed?;
        self.downloaded(report, &activation.version, &installed);
        Ok(())
    }

    fn downloaded(&mut self, report: &mut ComponentReport, version: &Version, files: &[install::Installed]) {
        if files.is_empty() {
            return;
        }
        let evidence: Vec<String> = files.iter().map(|file| file.evidence().to_string()).collect();
        let evidence = evidence.join("; ");
        report.evidence = Some(evidence.clone());
        (self.watch)(Step::Downloaded { component: &report.component, version, evidence });
    }

    /// Merges what was activated, checks it, and rolls back what fails.
    fn conclude(&mut self, work: &mut [Work], trials: Vec<Begun>) {
        let tries = trials.iter().any(|begun| begun.resume == Resume::Check && begun.trial.activation.merged);
        let refresh_first = tries || work.iter().any(|item| !item.retired.is_empty());
        if refresh_first && let Err(failure) = self.refresh() {
            // The merged set did not change. The next run continues with the trials, which are recorded, and
            // with what was retired, whose files are still there.
            for Work { report, .. } in work.iter_mut().filter(|item| !item.retired.is_empty()) {
                report.fail(failure.clone());
            }
            for Begun { index, trial, .. } in trials {
                let report = &mut work[index].report;
                let Activation { version, previous, .. } = trial.activation;
                report.outcome = Outcome::Unverified { version, previous };
                report.fail(failure.clone());
            }
            return;
        }
        for Work { report, retired } in work.iter_mut() {
            retired.drain(..).for_each(|removal| self.discard(removal, report));
        }
        let mut rolled_back = Vec::new();
        for Begun { index, trial, resume } in trials {
            let report = &mut work[index].report;
            match self.end(trial, resume, report) {
                Ok(Some(trial)) => rolled_back.push((index, trial)),
                Ok(None) => {}
                Err(failure) => report.fail(failure),
            }
        }
        let refresh_again = rolled_back.iter().any(|(_, trial)| trial.activation.merged);
        if refresh_again && let Err(failure) = self.refresh() {
            rolled_back.iter().for_each(|(index, _)| work[*index].report.fail(failure.clone()));
            return;
        }
        for (index, trial) in rolled_back {
            if let Err(error) = trial.discard(self.host) {
                work[index].report.fail(error);
            }
        }
    }

    /// Checks a version, and keeps it or begins to roll it back. A trial that is returned is to be discarded
    /// after the next refresh.
    fn end(
        &mut self,
        mut trial: RunningTrial,
        resume: Resume,
        report: &mut ComponentReport,
    ) -> Result<Option<RunningTrial>, Failure> {
        let Activation { version, previous, .. } = trial.activation.clone();
        let verdict = match resume {
            Resume::Check => self.check(&report.component, &trial.activation),
            Resume::RollBack { reason } => {
                let output = reason.to_string();
                report.outcome = Outcome::RolledBack { version, previous, output };
                let rolled_back = trial.roll_back(self.host, self.paths);
                return rolled_back.map(|()| Some(trial)).map_err(Failure::from);
            }
        };
        let ended = match verdict {
            Verdict::Healthy => {
                report.outcome = Outcome::Updated { version, previous };
                trial.commit(self.host).map(|()| None)
            }
            Verdict::Hidden { because } => {
                report.outcome = Outcome::Masked { version, previous, reason: because };
                trial.leave(self.host).map(|()| None)
            }
            Verdict::Sick { output } => {
                report.outcome = Outcome::RolledBack { version, previous, output: output.clone() };
                trial.fail(self.host, self.paths, output).map(|()| Some(trial))
            }
        };
        ended.map_err(Failure::from)
    }

    fn check(&mut self, name: &ComponentName, activation: &Activation) -> Verdict {
        match self.components.get(name) {
            Some(component) if activation.merged => {
                let merged = self.merged.as_ref();
                verdict::check(self.host, self.paths, component, activation, merged, &mut *self.watch)
            }
            _ => Verdict::Healthy,
        }
    }

    /// Removes the files of a disabled transfer.
    fn discard(&self, removal: Removal, report: &mut ComponentReport) {
        match removal::off_the_disk(self.host, &removal) {
            Ok(()) => report.removed.push(removal.into()),
            Err(error) => report.fail(error),
        }
    }

    /// Replaces the merged set by what the links name now.
    fn refresh(&mut self) -> Result<(), Failure> {
        let report = merge::refresh(&*self.host.mounts, self.paths, &merge::Options::default())?;
        self.warnings.extend(services::reload(self.host, self.paths, &report));
        (self.watch)(Step::Merged(&report));
        self.merged = Some(report);
        Ok(())
    }
}

fn fetching<'w>(
    component: &'w ComponentName,
    watch: &'w mut dyn FnMut(Step<'_>),
) -> impl FnMut(&str, Progress<'_>) + 'w {
    move |file, progress| watch(Step::Fetching { component, file, progress })
}
