//! What a verb works with: the machine, its paths and the options of the command line.

use std::collections::BTreeMap;

use serde::Serialize;
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Transfer;

use super::output::{self, Json, fail_component, warn};
use super::{Options, Verbosity};
use crate::failure::Failure;
use crate::host::Host;
use crate::host::lock::Lock;
use crate::host::transport::without_secrets;
use crate::node::identity::{self, IdentityError};
use crate::paths::Paths;
use crate::plan::{Goal, Survey, Wanted};
use crate::repository::Memory;
use crate::settings::{
    self, Chosen, Component, ComponentName, ComponentsWith, DisabledTransfer, Loaded, OnDisabled,
};
use crate::sources::Discovery;
use crate::targets::unclaimed;

/// What a verb works with.
pub(super) struct Context {
    pub(super) host: Host,
    pub(super) paths: Paths,
    pub(super) options: Options,
}

/// The chosen components and their state.
pub(super) struct Surveyed {
    pub(super) components: BTreeMap<ComponentName, Component>,
    pub(super) survey: Survey,
    /// Whether nothing failed.
    pub(super) all_well: bool,
}

impl Context {
    pub(super) fn identity(&self) -> Result<Identity, IdentityError> {
        identity::identify(&*self.host.store, &self.paths)
    }

    /// The chosen components. The options of the command line override their definitions.
    pub(super) fn components(&self, identity: &Identity, on_disabled: OnDisabled) -> Result<Loaded, Failure> {
        let chosen = self.options.scope.chosen();
        let mut components = settings::load(&*self.host.store, &self.paths, identity, &chosen, on_disabled)?;
        let loaded = components.iter_mut().filter_map(|(_, component)| component.as_mut().ok());
        for transfer in loaded.flat_map(|component| &mut component.transfers) {
            transfer.verify = self.options.verify.unwrap_or(transfer.verify);
            let target = &mut transfer.target;
            target.instances_max = self.options.instances_max.unwrap_or(target.instances_max);
        }
        if self.options.verbosity() == Verbosity::Verbose {
            describe(&components);
        }
        Ok(components)
    }

    /// Refuses a number of versions that is too small for a verb, in systemd-sysupdate's words.
    pub(super) fn check_instances_max(&self, least: u64, doing: &str) -> Result<(), Failure> {
        match self.options.instances_max {
            Some(number) if number < least => Err(Failure {
                error: format!("The --instances-max= argument must be >= {least} while {doing}"),
                hint: None,
            }),
            _ => Ok(()),
        }
    }

    /// Takes the lock that every verb needs which changes something.
    pub(super) fn lock(&self, verb: &str) -> Result<Lock, Failure> {
        let path = self.host.store.resolve(&self.paths.lock)?;
        Lock::take(&path, verb, self.host.clock.now()).map_err(Failure::from)
    }

    /// Surveys every chosen component and its sources, changing nothing. Failures are reported.
    pub(super) fn survey(&self, wanted: &Wanted) -> Result<Surveyed, Failure> {
        self.warn_of_unclaimed()?;
        let identity = self.identity()?;
        let mut discovery = Discovery::new(&self.host, &self.paths, &identity, Memory::Leave);
        let mut components = BTreeMap::new();
        let mut all_well = true;
        for (name, component) in self.components(&identity, OnDisabled::Warn)? {
            match component {
                Ok(component) => {
                    component.warnings.iter().for_each(warn);
                    components.insert(name, component);
                }
                Err(error) => {
                    fail_component(&name, &Failure::from(error));
                    all_well = false;
                }
            }
        }
        let discovery = (!self.options.stock.offline).then_some(&mut discovery);
        let surveyed = crate::update::survey(
            &self.host,
            &self.paths,
            &identity,
            components.values(),
            discovery,
            Goal::Update,
            wanted,
        );
        surveyed.warnings.iter().for_each(|(_, warning)| warn(warning));
        surveyed.failures.iter().for_each(|(name, failure)| fail_component(name, failure));
        all_well &= surveyed.failures.is_empty();
        Ok(Surveyed { components, survey: surveyed.survey, all_well })
    }

    /// Warns of components that are still installed and have no definitions any more: all of them, or the one that
    /// was chosen. Says so where there are no components at all.
    pub(super) fn warn_of_unclaimed(&self) -> Result<(), Failure> {
        let store = &*self.host.store;
        let chosen = self.options.scope.chosen();
        for unclaimed in unclaimed::find(store, &self.paths)? {
            let unclaimed = match unclaimed {
                Ok(unclaimed) => unclaimed,
                // It does not concern the chosen components.
                Err(failure) => {
                    warn(failure.error);
                    continue;
                }
            };
            let is_chosen = match &chosen {
                Chosen::All => true,
                Chosen::Component(name) => unclaimed.component == ComponentName::Named(name.clone()),
                Chosen::Default | Chosen::Definitions(_) => false,
            };
            if is_chosen {
                warn(unclaimed);
            }
        }
        if chosen == Chosen::All
            && settings::names(store, &self.paths, ComponentsWith::Definitions)?.is_empty()
        {
            self.inform(
                "No components defined: there are no transfer definitions in /etc/sysupdate.d, /etc/sysupdate.*.d \
                 or the same directories of /run, /usr/local/lib and /usr/lib.",
            );
        }
        Ok(())
    }

    /// Whether results are printed as text.
    pub(super) fn is_text(&self) -> bool {
        self.options.json == Json::Off
    }

    /// Prints a result as JSON if it is wanted, else as text.
    pub(super) fn print<T: Serialize>(
        &self,
        result: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        output::print(self.options.json, result, text)
    }

    /// Writes a line about what happens to standard error.
    pub(super) fn inform(&self, text: impl std::fmt::Display) {
        if self.options.verbosity() != Verbosity::Quiet {
            output::say(text);
        }
    }
}

/// Reports the transfers of each component.
fn describe(components: &Loaded) {
    for (name, component) in components.iter().filter_map(|(name, each)| Some((name, each.as_ref().ok()?))) {
        for Transfer { id, source, target, .. } in &component.transfers {
            let from = without_secrets(&source.path);
            output::say(format_args!("{name}: transfer {id}: {} {from} to {}", source.kind, target.path));
        }
        for DisabledTransfer { transfer, reason } in &component.disabled {
            output::say(format_args!("{name}: transfer {} is disabled: {reason}", transfer.id));
        }
    }
}
