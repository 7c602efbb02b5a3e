//! `features`: lists the optional features of a component.

use serde::Serialize;
use sysext_manifests::feature::Feature;

use super::table::{Side, Table, tick};
use super::{Context, Status, warn};
use crate::failure::Failure;
use crate::node::facts;
use crate::settings::{self, AllDefinitions, Definitions};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Feature to show in full
    feature: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct FeatureList {
    features: Vec<String>,
}

/// A feature as systemd-sysupdate 262 shows it, without unset fields.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct FeatureDetails {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<Vec<String>>,
    #[serde(rename = "appStream", skip_serializing_if = "Option::is_none")]
    appstream: Option<String>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transfers: Vec<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let definitions = one(context)?;
        let identity = context.identity()?;
        let facts = facts::gather(&*context.host.store, &context.paths, &identity);
        let show = |id: &str, feature: &Feature| {
            let suggested = feature.is_suggested(&facts);
            if let Err(error) = &suggested {
                warn(format_args!("{id}: {error}"));
            }
            FeatureDetails::of(id, feature, suggested.ok(), &definitions)
        };
        if let Some(id) = &self.feature {
            let Some(feature) = definitions.features.get(id) else {
                return Err(Failure { error: format!("Optional feature not found: {id}"), hint: None });
            };
            let details = show(id, feature);
            context.print(&details, || details.text(context.options.no_legend))?;
            return Ok(Status::Success);
        }
        let listing = FeatureList { features: definitions.features.keys().cloned().collect() };
        if !context.is_text() {
            context.print(&listing, String::new)?;
            return Ok(Status::Success);
        }
        let no_legend = context.options.no_legend;
        let mut table = Table::of(["ENABLED", "SUGGESTED", "FEATURE", "DESCRIPTION", "DOCUMENTATION"]);
        for (id, feature) in &definitions.features {
            table.row(show(id, feature).cells());
        }
        context.print(&listing, || match table.is_empty() {
            _ if no_legend => table.text(true),
            true => table.text(false),
            false => format!("{}\n{} features listed.\n", table.text(false), listing.features.len()),
        })?;
        if table.is_empty() && !no_legend {
            context.inform("No features.");
        }
        Ok(Status::Success)
    }
}

/// The definitions of the chosen component.
fn one(context: &Context) -> Result<Definitions, Failure> {
    let Some((name, definitions)) = all(context)?.pop() else {
        return Err(Failure { error: "Component not found".to_owned(), hint: None });
    };
    Ok(definitions?.require_transfers(&name)?)
}

/// The definitions of the chosen components. Warnings about them are reported.
pub(super) fn all(context: &Context) -> Result<AllDefinitions, Failure> {
    let identity = context.identity()?;
    let chosen = context.options.scope.chosen();
    let all = settings::definitions(&*context.host.store, &context.paths, &identity, &chosen)?;
    let definitions = all.iter().filter_map(|(_, definitions)| definitions.as_ref().ok());
    definitions.flat_map(|definitions| &definitions.warnings).for_each(warn);
    Ok(all)
}

impl FeatureDetails {
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

    /// Its row in a table of features.
    fn cells(self) -> [Option<String>; 5] {
        let documentation = self.documentation.map(|urls| urls.join(" "));
        [tick(Some(self.enabled)), tick(self.suggested), Some(self.id), self.description, documentation]
    }

    /// A line for each field that is set.
    fn text(&self, no_legend: bool) -> String {
        let yes_no = |value: bool| if value { "yes" } else { "no" };
        let rows = [
            ("Name", Some(self.id.clone())),
            ("Enabled", Some(yes_no(self.enabled).to_owned())),
            ("Suggested", Some(self.suggested.map_or("error (Invalid argument)", yes_no).to_owned())),
            ("Description", self.description.clone()),
            ("Documentation", self.documentation.as_ref().map(|urls| urls.join(" "))),
            ("AppStream", self.appstream.clone()),
            ("Transfers", (!self.transfers.is_empty()).then(|| self.transfers.join(" "))),
        ];
        let mut table = Table::new([("KEY", Side::Right), ("VALUE", Side::Left)]);
        for (key, value) in rows.into_iter().filter(|(_, value)| value.is_some()) {
            table.row([Some(format!("{key}:")), value]);
        }
        table.text(no_legend)
    }
}
