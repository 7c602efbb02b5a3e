//! `features`: what may be switched on and off within a component.

use serde::Serialize;
use sysext_manifests::feature::Feature;

use super::{Context, Ended, say, warn};
use crate::facts;
use crate::report::Failure;
use crate::settings::{self, ComponentName, Definitions};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The feature to show; all of them otherwise
    feature: Option<String>,
}

#[derive(Serialize)]
struct Listing {
    features: Vec<String>,
}

/// A feature as systemd-sysupdate 262 shows it. What is suggested is left out where nobody knows it.
#[derive(Serialize)]
struct Shown {
    id: String,
    description: Option<String>,
    documentation: Option<Vec<String>>,
    #[serde(rename = "appStream")]
    appstream: Option<String>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested: Option<bool>,
    transfers: Vec<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        if context.global.component_all {
            return Err(Failure {
                error: "--component-all currently not supported for 'features'.".to_owned(),
                hint: Some("name the component with --component=".to_owned()),
            });
        }
        let (_, definitions) = one(context)?;
        let identity = context.identity().map_err(|error| Failure::new(&error, None))?;
        let facts = facts::gather(&*context.host.store, &context.paths, &identity);
        let show = |id: &str, feature: &Feature| {
            let suggested = feature.is_suggested(&facts);
            if let Err(error) = &suggested {
                warn(format_args!("{id}: {error}"));
            }
            Shown::of(id, feature, suggested.ok(), &definitions)
        };
        if let Some(id) = &self.feature {
            let Some(feature) = definitions.features.get(id) else {
                return Err(Failure { error: format!("Optional feature not found: {id}"), hint: None });
            };
            let shown = show(id, feature);
            context.print(&shown, || shown.text())?;
            return Ok(Ended::Well);
        }
        let listing = Listing { features: definitions.features.keys().cloned().collect() };
        if listing.features.is_empty() && !context.global.no_legend && context.is_text() {
            say(format_args!("No features."));
            return Ok(Ended::Well);
        }
        context.print(&listing, || {
            let rows: Vec<Shown> =
                definitions.features.iter().map(|(id, feature)| show(id, feature)).collect();
            table(&rows, context.global.no_legend)
        })?;
        Ok(Ended::Well)
    }
}

/// The definitions of the one component that is meant.
pub(super) fn one(context: &Context) -> Result<(ComponentName, Definitions), Failure> {
    let mut all = all(context)?;
    match all.pop() {
        Some(one) => Ok(one),
        None => Err(Failure { error: "Component not found".to_owned(), hint: None }),
    }
}

/// The definitions of all components that are meant, with what was odd about them told.
pub(super) fn all(context: &Context) -> Result<Vec<(ComponentName, Definitions)>, Failure> {
    let identity = context.identity().map_err(|error| Failure::new(&error, None))?;
    let all = settings::definitions(&*context.host.store, &context.paths, &identity, &context.choice())
        .map_err(|error| Failure::new(&error, error.hint()))?;
    let warnings = all.iter().flat_map(|(_, definitions)| &definitions.warnings);
    warnings.for_each(warn);
    Ok(all)
}

impl Shown {
    fn of(id: &str, feature: &Feature, suggested: Option<bool>, definitions: &Definitions) -> Self {
        let of_it = definitions
            .transfers
            .iter()
            .filter(|(_, transfer)| transfer.named_features().any(|name| name == id));
        Self {
            id: id.to_owned(),
            description: feature.description.clone(),
            documentation: (!feature.documentation.is_empty()).then(|| feature.documentation.clone()),
            appstream: feature.appstream.clone(),
            enabled: feature.enabled,
            suggested,
            transfers: of_it.map(|(_, transfer)| transfer.id.clone()).collect(),
        }
    }

    fn text(&self) -> String {
        let yes_no = |value: bool| if value { "yes" } else { "no" };
        let documentation = self.documentation.clone().unwrap_or_default();
        let rows = [
            ("Name", self.id.clone()),
            ("Enabled", yes_no(self.enabled).to_owned()),
            ("Suggested", self.suggested.map_or("error (Invalid argument)", yes_no).to_owned()),
            ("Description", self.description.clone().unwrap_or_default()),
            ("Documentation", documentation.join(" ")),
            ("AppStream", self.appstream.clone().unwrap_or_default()),
            ("Transfers", self.transfers.join(" ")),
        ];
        let rows: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        rows.iter().map(|(name, value)| format!("{name:>width$}: {value}\n")).collect()
    }
}

fn table(rows: &[Shown], no_legend: bool) -> String {
    let tick = |value: Option<bool>| match value {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "-",
    };
    let width = rows.iter().map(|row| row.id.chars().count()).max().unwrap_or(0).max("FEATURE".len());
    let description = |row: &Shown| row.description.clone().unwrap_or_else(|| "-".to_owned());
    let wide = rows.iter().map(|row| description(row).chars().count()).max().unwrap_or(0);
    let wide = wide.max("DESCRIPTION".len());
    let mut text = String::new();
    if !no_legend {
        text.push_str(&format!(
            "ENABLED SUGGESTED {:<width$} {:<wide$} DOCUMENTATION\n",
            "FEATURE", "DESCRIPTION"
        ));
    }
    for row in rows {
        let documentation = row.documentation.as_ref().and_then(|urls| urls.first());
        text.push_str(&format!(
            "{:<7} {:<9} {:<width$} {:<wide$} {}\n",
            tick(Some(row.enabled)),
            tick(row.suggested),
            row.id,
            description(row),
            documentation.map_or("-", String::as_str),
        ));
    }
    if !no_legend {
        text.push_str(&format!("\n{} features listed.\n", rows.len()));
    }
    text
}
