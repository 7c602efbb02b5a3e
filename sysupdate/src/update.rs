//! The update: survey, plan, execute. Twice: first what an interrupted run left, without asking any source,
//! then what is new.

use std::collections::BTreeMap;

use sysext_manifests::specifier::Identity;

use crate::host::Host;
use crate::paths::Paths;
use crate::plan::{self, Goal, Wanted};
use crate::repository::Memory;
use crate::settings::{Component, ComponentName, Loaded};
use crate::sources::Discovery;

mod execute;
pub mod install;
pub mod report;
mod survey;
mod together;
pub mod trial;
mod verdict;

pub use execute::{Step, execute};
pub use survey::{Surveyed, situation, survey};

use execute::Watch;
use report::{ComponentReport, UpdateReport};

/// Everything an update works with.
#[derive(Debug)]
pub struct Update<'a> {
    /// Access to the machine.
    pub host: &'a Host,
    /// The paths.
    pub paths: &'a Paths,
    /// Who this node is.
    pub identity: &'a Identity,
    /// Which version is requested.
    pub wanted: Wanted,
    /// How far the update goes.
    pub goal: Goal,
}

impl Update<'_> {
    /// Updates components. No component's failure stops another.
    pub fn run(&self, loaded: Loaded, watch: Watch<'_>) -> UpdateReport {
        let mut report = UpdateReport::default();
        let mut components = BTreeMap::new();
        for (name, component) in loaded {
            match component {
                Ok(component) => {
                    report.add(ComponentReport::new(name.clone(), component.warnings.clone()));
                    components.insert(name, component);
                }
                Err(error) => report.add(ComponentReport::failed(name, error)),
            }
        }
        if self.goal == Goal::Update {
            self.pass(&components, Goal::Recover, None, &mut report, watch);
        }
        let mut discovery = Discovery::new(self.host, self.paths, self.identity, Memory::Keep);
        self.pass(&components, self.goal, Some(&mut discovery), &mut report, watch);
        report
    }

    fn pass(
        &self,
        components: &BTreeMap<ComponentName, Component>,
        goal: Goal,
        discovery: Option<&mut Discovery<'_>>,
        report: &mut UpdateReport,
        watch: Watch<'_>,
    ) {
        // Where the recovery failed, nothing else is tried.
        let usable = components.values().filter(|component| !report.has_failed(&component.name));
        let surveyed = survey(self.host, self.paths, self.identity, usable, discovery, goal, &self.wanted);
        report.note(surveyed.failures, surveyed.warnings);
        let plan = plan::plan(&surveyed.survey);
        report.then(execute(self.host, self.paths, components, plan, watch));
    }
}
