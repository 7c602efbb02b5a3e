//! `enable-component` and `disable-component`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sysext_manifests::feature::Kind;

use super::components::Metadata;
use super::scope::ChosenBy;
use super::switch::{Changes, Switch, Switched};
use super::{Context, Status, fail_component};
use crate::failure::Failure;
use crate::settings::{self, ComponentName, ComponentsWith, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Components to enable or disable
    components: Vec<String>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, switch: Switch) -> Result<Status, Failure> {
        let verb = switch.verb(Kind::Component);
        context.options.scope.refuse_definitions(verb)?;
        let named = self.named(&context)?;
        let _lock = context.lock(verb)?;
        let existing: BTreeSet<String> =
            settings::names(&*context.host.store, &context.paths, ComponentsWith::Directory)?
                .into_iter()
                .filter_map(|name| match name {
                    ComponentName::Default => None,
                    ComponentName::Named(name) => Some(name),
                })
                .collect();
        let mut ended = Status::Success;
        let chosen: Vec<String> = match context.options.scope.components() {
            ChosenBy::Name => match named.iter().find(|name| !existing.contains(*name)) {
                None => named,
                Some(name) => {
                    let error = format!("Component not found: {name}");
                    return Err(Failure {
                        error,
                        hint: Some("`sysupdate components` lists them".to_owned()),
                    });
                }
            },
            ChosenBy::All => existing.into_iter().collect(),
            ChosenBy::Suggestion => {
                let (suggested, all_well) = suggested(&context, switch, existing)?;
                if !all_well {
                    ended = Status::Failure;
                }
                suggested
            }
        };
        let mut changes = Changes::default();
        if chosen.is_empty() {
            context.inform("No components selected.");
            changes.print(&context)?;
            return Ok(ended);
        }
        let directory = |name: &str| -> PathBuf {
            context.paths.definitions[0].join(format!("sysupdate.{name}.component.d"))
        };
        let directories: Vec<PathBuf> = chosen.iter().map(|name| directory(name)).collect();
        context.host.reach_beneath(&context.paths, &directories.iter().cloned().collect())?;
        for (name, directory) in chosen.iter().zip(&directories) {
            match switch.write(&context, Switched::Component { component: name.clone() }, directory) {
                Some(change) => changes.changes.push(change),
                None => ended = Status::Failure,
            }
        }
        changes.print(&context)?;
        Ok(ended)
    }

    /// The components that are named, as arguments or with `--component=`.
    fn named(&self, context: &Context) -> Result<Vec<String>, Failure> {
        let failure = |error: String| Err(Failure { error, hint: None });
        let scope = &context.options.scope;
        let named = match (self.components.is_empty(), scope.component(), scope.components()) {
            (true, Some(name), _) => vec![name.to_owned()],
            (true, None, ChosenBy::Name) => return failure("No component specified.".to_owned()),
            (true, None, ChosenBy::All | ChosenBy::Suggestion) => Vec::new(),
            (false, None, ChosenBy::Name) => self.components.clone(),
            (false, ..) => {
                return failure(
                    "Either specify component names as positional parameter or via \
                     --component=/--component-all/--component-suggested, not both."
                        .to_owned(),
                );
            }
        };
        match named.iter().find(|name| !valid_name(name)) {
            Some(name) => failure(format!("Component name invalid: {name}")),
            None => Ok(named),
        }
    }
}

/// The components that are suggested for this host, and whether all suggestions could be decided.
fn suggested(
    context: &Context,
    switch: Switch,
    existing: BTreeSet<String>,
) -> Result<(Vec<String>, bool), Failure> {
    let metadata = Metadata::new(context)?;
    let mut suggested = Vec::new();
    let mut all_well = true;
    for name in existing {
        match metadata.of(context, &name) {
            Ok((_, Some(true))) => {
                context.inform(format_args!("{} '{name}'.", switch.doing()));
                suggested.push(name);
            }
            // If it could not be decided, that was reported.
            Ok((_, Some(false) | None)) => {}
            Err(failure) => {
                fail_component(&ComponentName::Named(name), &failure);
                all_well = false;
            }
        }
    }
    Ok((suggested, all_well))
}
