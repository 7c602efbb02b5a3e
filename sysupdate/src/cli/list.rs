//! `list`: the versions that are here and that are offered.

use serde::Serialize;
use sysext_manifests::selection::{Selection, UpdateSet};
use sysext_manifests::version::Version;

use super::{Context, Ended};
use crate::plan::{self, Decision, Objection, Request, Situation, State};
use crate::report::Failure;
use crate::settings::ComponentName;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// A component as `systemd-sysupdate list --json` shows it, and more behind that.
#[derive(Serialize)]
struct Listing {
    current: Option<Version>,
    all: Vec<Version>,
    #[serde(rename = "appstreamUrls")]
    appstream_urls: Vec<String>,
    component: ComponentName,
    versions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    version: Version,
    installed: bool,
    available: bool,
    assessment: Assessment,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Assessment {
    Candidate,
    Current,
    Installed,
    Protected,
    Pending,
    Partial,
    Incomplete,
    Bad,
    Obsolete,
    Excluded,
    Withdrawn,
    Available,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        let (situations, all_well) = context.look(&Request::Newest)?;
        let listings: Vec<_> =
            situations.iter().map(|(name, situation)| Listing::of(name, situation)).collect();
        let text = || listings.iter().map(|listing| listing.text(context.global.no_legend)).collect();
        match &listings[..] {
            // One component prints as systemd-sysupdate prints it.
            [listing] if !context.global.component_all => context.print(listing, text)?,
            _ => context.print(&listings, text)?,
        }
        Ok(if all_well { Ended::Well } else { Ended::No })
    }
}

impl Listing {
    fn of(name: &ComponentName, situation: &Situation) -> Self {
        let (mut current, mut candidate) = (None, None);
        for plan in plan::plan(std::slice::from_ref(situation)).components {
            current = plan.active;
            candidate = match plan.decision {
                Decision::Install { activation, .. } | Decision::Activate { activation } => {
                    Some(activation.version)
                }
                Decision::Settle { .. } | Decision::Keep { .. } | Decision::Refuse { .. } => None,
            };
        }
        let sets = situation.update_sets();
        let row = |set: &UpdateSet| Row::of(situation, set, current.as_ref(), candidate.as_ref());
        Self {
            versions: sets.iter().map(row).collect(),
            current,
            all: Selection::of(&sets).listed.into_iter().map(|listed| listed.version).collect(),
            appstream_urls: Vec::new(),
            component: name.clone(),
        }
    }

    fn text(&self, no_legend: bool) -> String {
        let mut text = String::new();
        let width = self.versions.iter().map(|row| row.version.as_str().len()).max().unwrap_or(0).max(7);
        if !no_legend {
            text.push_str(&format!("{}\n", self.component));
            text.push_str(&format!("  {:<width$} INSTALLED AVAILABLE ASSESSMENT\n", "VERSION"));
        }
        for row in &self.versions {
            let tick = |yes: bool| if yes { "✓" } else { " " };
            let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            text.push_str(&format!(
                "{} {:<width$} {:<9} {:<9} {}{reason}\n",
                row.assessment.sign(),
                row.version.as_str(),
                tick(row.installed),
                tick(row.available),
                row.assessment.word(),
            ));
        }
        text
    }
}

impl Row {
    fn of(
        situation: &Situation,
        set: &UpdateSet,
        current: Option<&Version>,
        candidate: Option<&Version>,
    ) -> Self {
        let version = &set.version;
        let installed = set.is_installed();
        let objection = situation.objection(set);
        let (assessment, reason) = if current == Some(version) {
            (Assessment::Current, None)
        } else if candidate == Some(version) {
            (Assessment::Candidate, None)
        } else {
            let reason = objection.as_ref().map(ToString::to_string);
            match objection {
                Some(Objection::Bad { .. }) => (Assessment::Bad, reason),
                Some(Objection::Obsolete { .. }) => (Assessment::Obsolete, reason),
                Some(Objection::TooNew { .. } | Objection::Unfulfilled { .. }) => {
                    (Assessment::Excluded, reason)
                }
                Some(Objection::Withdrawn { .. }) => (Assessment::Withdrawn, reason),
                Some(Objection::Incomplete { .. }) if set.has(State::Pending) => (Assessment::Pending, None),
                Some(Objection::Incomplete { .. }) if set.has(State::Partial) => (Assessment::Partial, None),
                Some(Objection::Incomplete { .. }) => (Assessment::Incomplete, reason),
                None if installed && set.protected => (Assessment::Protected, None),
                None if installed => (Assessment::Installed, None),
                None => (Assessment::Available, None),
            }
        };
        Self { version: version.clone(), installed, available: set.is_available(), assessment, reason }
    }
}

impl Assessment {
    const fn word(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Current => "current",
            Self::Installed => "installed",
            Self::Protected => "protected",
            Self::Pending => "pending",
            Self::Partial => "partial",
            Self::Incomplete => "incomplete",
            Self::Bad => "bad",
            Self::Obsolete => "obsolete",
            Self::Excluded => "excluded",
            Self::Withdrawn => "withdrawn",
            Self::Available => "available",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Candidate => "↻",
            Self::Current => "●",
            Self::Protected => "○",
            Self::Bad | Self::Obsolete | Self::Excluded | Self::Withdrawn => "×",
            Self::Pending | Self::Partial => "⤵",
            Self::Installed | Self::Incomplete | Self::Available => " ",
        }
    }
}
