//! `enable-component` and `disable-component`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sysext_manifests::feature::Kind;

use super::components::Metadata;
use super::scope::Select;
use super::switch::Turn;
use super::{Context, Ended, complain, say};
use crate::failure::Failure;
use crate::settings::{self, ComponentName, ComponentsWith, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The components
    components: Vec<String>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, turn: Turn) -> Result<Ended, Failure> {
        let verb = turn.verb(Kind::Component);
        context.global.scope.refuse_definitions(verb)?;
        let named = self.named(&context)?;
        let _lock = context.lock(verb)?;
        let there: BTreeSet<String> =
            settings::names(&*context.host.store, &context.paths, ComponentsWith::Directory)?
                .into_iter()
                .filter_map(|name| match name {
                    ComponentName::Default => None,
                    ComponentName::Named(name) => Some(name),
                })
                .collect();
        let mut ended = Ended::Well;
        let chosen: Vec<String> = match context.global.scope.components() {
            Select::Named => match named.iter().find(|name| !there.contains(*name)) {
                None => named,
                Some(name) => {
                    let error = format!("Component not found: {name}");
                    return Err(Failure { error, hint: Some("see `sysupdate components`".to_owned()) });
                }
            },
            Select::All => there.into_iter().collect(),
            Select::Suggested => {
                let (suggested, all_well) = suggested(&context, turn, there)?;
                if !all_well {
                    ended = Ended::No;
                }
                suggested
            }
        };
        if chosen.is_empty() {
            say(format_args!("No components selected."));
            return Ok(ended);
        }
        let directory = |name: &str| -> PathBuf {
            context.paths.definitions[0].join(format!("sysupdate.{name}.component.d"))
        };
        let directories: Vec<PathBuf> = chosen.iter().map(|name| directory(name)).collect();
        context.host.reach_beneath(&context.paths, &directories.iter().cloned().collect())?;
        for (name, directory) in chosen.iter().zip(&directories) {
            if !turn.write(&context, Kind::Component, name, directory) {
                ended = Ended::No;
            }
        }
        Ok(ended)
    }

    /// The components that are named, in either way.
    fn named(&self, context: &Context) -> Result<Vec<String>, Failure> {
        let failure = |error: String| Err(Failure { error, hint: None });
        let scope = &context.global.scope;
        let named = match (self.components.is_empty(), scope.component(), scope.components()) {
            (true, Some(name), _) => vec![name.to_owned()],
            (true, None, Select::Named) => return failure("No component specified.".to_owned()),
            (true, None, Select::All | Select::Suggested) => Vec::new(),
            (false, None, Select::Named) => self.components.clone(),
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

/// The components that suit this host, and whether that could be told of all.
fn suggested(context: &Context, turn: Turn, there: BTreeSet<String>) -> Result<(Vec<String>, bool), Failure> {
    let metadata = Metadata::new(context)?;
    let mut suggested = Vec::new();
    let mut all_well = true;
    for name in there {
        match metadata.of(context, &name) {
            Ok((_, Some(true))) => {
                say(format_args!("{} '{name}'.", turn.doing()));
                suggested.push(name);
            }
            // Where nobody knows, that was told.
            Ok((_, Some(false) | None)) => {}
            Err(failure) => {
                complain(&ComponentName::Named(name), &failure);
                all_well = false;
            }
        }
    }
    Ok((suggested, all_well))
}
