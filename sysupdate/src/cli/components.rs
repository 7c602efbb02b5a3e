//! `components`: which components have definitions.

use serde::Serialize;

use super::{Context, Ended, say};
use crate::report::Failure;
use crate::settings::{self, ComponentName};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// The components as systemd-sysupdate shows them.
#[derive(Serialize)]
struct Listing {
    default: bool,
    components: Vec<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        let names = settings::names(&*context.host.store, &context.paths)
            .map_err(|error| Failure::new(&error, error.hint()))?;
        let listing = Listing {
            default: names.contains(&ComponentName::Default),
            components: names
                .into_iter()
                .filter_map(|name| match name {
                    ComponentName::Default => None,
                    ComponentName::Named(name) => Some(name),
                })
                .collect(),
        };
        if !listing.default && listing.components.is_empty() && context.is_text() {
            say(format_args!("No components defined."));
            return Ok(Ended::Well);
        }
        context.print(&listing, || {
            let default = if listing.default { "<default>\n" } else { "" };
            let named = listing.components.iter().map(|name| format!("{name}\n"));
            std::iter::once(default.to_owned()).chain(named).collect()
        })?;
        Ok(Ended::Well)
    }
}
