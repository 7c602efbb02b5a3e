//! What an update did.

use std::fmt;

use serde::Serialize;
use sysext_manifests::version::Version;

use crate::failure::Failure;
use crate::merge;
use crate::plan::{ComponentPlan, PassedOver, Removal};
use crate::settings::{ComponentName, DisabledBy};

/// What an update did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// To each component.
    pub components: Vec<ComponentReport>,
    /// What is merged now, if that was touched.
    pub merged: Option<merge::report::Report>,
    /// What the operator should know about the merge.
    pub warnings: Vec<String>,
}

/// What an update did to a component.
#[derive(Debug, Serialize)]
pub struct ComponentReport {
    /// Its name.
    pub component: ComponentName,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Who vouched for what was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The transfers of which everything went.
    pub dropped: Vec<Dropped>,
    /// Newer versions that were not used, and why.
    pub passed_over: Vec<PassedOver>,
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A transfer of which everything went, since it takes no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The transfer's name.
    pub transfer: String,
    /// Why it takes no part.
    #[serde(flatten)]
    pub because: DisabledBy,
}

impl From<Removal> for Dropped {
    fn from(Removal { transfer, because, .. }: Removal) -> Self {
        Self { transfer, because }
    }
}

/// What came of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Something went wrong before anything was decided.
    Undecided,
    /// Nothing newer may be used.
    UpToDate,
    /// Nothing is here, and nothing is offered.
    Nothing,
    /// The operator holds it.
    Held {
        /// What would be used otherwise.
        candidate: Version,
    },
    /// Another version is here, whole and verified. The next update puts it in use.
    Acquired {
        /// The version.
        version: Version,
    },
    /// Another version is in use and passed its checks.
    Updated {
        /// The version.
        version: Version,
        /// What was in use before.
        previous: Option<Version>,
    },
    /// Another version is put in use, and something of its name hides it from the merge, as the operator wants
    /// it: nobody knows whether it works.
    Hidden {
        /// The version.
        version: Version,
        /// What was in use before.
        previous: Option<Version>,
        /// What hides it.
        because: String,
    },
    /// Another version is put in use, but what is merged could not be changed, so that nobody knows whether
    /// it works. The next run goes on there.
    Unjudged {
        /// The version.
        version: Version,
        /// What was in use before.
        previous: Option<Version>,
    },
    /// Another version did not pass; what was in use before is in use again.
    TakenBack {
        /// The version.
        version: Version,
        /// What is in use again.
        returned_to: Option<Version>,
        /// What the check said.
        output: String,
    },
}

impl ComponentReport {
    /// Nothing happened yet.
    pub fn new(component: ComponentName, warnings: Vec<String>) -> Self {
        Self {
            component,
            outcome: Outcome::Undecided,
            evidence: None,
            dropped: Vec::new(),
            passed_over: Vec::new(),
            failures: Vec::new(),
            warnings,
        }
    }

    /// Its definitions are not usable.
    pub fn failed(component: ComponentName, failure: impl Into<Failure>) -> Self {
        let mut report = Self::new(component, Vec::new());
        report.fail(failure);
        report
    }

    /// Notes a failure.
    pub fn fail(&mut self, failure: impl Into<Failure>) {
        self.failures.push(failure.into());
    }

    /// Whether something failed so that nothing else may be tried.
    pub fn is_stuck(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Takes over from the plan what the reader should see.
    pub fn begin(&mut self, plan: &ComponentPlan) {
        self.passed_over.clone_from(&plan.passed_over);
    }

    /// Whether all is as the operator wants it.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && !matches!(self.outcome, Outcome::TakenBack { .. })
    }
}

impl Report {
    /// Whether all is as the operator wants it.
    pub fn is_good(&self) -> bool {
        self.components.iter().all(ComponentReport::is_good)
    }
}

impl fmt::Display for ComponentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.component)?;
        let or_nothing =
            |version: &Option<Version>| version.as_ref().map_or("nothing".to_owned(), Version::to_string);
        match &self.outcome {
            Outcome::Undecided => write!(f, "failed, nothing was changed")?,
            Outcome::UpToDate => write!(f, "up to date")?,
            Outcome::Nothing => write!(f, "nothing to install")?,
            Outcome::Held { candidate } => write!(f, "held; {candidate} would be next")?,
            Outcome::Acquired { version } => write!(f, "{version} is here; the next update puts it in use")?,
            Outcome::Updated { version, previous: Some(previous) } => {
                write!(f, "updated from {previous} to {version}")?;
            }
            Outcome::Updated { version, previous: None } => write!(f, "installed {version}")?,
            Outcome::Hidden { version, because, .. } => {
                write!(f, "{version} is here, but not merged and not judged: {because}")?;
            }
            Outcome::Unjudged { version, .. } => {
                write!(f, "{version} is here, but not merged and not judged; the next update goes on there")?;
            }
            Outcome::TakenBack { version, returned_to, output } => {
                write!(f, "{version} was taken back, {} is in use again: {output}", or_nothing(returned_to))?;
            }
        }
        for Dropped { transfer, because } in &self.dropped {
            write!(f, "\n  dropped {transfer}: {because}")?;
        }
        for PassedOver { version, reason } in &self.passed_over {
            write!(f, "\n  not {version}: {reason}")?;
        }
        Ok(())
    }
}
