//! Which components a command works on, and which components exist.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::definitions::is_definition;
use super::{ComponentName, SettingsError, valid_name};
use crate::host::store::{EntryKind, Store};
use crate::paths::Paths;

/// The components that a command works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The component in `sysupdate.d`.
    Default,
    /// The component in `sysupdate.NAME.d`.
    Component(String),
    /// Every component.
    All,
    /// The definitions in this directory, as the default component.
    Definitions(PathBuf),
}

/// What a directory must contain to count as a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentsWith {
    /// Transfer definitions, so that there is something to update.
    Definitions,
    /// Nothing: the directory of a named component is enough. The default component still needs definitions.
    Directory,
}

impl Chosen {
    /// The chosen components with the directories of their definitions, highest priority first.
    pub(super) fn directories(
        &self,
        store: &dyn Store,
        paths: &Paths,
        with: ComponentsWith,
    ) -> Result<Vec<(ComponentName, Vec<PathBuf>)>, SettingsError> {
        let names = match self {
            Self::Definitions(directory) => {
                return Ok(vec![(ComponentName::Default, vec![directory.clone()])]);
            }
            Self::Default => vec![ComponentName::Default],
            Self::Component(name) if valid_name(name) => vec![ComponentName::Named(name.clone())],
            Self::Component(name) => return Err(SettingsError::Name { name: name.clone() }),
            Self::All => names(store, paths, with)?,
        };
        let directories = |name: ComponentName| {
            let directories = name.directories(paths);
            (name, directories)
        };
        Ok(names.into_iter().map(directories).collect())
    }
}

/// The names of all components, sorted.
pub fn names(
    store: &dyn Store,
    paths: &Paths,
    with: ComponentsWith,
) -> Result<Vec<ComponentName>, SettingsError> {
    let mut names = BTreeSet::new();
    for directory in &paths.definitions {
        for entry in store.list(directory)? {
            let Some(middle) = entry.name.strip_prefix("sysupdate.").and_then(|rest| rest.strip_suffix('d'))
            else {
                continue;
            };
            let name = match middle.strip_suffix('.') {
                None => ComponentName::Default,
                Some(name) if valid_name(name) => ComponentName::Named(name.to_owned()),
                Some(_) => continue,
            };
            let path = directory.join(&entry.name);
            if with == ComponentsWith::Directory
                && entry.kind == EntryKind::Directory
                && matches!(name, ComponentName::Named(_))
            {
                names.insert(name);
                continue;
            }
            let files = store.list(&path)?;
            if files.iter().any(|file| is_definition(&file.name)) {
                names.insert(name);
            }
        }
    }
    Ok(names.into_iter().collect())
}
