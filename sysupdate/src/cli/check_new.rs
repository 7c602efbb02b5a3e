//! `check-new`: is there something newer?

use serde::Serialize;
use sysext_manifests::version::Version;

use super::{Context, Ended};
use crate::failure::Failure;
use crate::plan::{self, Decision, Request};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Answer {
    available: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        let (looked, all_well) = context.look(&Request::Newest)?;
        if looked.is_empty() {
            // Why was said; an answer would be taken for one.
            return Ok(Ended::No);
        }
        let situations: Vec<_> = looked.into_iter().map(|(_, situation)| situation).collect();
        let available = plan::plan(&situations).components.into_iter().find_map(|plan| match plan.decision {
            Decision::Install { activation, .. } | Decision::Activate { activation } => {
                Some(activation.version)
            }
            Decision::Settle { .. } | Decision::Keep { .. } | Decision::Refuse { .. } => None,
        });
        let found = available.is_some();
        let answer = Answer { available };
        context.print(&answer, || answer.available.iter().map(|version| format!("{version}\n")).collect())?;
        Ok(if found && all_well { Ended::Well } else { Ended::No })
    }
}
