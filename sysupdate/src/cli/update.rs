//! `update`: installs and activates a version; `acquire`: only downloads it.

use sysext_manifests::version::Version;

use super::progress::Display;
use super::scope::ChosenBy;
use super::{Context, Status, fail_component, warn};
use crate::failure::Failure;
use crate::node::stock_timer;
use crate::plan::{Goal, Wanted};
use crate::settings::OnDisabled;
use crate::update::Update;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Version to install; may be older than the active one [default: the newest]
    version: Option<Version>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, goal: Goal) -> Result<Status, Failure> {
        let verb = if goal == Goal::Download { "acquire" } else { "update" };
        context.options.stock.check_update(verb)?;
        if self.version.is_some() && context.options.scope.components() == ChosenBy::All {
            return Err(Failure {
                error: "a version needs one component".to_owned(),
                hint: Some("select it with --component=".to_owned()),
            });
        }
        context.check_instances_max(2, "updating")?;
        let _lock = context.lock(verb)?;
        context.warn_of_unclaimed()?;
        stock_timer::warning(&context.host, &context.paths).iter().for_each(warn);
        let identity = context.identity()?;
        let components = context.components(&identity, OnDisabled::Fail)?;
        let loaded = components.iter().filter_map(|(_, component)| component.as_ref().ok());
        let directories = loaded.flat_map(|component| component.directories(&context.paths)).collect();
        context.host.reach_beneath(&context.paths, &directories)?;
        let update = Update {
            host: &context.host,
            paths: &context.paths,
            identity: &identity,
            wanted: self.version.map_or(Wanted::Newest, Wanted::Exactly),
            goal,
        };
        let mut display = Display::new(context.options.verbosity());
        let report = update.run(components, &mut |step| display.show(&step));
        // Warnings and failures are reported even if the standard output is closed.
        let printed = context.print(&report, || {
            let lines = report.components.iter().map(|component| format!("{component}\n"));
            lines.collect()
        });
        for component in &report.components {
            component.warnings.iter().for_each(warn);
            component.failures.iter().for_each(|failure| fail_component(&component.component, failure));
        }
        report.warnings.iter().for_each(warn);
        printed?;
        Ok(if report.is_good() { Status::Success } else { Status::Failure })
    }
}
