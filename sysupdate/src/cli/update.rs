//! `update`: bring the newest version and put it in use; `acquire`: only bring it.

use sysext_manifests::version::Version;

use super::progress::Display;
use super::scope::Select;
use super::{Context, Ended, warn};
use crate::failure::Failure;
use crate::node::stock_timer;
use crate::plan::{Goal, Wanted};
use crate::settings::Disabled;
use crate::update::Update;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to bring, older or newer; the newest one otherwise
    version: Option<Version>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, goal: Goal) -> Result<Ended, Failure> {
        let verb = if goal == Goal::Download { "acquire" } else { "update" };
        context.global.stock.check_update(verb)?;
        if self.version.is_some() && context.global.scope.components() == Select::All {
            return Err(Failure {
                error: "a version belongs to one component".to_owned(),
                hint: Some("name the component with --component=".to_owned()),
            });
        }
        context.check_instances_max(2, "updating")?;
        let _lock = context.lock(verb)?;
        stock_timer::warning(&context.host, &context.paths).iter().for_each(warn);
        let identity = context.identity()?;
        let components = context.components(&identity, Disabled::Refuse)?;
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
        let mut display = Display::on_stderr();
        let report = update.run(components, &mut |step| display.show(&step));
        report.warnings.iter().for_each(warn);
        context.print(&report, || {
            let lines = report.components.iter().map(|component| format!("{component}\n"));
            lines.collect()
        })?;
        Ok(if report.is_good() { Ended::Well } else { Ended::No })
    }
}
