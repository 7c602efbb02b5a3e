//! `check-new`: prints the version that an update would install.

use serde::Serialize;
use sysext_manifests::version::Version;

use super::{Context, Status};
use crate::failure::Failure;
use crate::plan::{self, Decision, Wanted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct NewVersion {
    available: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let surveyed = context.survey(&Wanted::Newest)?;
        if surveyed.survey.components.is_empty() {
            // Why was said; an answer would be taken for one.
            return Ok(Status::Failure);
        }
        let available =
            plan::plan(&surveyed.survey).components.into_iter().find_map(|plan| match plan.decision {
                Decision::Install { activation, .. } | Decision::Activate { activation } => {
                    Some(activation.version)
                }
                _ => None,
            });
        let found = available.is_some();
        let answer = NewVersion { available };
        context.print(&answer, || answer.available.iter().map(|version| format!("{version}\n")).collect())?;
        Ok(if found && surveyed.all_well { Status::Success } else { Status::Failure })
    }
}
