//! `enable-feature` and `disable-feature`: a drop-in in `/etc`, where and as systemd-sysupdate writes it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sysext_manifests::feature::{ENABLED_FILE, Kind, enabled_text};

use super::{Context, Ended, features, say};
use crate::report::Failure;
use crate::settings::{ComponentName, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The features
    #[arg(required = true)]
    features: Vec<String>,
}

/// Which way a feature is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    On,
    Off,
}

impl Turn {
    const fn verb(self) -> &'static str {
        match self {
            Self::On => "enable-feature",
            Self::Off => "disable-feature",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::On => "enabled",
            Self::Off => "disabled",
        }
    }
}

impl Args {
    pub(super) fn run(self, mut context: Context, turn: Turn) -> Result<Ended, Failure> {
        let failure = |error: String| Failure { error, hint: None };
        if context.global.definitions.is_some() {
            let verb = turn.verb();
            return Err(failure(format!("The --definitions= switch may not be combined with '{verb}'.")));
        }
        if let Some(name) = self.features.iter().find(|name| !valid_name(name)) {
            return Err(failure(format!("Feature name invalid: {name}")));
        }
        let _lock = context.lock(turn.verb())?;
        let components = features::all(&context)?;
        let directories: BTreeSet<PathBuf> =
            components.iter().map(|(name, _)| configuration(&context, name)).collect();
        context.host.reach_beneath(&context.paths, &directories)?;
        let mut ended = Ended::Well;
        for (component, definitions) in &components {
            for name in &self.features {
                if !definitions.features.contains_key(name) {
                    let shown = match component {
                        ComponentName::Default => "<default>",
                        ComponentName::Named(name) => name,
                    };
                    say(format_args!("error: Optional feature not found in component '{shown}': {name}"));
                    ended = Ended::No;
                    continue;
                }
                let directory = configuration(&context, component).join(format!("{name}.feature.d"));
                let text = enabled_text(Kind::Feature, turn.verb(), turn == Turn::On);
                let store = &*context.host.store;
                let written = store
                    .make_directory(&directory)
                    .and_then(|()| store.save(&directory.join(ENABLED_FILE), text.as_bytes()));
                match written {
                    Ok(()) => say(format_args!("Feature '{name}' {}.", turn.done())),
                    Err(error) => {
                        say(format_args!("error: Failed to write drop-in for feature '{name}': {error}"));
                        ended = Ended::No;
                    }
                }
            }
        }
        Ok(ended)
    }
}

/// Where the operator configures a component: `/etc` is the strongest of the directories.
fn configuration(context: &Context, component: &ComponentName) -> PathBuf {
    context.paths.definitions[0].join(component.directory())
}
