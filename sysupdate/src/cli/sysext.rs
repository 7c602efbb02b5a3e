//! `sysext`: what is merged into `/usr` and `/opt`.

use clap::Subcommand;

use super::{Context, Ended, warn};
use crate::failure::Failure;
use crate::merge::report::MergeReport;
use crate::merge::{self, When};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Do not let systemd read its units anew, even if an extension asks for it
    #[arg(long, global = true)]
    no_reload: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what is merged (what happens without a verb)
    Status,
    /// Merge what lies in the extension directories; nothing may be merged yet
    Merge,
    /// Merge anew, without an instant in which a file is missing
    Refresh {
        /// Even if nothing changed
        #[arg(long)]
        always_refresh: bool,
    },
    /// Take away what is merged
    Unmerge,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        let options = merge::Options::default();
        let (mounts, paths) = (&*context.host.mounts, &context.paths);
        let report = match self.verb.unwrap_or(Verb::Status) {
            Verb::Status => {
                let status = merge::status(mounts, paths)?;
                context.print(&status, || status.to_string())?;
                return Ok(Ended::Well);
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
        Ok(Ended::Well)
    }
}
