//! `enable-feature` and `disable-feature`.

use std::path::PathBuf;

use sysext_manifests::condition::Facts;
use sysext_manifests::feature::Kind;

use super::scope::ChosenBy;
use super::switch::{Changes, Switch, Switched};
use super::{Context, Status, fail, fail_component, features};
use crate::failure::Failure;
use crate::node::facts;
use crate::settings::{ComponentName, Definitions, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Features to enable or disable
    features: Vec<String>,
}

impl Args {
    pub(super) fn run(self, mut context: Context, switch: Switch) -> Result<Status, Failure> {
        let verb = switch.verb(Kind::Feature);
        let failure = |error: String| Failure { error, hint: None };
        context.options.scope.refuse_definitions(verb)?;
        if self.features.is_empty() == (context.options.scope.features() == ChosenBy::Name) {
            let error = "Either specify features as positional parameter or via \
                         --feature-all/--feature-suggested, not both.";
            return Err(failure(error.to_owned()));
        }
        if let Some(name) = self.features.iter().find(|name| !valid_name(name)) {
            return Err(failure(format!("Feature name invalid: {name}")));
        }
        let _lock = context.lock(verb)?;
        let identity = context.identity()?;
        let components = features::all(&context)?;
        let directories = components.iter().map(|(name, _)| configuration(&context, name)).collect();
        context.host.reach_beneath(&context.paths, &directories)?;
        let facts = facts::gather(&*context.host.store, &context.paths, &identity);
        let (mut ended, mut changes) = (Status::Success, Changes::default());
        for (component, definitions) in &components {
            let definitions = match definitions {
                Ok(definitions) => definitions,
                Err(error) => {
                    fail_component(component, &Failure::from(error));
                    ended = Status::Failure;
                    continue;
                }
            };
            let (chosen, all_well) = self.chosen(&context, switch, component, definitions, &facts);
            if !all_well {
                ended = Status::Failure;
            }
            for name in chosen {
                let directory = configuration(&context, component).join(format!("{name}.feature.d"));
                let shown = shown(component);
                if !definitions.features.contains_key(name) {
                    let error = format!("Optional feature not found in component '{shown}': {name}");
                    fail(&failure(error));
                    ended = Status::Failure;
                    continue;
                }
                let feature = Switched::Feature { component: component.clone(), feature: name.to_owned() };
                match switch.write(&context, feature, &directory) {
                    Some(change) => changes.changes.push(change),
                    None => ended = Status::Failure,
                }
            }
        }
        changes.print(&context)?;
        Ok(ended)
    }

    /// The chosen features of a component, and whether all suggestions could be decided.
    fn chosen<'a>(
        &'a self,
        context: &Context,
        switch: Switch,
        component: &ComponentName,
        definitions: &'a Definitions,
        facts: &Facts,
    ) -> (Vec<&'a str>, bool) {
        match context.options.scope.features() {
            ChosenBy::Name => return (self.features.iter().map(String::as_str).collect(), true),
            ChosenBy::All => return (definitions.features.keys().map(String::as_str).collect(), true),
            ChosenBy::Suggestion => {}
        }
        let (mut chosen, mut all_well) = (Vec::new(), true);
        for (name, feature) in &definitions.features {
            let shown = shown(component);
            match feature.is_suggested(facts) {
                Ok(true) => {
                    context
                        .inform(format_args!("{} feature '{name}' of component '{shown}'.", switch.doing()));
                    chosen.push(name.as_str());
                }
                Ok(false) => {}
                Err(error) => {
                    let what = format!("feature '{name}' of component '{shown}'");
                    let error = format!("Failed to determine if {what} is suggested: {error}");
                    fail(&Failure { error, hint: None });
                    all_well = false;
                }
            }
        }
        (chosen, all_well)
    }
}

/// A component's name as systemd-sysupdate prints it.
fn shown(component: &ComponentName) -> &str {
    match component {
        ComponentName::Default => "<default>",
        ComponentName::Named(name) => name,
    }
}

/// The directory in `/etc` for a component's configuration; it has the highest priority.
fn configuration(context: &Context, component: &ComponentName) -> PathBuf {
    context.paths.definitions[0].join(component.directory())
}
