//! What the operator wants: definitions, read from where systemd-sysupdate reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sysext_manifests::feature::{Feature, Kind};
use sysext_manifests::repository::Repository;
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Transfer;

use crate::host::store::{EntryKind, Store};
use crate::paths::Paths;

mod conflicts;
mod disabled;
mod error;
mod name;
mod support;

pub use disabled::{FeaturesOff, Idle};
pub use error::SettingsError;
pub use name::ComponentName;
pub(crate) use name::valid_name;

/// More than any definition has, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// A directory of transfers with one version space.
#[derive(Debug)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// Its enabled transfers, in the order of their file names.
    pub transfers: Vec<Transfer>,
    /// Its transfers that take no part, in the same order.
    pub idle: Vec<Idle>,
    /// What was odd about its files.
    pub warnings: Vec<String>,
}

/// Which components are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one in `sysupdate.d`.
    Default,
    /// The one in `sysupdate.NAME.d`.
    Component(String),
    /// All there are.
    All,
    /// The one in this directory instead.
    Definitions(PathBuf),
}

impl Component {
    /// The directories its files and links are written to.
    pub fn directories(&self, paths: &Paths) -> BTreeSet<PathBuf> {
        let idle = self.idle.iter().map(|idle| &idle.transfer);
        let transfers = self.transfers.iter().chain(idle);
        let targets = transfers.clone().map(|transfer| paths.below_root(Path::new(&transfer.target.path)));
        let links = transfers.filter_map(|transfer| {
            let link = Path::new(transfer.target.current_symlink.as_ref()?);
            Some(paths.below_root(link.parent()?))
        });
        targets.chain(links).collect()
    }

    /// This one, if any of its transfers takes part, or none needs to.
    fn if_used(self, disabled: Disabled) -> Result<Self, SettingsError> {
        match (self.transfers.is_empty(), disabled) {
            (false, _) | (true, Disabled::Tidy) => Ok(self),
            (true, Disabled::Refuse | Disabled::Show) => {
                Err(SettingsError::NoneEnabled { component: self.name })
            }
        }
    }
}

/// What happens to a disabled component that is named. One of several is always left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// It is an error: nothing may be brought to it.
    Refuse,
    /// It is shown as any other, with a warning.
    Show,
    /// It is tidied as any other, and so is one whose features are all off.
    Tidy,
}

/// What makes a component one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Having {
    /// Definitions: there is something to update.
    Definitions,
    /// A directory of its own, whatever is in it. The default component needs definitions all the same.
    Directory,
}

/// Components that were read, each by itself.
pub type Loaded = Vec<(ComponentName, Result<Component, SettingsError>)>;

/// Reads the chosen components. Each may fail by itself.
pub fn load(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    choice: &Choice,
    disabled: Disabled,
) -> Result<Loaded, SettingsError> {
    let names = match choice {
        Choice::Default => vec![ComponentName::Default],
        Choice::Component(name) if valid_name(name) => vec![ComponentName::Named(name.clone())],
        Choice::Component(name) => return Err(SettingsError::Name { name: name.clone() }),
        Choice::All => names(store, paths, Having::Definitions)?,
        Choice::Definitions(directory) => {
            let component = read(store, identity, ComponentName::Default, vec![directory.clone()])
                .and_then(|component| component.if_used(disabled));
            return Ok(conflicts::settle(vec![(ComponentName::Default, component)]));
        }
    };
    let mut loaded = Vec::new();
    for name in names {
        let read = || read(store, identity, name.clone(), name.directories(paths));
        let used = || read().and_then(|component| component.if_used(disabled));
        let component = switch(store, paths, identity, &name).and_then(|switch| match switch {
            // Of several components one may well have nothing to do.
            Switch::On if *choice == Choice::All => read().map(Some),
            Switch::On => used().map(Some),
            Switch::Off if disabled == Disabled::Tidy => used().map(Some),
            Switch::Off if *choice == Choice::All => Ok(None),
            Switch::Off if disabled == Disabled::Refuse => {
                Err(SettingsError::Disabled { component: name.clone() })
            }
            Switch::Off => {
                let mut component = used()?;
                component
                    .warnings
                    .push(format!("{name} is disabled: `sysupdate update` does nothing with it"));
                Ok(Some(component))
            }
        });
        if let Some(component) = component.transpose() {
            loaded.push((name, component));
        }
    }
    Ok(conflicts::settle(loaded))
}

/// Whether a component takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

/// Looks into a component's metadata file; without one it is enabled.
fn switch(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    name: &ComponentName,
) -> Result<Switch, SettingsError> {
    let ComponentName::Named(name) = name else { return Ok(Switch::On) };
    let (component, _) = metadata(store, paths, identity, name)?;
    Ok(if component.enabled { Switch::On } else { Switch::Off })
}

/// What is said of a component, by its metadata file and the drop-ins of that, and what is odd about these.
pub fn metadata(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    name: &str,
) -> Result<(Feature, Vec<String>), SettingsError> {
    let file = format!("sysupdate.{name}.component");
    let found = strongest(store, &paths.definitions, ".component")?.remove(&file);
    described(store, identity, Kind::Component, &file, found, &paths.definitions)
}

/// Reads a feature or component file with its drop-ins, which may also be all there is.
fn described(
    store: &dyn Store,
    identity: &Identity,
    kind: Kind,
    file: &str,
    path: Option<PathBuf>,
    directories: &[PathBuf],
) -> Result<(Feature, Vec<String>), SettingsError> {
    let mut files = Vec::new();
    if let Some(path) = &path
        && let Some(text) = unmasked(store, path)?
    {
        files.push((file.to_owned(), text));
    }
    files.extend(drop_ins(store, directories, file)?);
    let texts: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (feature, warnings) = Feature::parse(kind, &texts, identity).map_err(|source| {
        let directory = path.as_deref().and_then(Path::parent).or(directories.first().map(PathBuf::as_path));
        SettingsError::Feature { directory: directory.unwrap_or(Path::new("/")).to_owned(), source }
    })?;
    Ok((feature, warnings.iter().map(ToString::to_string).collect()))
}

/// The drop-ins of a file, by name and text, in the order in which they apply.
fn drop_ins(
    store: &dyn Store,
    directories: &[PathBuf],
    file: &str,
) -> Result<Vec<(String, String)>, SettingsError> {
    let directories: Vec<_> =
        directories.iter().map(|directory| directory.join(format!("{file}.d"))).collect();
    let mut found = Vec::new();
    for (drop_in, path) in strongest(store, &directories, ".conf")? {
        if let Some(text) = unmasked(store, &path)? {
            found.push((format!("{file}.d/{drop_in}"), text));
        }
    }
    Ok(found)
}

/// Every component there is.
pub fn names(store: &dyn Store, paths: &Paths, having: Having) -> Result<Vec<ComponentName>, SettingsError> {
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
            if having == Having::Directory
                && entry.kind == EntryKind::Directory
                && matches!(name, ComponentName::Named(_))
            {
                names.insert(name);
                continue;
            }
            let inside = store.list(&path)?;
            if inside.iter().any(|entry| has_ending(&entry.name, ENDINGS)) {
                names.insert(name);
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// The ending of definitions.
const TRANSFER: &str = ".transfer";

/// The endings of definitions: today's, and the one before systemd 257, which only counts where no file has
/// today's.
const ENDINGS: &[&str] = &[TRANSFER, ".conf"];

fn has_ending(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// All that a component's directories say, whether it takes part or not.
#[derive(Debug)]
pub struct Definitions {
    /// Its features by name.
    pub features: BTreeMap<String, Feature>,
    /// Its transfers, each with its file's name, in the order of these.
    pub transfers: Vec<(String, Transfer)>,
    /// What was odd about its files.
    pub warnings: Vec<String>,
    /// Where was looked.
    searched: Vec<PathBuf>,
}

impl Definitions {
    /// These, if there is any transfer, enabled or not.
    pub fn with_transfers(self, component: &ComponentName) -> Result<Self, SettingsError> {
        match self.transfers.is_empty() {
            false => Ok(self),
            true => {
                Err(SettingsError::NoDefinitions { component: component.clone(), searched: self.searched })
            }
        }
    }

    /// Why a transfer takes no part: it needs one of its features, and all it requires. A feature that no
    /// file describes is off.
    fn features_off(&self, transfer: &Transfer) -> Option<FeaturesOff> {
        let on = |name: &&String| self.features.get(*name).is_some_and(|feature| feature.enabled);
        if !transfer.features.is_empty() && !transfer.features.iter().any(|name| on(&name)) {
            return Some(FeaturesOff::NoneOn { features: transfer.features.clone() });
        }
        let required = transfer.requisite_features.iter().filter(|name| !on(name));
        let features: Vec<String> = required.cloned().collect();
        (!features.is_empty()).then_some(FeaturesOff::RequiredOff { features })
    }
}

/// The definitions of components, each by itself.
pub type Defined = Vec<(ComponentName, Result<Definitions, SettingsError>)>;

/// What the directories of the chosen components say, disabled components and such without transfers
/// included.
pub fn definitions(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    choice: &Choice,
) -> Result<Defined, SettingsError> {
    let chosen: Vec<(ComponentName, Vec<PathBuf>)> = match choice {
        Choice::Definitions(directory) => vec![(ComponentName::Default, vec![directory.clone()])],
        Choice::Default => vec![(ComponentName::Default, ComponentName::Default.directories(paths))],
        Choice::Component(name) if valid_name(name) => {
            let name = ComponentName::Named(name.clone());
            let directories = name.directories(paths);
            vec![(name, directories)]
        }
        Choice::Component(name) => return Err(SettingsError::Name { name: name.clone() }),
        Choice::All => {
            let names = names(store, paths, Having::Directory)?;
            names.into_iter().map(|name| (name.clone(), name.directories(paths))).collect()
        }
    };
    let defined = chosen.into_iter().map(|(name, directories)| {
        let definitions = defined(store, identity, &name, directories);
        (name, definitions)
    });
    Ok(defined.collect())
}

/// Reads one component from its directories, strongest first.
fn read(
    store: &dyn Store,
    identity: &Identity,
    name: ComponentName,
    directories: Vec<PathBuf>,
) -> Result<Component, SettingsError> {
    let definitions = defined(store, identity, &name, directories)?.with_transfers(&name)?;
    let mut warnings = definitions.warnings.clone();
    let (mut transfers, mut idle) = (Vec::new(), Vec::new());
    let mut refused = Vec::new();
    for (file, transfer) in &definitions.transfers {
        if let Some(because) = definitions.features_off(transfer) {
            match support::refused(transfer) {
                what if what.is_empty() => idle.push(Idle { transfer: transfer.clone(), because }),
                what => warnings.push(format!(
                    "{file}: {because}, and what it installed stays: this version does not execute {}",
                    what.join(", ")
                )),
            }
            continue;
        }
        let keys = support::not_acted_on(transfer);
        warnings.extend(keys.iter().map(|key| format!("{file}: {key}= is not acted on by this version")));
        match support::refused(transfer) {
            what if what.is_empty() => transfers.push(transfer.clone()),
            what => refused.push((file.clone(), what)),
        }
    }
    if !refused.is_empty() {
        return Err(SettingsError::NotExecuted { refused });
    }
    Ok(Component { name, transfers, idle, warnings })
}

fn defined(
    store: &dyn Store,
    identity: &Identity,
    name: &ComponentName,
    directories: Vec<PathBuf>,
) -> Result<Definitions, SettingsError> {
    let mut warnings = Vec::new();
    let mut transfers = Vec::new();
    for ending in ENDINGS {
        for (file, path) in strongest(store, &directories, ending)? {
            let Some(text) = unmasked(store, &path)? else { continue };
            let drop_ins = drop_ins(store, &directories, &file)?;
            let drop_ins: Vec<_> =
                drop_ins.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let parsed = Transfer::parse(&file, &text, &drop_ins, identity).map_err(|source| {
                let directory = path.parent().unwrap_or(&path).to_owned();
                SettingsError::Transfer { directory, source: Box::new(source) }
            })?;
            warnings.extend(parsed.warnings.iter().map(ToString::to_string));
            transfers.push((file, parsed.transfer));
        }
        if !transfers.is_empty() {
            if *ending != TRANSFER {
                warnings.push(format!(
                    "{name} has only {ending} files; rename them to {TRANSFER} (systemd 257 or later)"
                ));
            }
            break;
        }
    }
    let mut features = BTreeMap::new();
    for (file, path) in strongest(store, &directories, ".feature")? {
        if unmasked(store, &path)?.is_none() {
            continue;
        }
        let (feature, odd) = described(store, identity, Kind::Feature, &file, Some(path), &directories)?;
        warnings.extend(odd);
        features.insert(file.trim_end_matches(".feature").to_owned(), feature);
    }
    Ok(Definitions { features, transfers, warnings, searched: directories })
}

/// The files with an ending, each name from the strongest directory that has it, sorted by name.
fn strongest(
    store: &dyn Store,
    directories: &[PathBuf],
    ending: &str,
) -> Result<BTreeMap<String, PathBuf>, SettingsError> {
    let mut files = BTreeMap::new();
    for directory in directories {
        for entry in store.list(directory)? {
            let readable = matches!(entry.kind, EntryKind::File(_) | EntryKind::Link(_));
            if readable && has_ending(&entry.name, &[ending]) {
                files.entry(entry.name.clone()).or_insert_with(|| directory.join(&entry.name));
            }
        }
    }
    Ok(files)
}

/// A definition's text; nothing where it is masked by an empty file or a link to `/dev/null`.
fn unmasked(store: &dyn Store, path: &Path) -> Result<Option<String>, SettingsError> {
    if store.read_link(path)?.is_some_and(|target| target == Path::new("/dev/null")) {
        return Ok(None);
    }
    let Some(bytes) = store.read(path, SIZE_LIMIT)? else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|error| SettingsError::NotText {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok(Some(text))
}

/// Reads the description of a repository.
pub fn repository(store: &dyn Store, paths: &Paths, id: &str) -> Result<Repository, SettingsError> {
    let path = paths.repositories.join(format!("{id}.toml"));
    let missing = || SettingsError::NoRepository { id: id.to_owned(), path: path.clone() };
    if !valid_name(id) {
        return Err(missing());
    }
    let text = unmasked(store, &path)?.ok_or_else(missing)?;
    Repository::parse(id, &format!("{id}.toml"), &text)
        .map_err(|source| SettingsError::Repository { directory: paths.repositories.clone(), source })
}

#[cfg(test)]
mod tests;
