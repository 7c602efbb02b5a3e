//! `check-new`: prints the version that an update would install.

use serde::Serialize;
use sysext_manifests::version::Version;

use super::{Context, Status};
use crate::failure::Failure;
use crate::plan::{self, Decision, Request};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct NewVersion {
    available: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let (looked, all_well) = context.look(&Request::Newest)?;
        if looked.is_empty() {
            // The error was reported; any output could be mistaken for an answer.
            return Ok(Status::Failure);
        }
        let situations: Vec<_> = looked.into_iter().map(|(_, situation)| situation).collect();
        let available = plan::plan(&situations).components.into_iter().find_map(|plan| match plan.decision {
            Decision::Install { activation, .. } | Decision::Activate { activation } => {
                Some(activation.version)
            }
            Decision::Settle { .. } | Decision::Keep { .. } | Decision::Refuse { .. } => None,
        });
        let found = available.is_some();
        let answer = NewVersion { available };
        context.print(&answer, || answer.available.iter().map(|version| format!("{version}\n")).collect())?;
        Ok(if found && all_well { Status::Success } else { Status::Failure })
    }
}
