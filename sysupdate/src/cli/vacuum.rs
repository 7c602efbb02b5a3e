//! `vacuum`: removes old versions and files of disabled features.

use serde::Serialize;

use super::{Context, Status, warn};
use crate::failure::Failure;
use crate::plan::{Offers, State, Wanted};
use crate::settings::OnDisabled;
use crate::targets::vacuum::{self, Because, Going, Vacuumed};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// What was removed, as `systemd-sysupdate vacuum --json` prints it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct RemovedFiles {
    removed: usize,
    #[serde(rename = "disabledTransfers")]
    disabled_transfers: usize,
}

impl Args {
    pub(super) fn run(self, mut context: Context) -> Result<Status, Failure> {
        context.check_instances_max(1, "vacuuming")?;
        let _lock = context.lock("vacuum")?;
        let identity = context.identity()?;
        let components = context.components(&identity, OnDisabled::Allow)?;
        // One component was chosen.
        let Some((_, component)) = components.into_iter().next() else { return Ok(Status::Success) };
        let component = component?;
        component.warnings.iter().for_each(warn);
        let directories = component.directories(&context.paths);
        context.host.reach_beneath(&context.paths, &directories)?;
        // Removing files needs no source.
        let offers = Offers::Known(Default::default());
        let (host, paths) = (&context.host, &context.paths);
        let situation = crate::update::situation(host, paths, &component, offers, Wanted::Newest)?;
        situation.unreadable.iter().for_each(warn);
        let vacuumed = vacuum::vacuum(&context.host, &context.paths, &situation, &mut |going| {
            context.inform(line(&going))
        })?;
        vacuumed.warnings.iter().for_each(warn);
        let Vacuumed { removed, disabled_transfers, .. } = vacuumed;
        if context.is_text() {
            context.inform(summary(removed, disabled_transfers));
        } else {
            context.print(&RemovedFiles { removed, disabled_transfers }, String::new)?;
        }
        Ok(Status::Success)
    }
}

/// What systemd-sysupdate prints about a file that is removed.
fn line(going: &Going<'_>) -> String {
    let what = match going.because {
        Because::Old(State::Partial) | Because::Disabled(State::Partial) => "old partial",
        Because::Old(State::Pending) | Because::Disabled(State::Pending) => "old pending",
        Because::Old(State::Installed) => "old",
        Because::Disabled(State::Installed) => "disabled",
    };
    format!("Removing {what} '{}' (regular-file).", going.location)
}

/// What systemd-sysupdate prints in the end.
fn summary(removed: usize, disabled_transfers: usize) -> String {
    match (removed, disabled_transfers) {
        (0, 0) => "Found nothing to remove.".to_owned(),
        (0, disabled) => format!("Removed {disabled} disabled transfers."),
        (removed, 0) => format!("Removed {removed} instances."),
        (removed, disabled) => format!("Removed {removed} instances, and {disabled} disabled transfers."),
    }
}
