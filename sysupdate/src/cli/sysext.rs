//! `sysext`: merges system extensions into `/usr` and `/opt`.

use clap::Subcommand;

use super::{Context, Status, warn};
use crate::failure::Failure;
use crate::merge::report::MergeReport;
use crate::merge::{self, When};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Do not reload the service manager
    #[arg(long, global = true)]
    no_reload: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show which extensions are merged (default)
    Status,
    /// Merge all extensions; fails if some are already merged
    Merge,
    /// Replace the merged set without a gap
    Refresh {
        /// Refresh even if nothing changed
        #[arg(long)]
        always_refresh: bool,
    },
    /// Unmerge all extensions
    Unmerge,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let options = merge::Options::default();
        let (mounts, paths) = (&*context.host.mounts, &context.paths);
        let report = match self.verb.unwrap_or(Verb::Status) {
            Verb::Status => {
                let status = merge::status(mounts, paths)?;
                context.print(&status, || status.to_string())?;
                return Ok(Status::Success);
            }
            Verb::Merge => {
                let _lock = context.lock("sysext merge")?;
                merge::merge(mounts, paths, &options)
            }
            Verb::Refresh { always_refresh } => {
                let _lock = context.lock("sysext refresh")?;
                let when = if always_refresh { When::Always } else { When::Changed };
                merge::refresh(mounts, paths, &merge::Options { when, ..options })
            }
            Verb::Unmerge => {
                let _lock = context.lock("sysext unmerge")?;
                merge::unmerge(mounts, paths)
            }
        };
        let report: MergeReport = report?;
        if !self.no_reload {
            let warning = merge::reload(&*context.host.manager, paths, &report);
            warning.iter().for_each(warn);
        }
        context.print(&report, || report.to_string())?;
        Ok(Status::Success)
    }
}
