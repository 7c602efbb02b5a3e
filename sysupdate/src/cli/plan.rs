//! `plan`: shows what an update would do, and why.

use sysext_manifests::version::Version;

use super::{Context, Status};
use crate::failure::Failure;
use crate::plan::{self, Decision, Wanted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Version to install; may be older than the active one [default: the newest]
    version: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        context.check_instances_max(2, "updating")?;
        let wanted = self.version.map_or(Wanted::Newest, Wanted::Exactly);
        let surveyed = context.survey(&wanted)?;
        let plan = plan::plan(&surveyed.survey);
        context.print(&plan, || plan.to_string())?;
        let refused = |plan: &plan::ComponentPlan| matches!(plan.decision, Decision::Refuse { .. });
        let refused = plan.components.iter().any(refused);
        Ok(if surveyed.all_well && !refused { Status::Success } else { Status::Failure })
    }
}
