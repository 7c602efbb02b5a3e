//! `plan`: what would an update do, and why?

use sysext_manifests::version::Version;

use super::{Context, Ended};
use crate::failure::Failure;
use crate::plan::{self, Decision, Wanted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to plan for, older or newer; the newest one otherwise
    version: Option<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        context.check_instances_max(2, "updating")?;
        let wanted = self.version.map_or(Wanted::Newest, Wanted::Exactly);
        let looked = context.look(&wanted)?;
        let plan = plan::plan(&looked.survey);
        context.print(&plan, || plan.to_string())?;
        let refused = |plan: &plan::ComponentPlan| matches!(plan.decision, Decision::Refuse { .. });
        let refused = plan.components.iter().any(refused);
        Ok(if looked.all_well && !refused { Ended::Well } else { Ended::No })
    }
}
