//! Executing a plan. All components that it changes are merged in one refresh and checked one by one; those that
//! fail are rolled back in one more refresh.

use std::collections::{BTreeMap, BTreeSet};

use sysext_manifests::version::Version;

use crate::acquire::Progress;
use crate::failure::Failure;
use crate::health::Verdict;
use crate::host::Host;
use crate::merge;
use crate::paths::Paths;
use crate::plan::{
    Activation, ComponentPlan, Decision, Link, NewFile, Plan, Refused, Removal, Resume, RollbackReason,
};
use crate::settings::{Component, ComponentName};
use crate::state::{InstalledFile, InstalledVersion};
use crate::targets::{Location, removal};
use crate::update::install;
use crate::update::report::{ComponentReport, Outcome, UpdateReport};
use crate::update::together::{Begun, Ending, Ready, roll_back_together, without_unmet};
use crate::update::trial::{self, RunningTrial};
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
        /// Its files, and why they are trusted.
        files: &'a [InstalledFile],
    },
    /// The merged set was refreshed.
    Merged(&'a merge::report::MergeReport),
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
    let mut ready = Vec::new();
    for plan in plan.components {
        let mut item =
            Work { report: ComponentReport::new(plan.component.clone(), Vec::new()), retired: Vec::new() };
        item.report.skipped.clone_from(&plan.skipped);
        match execution.prepare(plan, &mut item) {
            Ok(Some((activation, resume))) => ready.push(Ready { index: work.len(), activation, resume }),
            Ok(None) => {}
            Err(failure) => item.report.fail(failure),
        }
        work.push(item);
    }
    without_unmet(&mut ready, &mut work);
    let trials = execution.begin(ready, &mut work);
    execution.conclude(trials, &mut work);
    let Execution { merged, warnings, .. } = execution;
    let components = work.into_iter().map(|item| item.report).collect();
    UpdateReport { components, merged, warnings }
}

/// One component.
pub(super) struct Work {
    pub(super) report: ComponentReport,
    /// What is no longer used; its files are removed after the next refresh.
    retired: Vec<Removal>,
}

struct Execution<'a, 'w> {
    host: &'a Host,
    paths: &'a Paths,
    components: &'a BTreeMap<ComponentName, Component>,
    watch: Watch<'w>,
    /// The last refresh.
    merged: Option<merge::report::MergeReport>,
    warnings: Vec<String>,
}

impl Execution<'_, '_> {
    /// Executes the part of a plan that only concerns one component: everything up to the activation.
    fn prepare(
        &mut self,
        plan: ComponentPlan,
        item: &mut Work,
    ) -> Result<Option<(Activation, Option<Resume>)>, Failure> {
        let ComponentPlan { decision, removals, source_failure, set_aside, .. } = plan;
        if let Some(unreadable) = set_aside {
            unreadable.set_aside(&*self.host.store)?;
        }
        self.retire(removals, item);
        let report = &mut item.report;
        match decision {
            Decision::Keep { reason } => {
                report.outcome = Outcome::kept(reason, source_failure.is_some());
                Ok(None)
            }
            Decision::Refuse { version, objections } => {
                let error = Refused(&version, &objections).to_string();
                Err(Failure { error, hint: objections.iter().find_map(|objection| objection.hint()) })
            }
            Decision::Resume { resume, activation } => Ok(Some((activation, Some(resume)))),
            Decision::Download { version, remove, files } => {
                self.make_room(&remove)?;
                self.download(report, &version, &files)?;
                report.outcome = Outcome::Downloaded { version };
                Ok(None)
            }
            Decision::Install { remove, files, activation } => {
                self.make_room(&remove)?;
                let pending = self.download(report, &activation.version, &files)?;
                let files = report.files.clone();
                // What is installed is recorded first: afterwards the catalog may not list it any more.
                let record = report.component.record(self.paths);
                let Activation { version, relations, .. } = activation.clone();
                trial::record_installed(self.host, &record, InstalledVersion { version, relations, files })?;
                install::install(self.host, &pending)?;
                Ok(Some((activation, None)))
            }
            Decision::Activate { activation } => Ok(Some((activation, None))),
        }
    }

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

    fn make_room(&self, remove: &[Location]) -> Result<(), Failure> {
        let removed = remove.iter().try_for_each(|location| location.remove(self.host));
        removed.map_err(Failure::from)
    }

    fn download(
        &mut self,
        report: &mut ComponentReport,
        version: &Version,
        files: &[NewFile],
    ) -> Result<Vec<install::Pending>, Failure> {
        let component = &report.component;
        let watch = &mut *self.watch;
        let mut progress =
            |file: &str, progress: Progress<'_>| watch(Step::Fetching { component, file, progress });
        let pending = install::download(self.host, files, &mut progress)?;
        if !pending.is_empty() {
            report.files = pending.iter().map(|file| file.installed_file(self.paths)).collect();
            watch(Step::Downloaded { component, version, files: &report.files });
        }
        Ok(pending)
    }

    /// Activates what is ready. What relies on a version that could not be activated is rolled back.
    fn begin(&self, ready: Vec<Ready>, work: &mut [Work]) -> Vec<Begun> {
        let mut trials = Vec::new();
        let mut failed = BTreeSet::new();
        for Ready { index, activation, resume } in ready {
            let report = &mut work[index].report;
            let record = report.component.record(self.paths);
            let begun = match &resume {
                Some(resume) => RunningTrial::resume(self.host, self.paths, record, activation, resume),
                None => RunningTrial::begin(self.host, self.paths, record, activation),
            };
            match begun {
                Ok(trial) => {
                    let resume = resume.unwrap_or(Resume::Check);
                    trials.push(Begun { index, trial, resume });
                }
                Err(error) => {
                    failed.insert(report.component.clone());
                    report.fail(error);
                }
            }
        }
        let mut endings: Vec<_> = trials.iter().map(|begun| Ending::of(&begun.resume)).collect();
        roll_back_together(&trials, &mut endings, work, failed);
        for (begun, ending) in trials.iter_mut().zip(endings) {
            if let Ending::RollBack(reason) = ending {
                begun.resume = Resume::RollBack { reason };
            }
        }
        trials
    }

    /// Merges what was activated, checks it, and rolls back what fails.
    fn conclude(&mut self, mut trials: Vec<Begun>, work: &mut [Work]) {
        let tries = trials.iter().any(|begun| begun.resume == Resume::Check && begun.trial.activation.merged);
        let refresh_first = tries || work.iter().any(|item| !item.retired.is_empty());
        if refresh_first && let Err(failure) = self.merge_trials(&mut trials) {
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
        let mut endings = Vec::new();
        for Begun { index, trial, resume } in &trials {
            endings.push(match resume {
                Resume::Check => {
                    Ending::Checked(self.check(&work[*index].report.component, &trial.activation))
                }
                Resume::RollBack { .. } => Ending::of(resume),
            });
        }
        roll_back_together(&trials, &mut endings, work, BTreeSet::new());
        let mut rolled_back = Vec::new();
        for (Begun { index, trial, .. }, ending) in trials.into_iter().zip(endings) {
            let report = &mut work[index].report;
            match self.end(trial, ending, report) {
                Ok(Some(trial)) => rolled_back.push((index, trial)),
                Ok(None) => {}
                Err(failure) => report.fail(failure),
            }
        }
        let refresh_again = rolled_back.iter().any(|(_, trial)| trial.activation.merged);
        if refresh_again && let Err(failure) = self.refresh().map_err(Failure::from) {
            rolled_back.iter().for_each(|(index, _)| work[*index].report.fail(failure.clone()));
            return;
        }
        for (index, trial) in rolled_back {
            if let Err(error) = trial.discard(self.host) {
                work[index].report.fail(error);
            }
        }
    }

    /// Merges what was activated. A version that this machine cannot mount now, although another one of its extension
    /// is merged, is rolled back first, so that it does not stop the others.
    fn merge_trials(&mut self, trials: &mut [Begun]) -> Result<(), Failure> {
        loop {
            let error = match self.refresh() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let merge::MergeError::Lost { name, reason, .. } = &error else { return Err(error.into()) };
            let is_it = |begun: &&mut Begun| {
                let mut links = begun.trial.activation.links.iter();
                let is_named = |link: &Link| merge::extension_name(&link.path) == Some(name.as_str());
                begun.resume == Resume::Check && links.any(is_named)
            };
            let Some(begun) = trials.iter_mut().find(is_it) else { return Err(error.into()) };
            begun.trial.roll_back(self.host, self.paths)?;
            begun.resume =
                Resume::RollBack { reason: RollbackReason::NotChecked { because: reason.to_string() } };
        }
    }

    /// Keeps a version or begins to roll it back. A trial that is returned is to be discarded after the next
    /// refresh.
    fn end(
        &self,
        mut trial: RunningTrial,
        ending: Ending,
        report: &mut ComponentReport,
    ) -> Result<Option<RunningTrial>, Failure> {
        let Activation { version, previous, .. } = trial.activation.clone();
        let ended = match ending {
            Ending::Checked(Verdict::Healthy) => {
                report.outcome = Outcome::Updated { version, previous };
                trial.commit(self.host).map(|()| None)
            }
            Ending::Checked(Verdict::Masked { by }) => {
                report.outcome = Outcome::Masked { version, previous, reason: by };
                trial.leave(self.host).map(|()| None)
            }
            Ending::Checked(Verdict::Unhealthy { output }) => {
                report.outcome = Outcome::RolledBack { version, previous, output: output.clone() };
                trial.fail(self.host, self.paths, output).map(|()| Some(trial))
            }
            Ending::Checked(Verdict::NotChecked { reason })
            | Ending::RollBack(RollbackReason::NotChecked { because: reason }) => {
                report.outcome = Outcome::NotChecked { version, previous, reason };
                // The next run needs them
                trial.activation.files.clear();
                trial.roll_back(self.host, self.paths).map(|()| Some(trial))
            }
            Ending::RollBack(reason) => {
                report.outcome = Outcome::RolledBack { version, previous, output: reason.to_string() };
                trial.roll_back(self.host, self.paths).map(|()| Some(trial))
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
    fn refresh(&mut self) -> Result<(), merge::MergeError> {
        let report = merge::refresh(&*self.host.mounts, self.paths, &merge::Options::default())?;
        self.warnings.extend(merge::reload(&*self.host.manager, self.paths, &report));
        (self.watch)(Step::Merged(&report));
        self.merged = Some(report);
        Ok(())
    }
}
