//! `check-new`: is there something newer?

use serde::Serialize;
use sysext_manifests::version::Version;

use super::{Context, Ended};
use crate::failure::Failure;
use crate::plan::{self, Decision, Wanted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Answer {
    available: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        let looked = context.look(&Wanted::Newest)?;
        if looked.survey.components.is_empty() {
            // Why was said; an answer would be taken for one.
            return Ok(Ended::No);
        }
        let available =
            plan::plan(&looked.survey).components.into_iter().find_map(|plan| match plan.decision {
                Decision::Install { activation, .. } | Decision::Activate { activation } => {
                    Some(activation.version)
                }
                _ => None,
            });
        let found = available.is_some();
        let answer = Answer { available };
        context.print(&answer, || answer.available.iter().map(|version| format!("{version}\n")).collect())?;
        Ok(if found && looked.all_well { Ended::Well } else { Ended::No })
    }
}
