//! One version: what is known of it, as systemd-sysupdate shows it, and what we make of it behind that.

use serde::Serialize;
use sysext_manifests::stock::{ListedVersion, StockChoice};
use sysext_manifests::update_set::UpdateSet;

use super::contents::{self, Content};
use super::{Assessment, Judged, Row};
use crate::cli::context::Context;
use crate::failure::Failure;
use crate::plan::State;
use crate::settings::{Component, ComponentName};
use crate::state::InstalledFile;

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(in crate::cli) struct VersionDetails {
    #[serde(flatten)]
    listed: ListedVersion,
    #[serde(rename = "changelogUrls")]
    changelog_urls: Vec<String>,
    contents: Vec<Content>,
    /// What was recorded when the version was installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<InstalledFile>,
    component: ComponentName,
    assessment: Assessment,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip)]
    state: String,
}

impl VersionDetails {
    /// The version of that spelling. What no source has whole and of which nothing is here does not exist.
    pub(super) fn of(
        context: &Context,
        component: &Component,
        judged: &Judged<'_>,
        version: &str,
    ) -> Result<Self, Failure> {
        let set = judged.sets.iter().find(|set| set.version.as_str() == version);
        let row = set.map(|set| Row::of(set, judged));
        let choice = StockChoice::of(&judged.sets);
        let listed = choice.listed.into_iter().find(|listed| listed.version.as_str() == version);
        let (Some(set), Some(row), Some(listed)) = (set, &row, listed) else {
            let hint = row.and_then(|row| row.reason);
            return Err(Failure { error: format!("Update '{version}' not found."), hint });
        };
        let mut changelog_urls: Vec<String> = Vec::new();
        for url in component.transfers.iter().flat_map(|transfer| &transfer.changelog) {
            let url = url.replace("@v", version);
            if !changelog_urls.contains(&url) {
                changelog_urls.push(url);
            }
        }
        Ok(Self {
            changelog_urls,
            contents: contents::of(context, component, judged.situation, set)?,
            evidence: evidence(judged, set),
            component: component.name.clone(),
            assessment: row.assessment,
            reason: row.reason.clone(),
            state: state(judged, &listed),
            listed,
        })
    }

    /// The sign of what is most worth knowing of it.
    fn sign(&self) -> &'static str {
        let begun = (self.listed.partial || self.listed.pending) && !self.listed.incomplete;
        match self.assessment {
            Assessment::Bad | Assessment::Excluded | Assessment::Withdrawn => self.assessment.sign(),
            _ if self.listed.obsolete => Assessment::Obsolete.sign(),
            _ if begun => Assessment::Pending.sign(),
            Assessment::Current | Assessment::Candidate => self.assessment.sign(),
            _ if self.listed.installed && self.listed.protected => Assessment::Protected.sign(),
            _ => Assessment::Available.sign(),
        }
    }

    pub(super) fn text(&self, no_legend: bool) -> String {
        let ListedVersion { version, newest, available, installed, protected, obsolete, .. } = &self.listed;
        let yes_no = |value: bool| if value { "yes" } else { "no" };
        let note = |holds: bool, note: &'static str| if holds { note } else { "" };
        let here = |holds: bool| *installed && holds;
        let mut text = format!(
            "{} Version: {version}\n    State: {}\nInstalled: {}{}{}{}{}\nAvailable: {}{}\nProtected: {}\n Obsolete: {}\n",
            self.sign(),
            self.state,
            yes_no(*installed),
            note(here(*newest), " (newest)"),
            note(here(self.listed.incomplete), " (incomplete)"),
            note(here(self.listed.pending), " (pending)"),
            note(here(self.listed.partial), " (partial)"),
            yes_no(*available),
            note(*newest && *available && !installed, " (newest)"),
            yes_no(here(*protected)),
            yes_no(*obsolete),
        );
        if let Some(reason) = &self.reason {
            text.push_str(&format!("   Reason: {reason}\n"));
        }
        for InstalledFile { transfer, evidence, .. } in &self.evidence {
            text.push_str(&format!(" Evidence: {transfer}: {evidence}\n"));
        }
        for url in &self.changelog_urls {
            text.push_str(&format!("ChangeLog: {url}\n"));
        }
        text.push('\n');
        text.push_str(&contents::table(&self.contents).text(no_legend));
        text
    }
}

/// Why the installed files of a version are trusted.
fn evidence(judged: &Judged<'_>, set: &UpdateSet) -> Vec<InstalledFile> {
    let recorded = judged.situation.record.installed(&set.version);
    let files =
        recorded.filter(|_| set.has(State::Installed)).into_iter().flat_map(|installed| &installed.files);
    files.cloned().collect()
}

/// What becomes of a version in a word, and what is odd about it in more.
fn state(judged: &Judged<'_>, listed: &ListedVersion) -> String {
    let is = |version: &Option<_>| version.as_ref() == Some(&listed.version);
    let mut state = match listed {
        _ if is(&judged.current) => Assessment::Current.word(),
        _ if is(&judged.candidate) => Assessment::Candidate.word(),
        ListedVersion { installed: true, protected: true, .. } => Assessment::Protected.word(),
        ListedVersion { installed: true, .. } => Assessment::Installed.word(),
        _ => Assessment::Available.word(),
    }
    .to_owned();
    let odd = [
        (listed.obsolete, Assessment::Obsolete),
        (listed.incomplete, Assessment::Incomplete),
        (listed.partial, Assessment::Partial),
        (listed.pending && !listed.partial, Assessment::Pending),
    ];
    for (_, assessment) in odd.into_iter().filter(|(holds, _)| *holds) {
        state.push('+');
        state.push_str(assessment.word());
    }
    state
}
