//! Files that were installed for a component without definitions: these were removed since, and no other command
//! knows the files any more.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Location;
use crate::failure::Failure;
use crate::host::store::{EntryKind, Store};
use crate::merge;
use crate::paths::Paths;
use crate::settings::{self, ComponentName, ComponentsWith, valid_name};
use crate::state::{Recalled, Record};

/// What is still installed for a component without definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unclaimed {
    /// The component.
    pub component: ComponentName,
    /// The links in the extension directories that lead to its files.
    pub links: Vec<PathBuf>,
    /// Its files.
    pub files: Vec<Location>,
}

impl fmt::Display for Unclaimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let component = &self.component;
        write!(
            f,
            "{component} is still installed, but it has no transfer definitions any more; `sysupdate remove \
             {component}` removes it"
        )
    }
}

impl Unclaimed {
    /// The names that its extensions have in the merged set.
    pub(crate) fn extensions(&self) -> Vec<String> {
        let links = self.links.iter().filter_map(|link| merge::extension_name(link)).map(str::to_owned);
        let mut names: Vec<String> = links.chain([self.component.to_string()]).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The components without definitions whose files are still installed, and the failures to find out.
pub(crate) fn find(store: &dyn Store, paths: &Paths) -> Result<Vec<Result<Unclaimed, Failure>>, Failure> {
    let defined = settings::names(store, paths, ComponentsWith::Definitions)?;
    let mut found = Vec::new();
    for entry in store.list(&paths.component_state)? {
        let Some(name) = entry.name.strip_suffix(".json").filter(|name| valid_name(name)) else { continue };
        let component = ComponentName::Named(name.to_owned());
        if !defined.contains(&component) {
            found.extend(installed(store, paths, component).transpose());
        }
    }
    Ok(found)
}

/// What is installed for a component according to its record.
pub(crate) fn installed(
    store: &dyn Store,
    paths: &Paths,
    component: ComponentName,
) -> Result<Option<Unclaimed>, Failure> {
    let record = match Record::recall(store, &component.record(paths))? {
        Recalled::Record(record) => record,
        Recalled::Unreadable(unreadable) => {
            return Err(Failure { error: unreadable.to_string(), hint: None });
        }
    };
    let recorded = record.installed.iter().flat_map(|version| &version.files);
    let mut files: Vec<PathBuf> = recorded.map(|file| paths.below_root(&file.path)).collect();
    files.sort();
    files.dedup();
    let mut existing = Vec::new();
    for file in files {
        if store.attributes(&file)?.is_some() {
            existing.push(file);
        }
    }
    let mut links = Vec::new();
    for directory in &paths.extensions {
        for entry in store.list(directory)? {
            let link = directory.join(&entry.name);
            if matches!(entry.kind, EntryKind::Link(_)) && leads_to(store, &link, &existing)? {
                links.push(link);
            }
        }
    }
    let files: Vec<Location> = existing.into_iter().map(Location::File).collect();
    Ok((!files.is_empty()).then_some(Unclaimed { component, links, files }))
}

/// Whether a link leads to one of these files.
fn leads_to(store: &dyn Store, link: &Path, files: &[PathBuf]) -> Result<bool, Failure> {
    let target = store.resolve(link)?;
    for file in files {
        if store.resolve(file)? == target {
            return Ok(true);
        }
    }
    Ok(false)
}
