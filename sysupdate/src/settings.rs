//! What the operator wants: definitions, read from the directories that systemd-sysupdate reads.

use sysext_manifests::specifier::Identity;

use crate::host::store::Store;
use crate::paths::Paths;

mod chosen;
mod component;
mod conflicts;
mod definitions;
mod disabled;
mod error;
mod name;
mod support;
#[cfg(test)]
mod tests;

pub use chosen::{Chosen, ComponentsWith, names};
pub use component::Component;
pub(crate) use definitions::read_unless_masked;
pub use definitions::{Definitions, component_metadata};
pub use disabled::{DisabledBy, DisabledTransfer, OnDisabled};
pub use error::SettingsError;
pub use name::ComponentName;
pub(crate) use name::valid_name;

/// Components that were read. Each has a result of its own.
pub type Loaded = Vec<(ComponentName, Result<Component, SettingsError>)>;

/// Reads the chosen components. One that fails does not stop the others.
pub fn load(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    chosen: &Chosen,
    on_disabled: OnDisabled,
) -> Result<Loaded, SettingsError> {
    let mut loaded = Vec::new();
    for (name, directories) in chosen.directories(store, paths, ComponentsWith::Definitions)? {
        let read = || Component::read(store, identity, name.clone(), directories);
        let enabled = match chosen {
            Chosen::Definitions(_) => Ok(true),
            Chosen::Default | Chosen::Component(_) | Chosen::All => {
                definitions::is_enabled(store, paths, identity, &name)
            }
        };
        let component = match (enabled, chosen, on_disabled) {
            (Err(error), ..) => Err(error),
            // Among several components, one without an enabled transfer is not an error.
            (Ok(true), Chosen::All, _) => read(),
            (Ok(true), ..) | (Ok(false), _, OnDisabled::Allow) => {
                read().and_then(|component| component.require_enabled(on_disabled))
            }
            (Ok(false), Chosen::All, _) => continue,
            (Ok(false), _, OnDisabled::Fail) => Err(SettingsError::Disabled { component: name.clone() }),
            (Ok(false), _, OnDisabled::Warn) => {
                read().and_then(|component| component.require_enabled(on_disabled)).map(|mut component| {
                    let warning = format!("component {name} is disabled: `sysupdate update` skips it");
                    component.warnings.push(warning);
                    component
                })
            }
        };
        loaded.push((name, component));
    }
    Ok(conflicts::check(loaded))
}

/// The definitions of components. Each has a result of its own.
pub type AllDefinitions = Vec<(ComponentName, Result<Definitions, SettingsError>)>;

/// Reads the definitions of the chosen components, also of disabled ones and of those without transfers.
pub fn definitions(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    chosen: &Chosen,
) -> Result<AllDefinitions, SettingsError> {
    let chosen = chosen.directories(store, paths, ComponentsWith::Directory)?;
    let read = |(name, directories)| {
        let definitions = Definitions::read(store, identity, &name, directories);
        (name, definitions)
    };
    Ok(chosen.into_iter().map(read).collect())
}
