//! `update`: bring the newest version and put it in use; `acquire`: only bring it.

use sysext_manifests::version::Version;

use super::progress::Display;
use super::scope::Select;
use super::{Context, Ended, complain, warn};
use crate::failure::Failure;
use crate::node::stock_timer;
use crate::plan::Request;
use crate::settings::OnDisabled;
use crate::update::{Until, Update};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to bring, older or newer; the newest one otherwise
    version: Option<Version>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, until: Until) -> Result<Ended, Failure> {
        let verb = match until {
            Until::Acquired => "acquire",
            Until::Judged => "update",
        };
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
        let components = context.components(&identity, OnDisabled::Fail)?;
        let loaded = components.iter().filter_map(|(_, component)| component.as_ref().ok());
        let directories = loaded.flat_map(|component| component.directories(&context.paths)).collect();
        context.host.reach_beneath(&context.paths, &directories)?;
        let update = Update {
            host: &context.host,
            paths: &context.paths,
            identity: &identity,
            request: self.version.map_or(Request::Newest, Request::Exactly),
            until,
        };
        let mut display = Display::on_stderr();
        let report = update.run(components, &mut |step| display.show(&step));
        // Warnings and failures are reported even if the standard output is closed.
        let printed = context.print(&report, || {
            let lines = report.components.iter().map(|component| format!("{component}\n"));
            lines.collect()
        });
        for component in &report.components {
            component.warnings.iter().for_each(warn);
            component.failures.iter().for_each(|failure| complain(&component.component, failure));
        }
        report.warnings.iter().for_each(warn);
        printed?;
        Ok(if report.is_good() { Ended::Well } else { Ended::No })
    }
}
