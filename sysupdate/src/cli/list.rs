//! `list`: the installed and available versions, or one of them in full.

use serde::Serialize;
use sysext_manifests::stock::StockChoice;
use sysext_manifests::update_set::UpdateSet;
use sysext_manifests::version::Version;

use super::scope::ChosenBy;
use super::{Context, Status};
use crate::failure::Failure;
use crate::plan::{self, ComponentPlan, Decision, Objection, Situation, Skipped, State, Wanted};
use crate::settings::{Component, ComponentName};

mod contents;
mod version;

pub(super) use version::VersionDetails;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Version to show in full
    version: Option<String>,
}

/// A component as `systemd-sysupdate list --json` shows it, and more behind that.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct VersionList {
    current: Option<Version>,
    all: Vec<Version>,
    #[serde(rename = "appstreamUrls")]
    appstream_urls: Vec<String>,
    component: ComponentName,
    versions: Vec<Row>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row {
    version: Version,
    installed: bool,
    available: bool,
    assessment: Assessment,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let one = context.options.scope.components() == ChosenBy::Name;
        if self.version.is_some() && !one {
            return Err(Failure {
                error: "a version needs one component".to_owned(),
                hint: Some("select it with --component=".to_owned()),
            });
        }
        let no_legend = context.options.no_legend;
        let surveyed = context.survey(&Wanted::Newest)?;
        let plan = plan::plan(&surveyed.survey);
        let planned = surveyed.survey.components.iter().zip(plan.components);
        let planned = planned.filter_map(|(situation, plan)| {
            Some((surveyed.components.get(&situation.component)?, Judged::of(situation, plan)))
        });
        let planned: Vec<_> = planned.collect();
        if let Some(version) = &self.version {
            for (component, judged) in planned {
                let shown = VersionDetails::of(context, component, &judged, version)?;
                context.print(&shown, || shown.text(no_legend))?;
            }
        } else {
            let listings: Vec<_> =
                planned.into_iter().map(|(component, judged)| VersionList::of(component, judged)).collect();
            let text = || listings.iter().map(|listing| listing.text(no_legend)).collect();
            match &listings[..] {
                // One component prints as systemd-sysupdate prints it.
                [listing] if one => context.print(listing, text)?,
                // The error was reported.
                [] if one => {}
                _ => context.print(&listings, text)?,
            }
        }
        Ok(if surveyed.all_well { Status::Success } else { Status::Failure })
    }
}

/// What we make of a component's versions.
struct Judged<'a> {
    situation: &'a Situation,
    sets: Vec<UpdateSet>,
    /// The version in use.
    current: Option<Version>,
    /// The version that an update would put in use.
    candidate: Option<Version>,
    /// Newer versions that an update skips.
    skipped: Vec<Skipped>,
}

impl<'a> Judged<'a> {
    fn of(situation: &'a Situation, plan: ComponentPlan) -> Self {
        let candidate = match plan.decision {
            Decision::Install { activation, .. } | Decision::Activate { activation } => {
                Some(activation.version)
            }
            _ => None,
        };
        Self {
            situation,
            sets: situation.update_sets(),
            current: plan.active,
            candidate,
            skipped: plan.skipped,
        }
    }
}

impl VersionList {
    fn of(component: &Component, judged: Judged<'_>) -> Self {
        let mut appstream_urls: Vec<String> = Vec::new();
        for url in component.transfers.iter().flat_map(|transfer| &transfer.appstream) {
            if !appstream_urls.contains(url) {
                appstream_urls.push(url.clone());
            }
        }
        Self {
            versions: judged.sets.iter().map(|set| Row::of(set, &judged)).collect(),
            all: StockChoice::of(&judged.sets).listed.into_iter().map(|listed| listed.version).collect(),
            current: judged.current,
            appstream_urls,
            component: component.name.clone(),
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
    fn of(set: &UpdateSet, judged: &Judged<'_>) -> Self {
        let version = &set.version;
        let installed = set.is_installed();
        // The plan also knows the requirements and conflicts of newer versions.
        let skipped = judged.skipped.iter().find(|skipped| skipped.version == *version);
        let objections = match skipped {
            Some(skipped) => skipped.objections.clone(),
            None => judged.situation.objections(set).collect(),
        };
        let (assessment, reason) = if judged.current.as_ref() == Some(version) {
            (Assessment::Current, None)
        } else if judged.candidate.as_ref() == Some(version) {
            (Assessment::Candidate, None)
        } else {
            let texts: Vec<_> = objections.iter().map(ToString::to_string).collect();
            let reason = (!texts.is_empty()).then(|| texts.join("; "));
            match objections.first() {
                Some(Objection::Bad { .. }) => (Assessment::Bad, reason),
                Some(Objection::Obsolete { .. }) => (Assessment::Obsolete, reason),
                Some(Objection::Withdrawn { .. }) => (Assessment::Withdrawn, reason),
                Some(Objection::Incomplete { .. }) if set.has(State::Pending) => (Assessment::Pending, None),
                Some(Objection::Incomplete { .. }) if set.has(State::Partial) => (Assessment::Partial, None),
                Some(Objection::Incomplete { .. }) => (Assessment::Incomplete, reason),
                Some(_) => (Assessment::Excluded, reason),
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
