//! `components`: lists the components and whether they are enabled.

use serde::Serialize;
use sysext_manifests::feature::Feature;

use super::table::{Table, tick};
use super::{Context, Status, fail_component, warn};
use crate::failure::Failure;
use crate::settings::{self, ComponentName, ComponentsWith};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// The components as systemd-sysupdate shows them.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct ComponentList {
    default: bool,
    components: Vec<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let scope = &context.options.scope;
        scope.refuse_definitions("components")?;
        let names = settings::names(&*context.host.store, &context.paths, ComponentsWith::Directory)?;
        let mut listing = ComponentList { default: false, components: Vec::new() };
        for name in names {
            match name {
                // As systemd-sysupdate does: the default component is not shown if another one is named.
                ComponentName::Default => listing.default = scope.component().is_none(),
                ComponentName::Named(name) => listing.components.push(name),
            }
        }
        if !context.is_text() {
            context.print(&listing, String::new)?;
            return Ok(Status::Success);
        }
        if !listing.default && listing.components.is_empty() {
            context.inform("No components defined.");
            return Ok(Status::Success);
        }
        let (table, ended) = table(context, &listing)?;
        context.print(&listing, || table.text(context.options.no_legend))?;
        Ok(ended)
    }
}

fn table(context: &Context, listing: &ComponentList) -> Result<(Table, Status), Failure> {
    let metadata = Metadata::new(context)?;
    let mut table = Table::of(["ENABLED", "SUGGESTED", "COMPONENT", "DESCRIPTION", "DOCUMENTATION"]);
    let mut ended = Status::Success;
    if listing.default {
        let [name, what] = ["<default>", "Default Component"].map(|text| Some(text.to_owned()));
        table.row([None, None, name, what, None]);
    }
    for name in &listing.components {
        match metadata.of(context, name) {
            Ok((component, suggested)) => table.row([
                tick(Some(component.enabled)),
                tick(suggested),
                Some(name.clone()),
                component.description,
                (!component.documentation.is_empty()).then(|| component.documentation.join(" ")),
            ]),
            Err(failure) => {
                fail_component(&ComponentName::Named(name.clone()), &failure);
                ended = Status::Failure;
            }
        }
    }
    Ok((table, ended))
}

/// Reads the metadata of components.
pub(super) struct Metadata {
    identity: sysext_manifests::specifier::Identity,
    facts: sysext_manifests::condition::Facts,
}

impl Metadata {
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let identity = context.identity()?;
        let facts = crate::node::facts::gather(&*context.host.store, &context.paths, &identity);
        Ok(Self { identity, facts })
    }

    /// The metadata of a component, and whether it is suggested for this host if that can be decided. Warnings
    /// are reported.
    pub(super) fn of(&self, context: &Context, name: &str) -> Result<(Feature, Option<bool>), Failure> {
        let (component, warnings) =
            settings::component_metadata(&*context.host.store, &context.paths, &self.identity, name)?;
        warnings.iter().for_each(warn);
        let suggested = component.is_suggested(&self.facts);
        if let Err(error) = &suggested {
            warn(format_args!("{name}: {error}"));
        }
        Ok((component, suggested.ok()))
    }
}
