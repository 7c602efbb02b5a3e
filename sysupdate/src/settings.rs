//! What the operator wants: definitions, read from where systemd-sysupdate reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use sysext_manifests::feature::{Feature, Kind};
use sysext_manifests::ini::IniError;
use sysext_manifests::repository::{Repository, RepositoryError};
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::{Transfer, TransferError};

use crate::host::store::{EntryKind, Store};
use crate::paths::Paths;

mod executed;

/// More than any definition has, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// The name of a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentName {
    /// The one in `sysupdate.d`, which usually is the operating system.
    Default,
    /// The one in `sysupdate.NAME.d`.
    Named(String),
}

/// A directory of transfers with one version space.
#[derive(Debug)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// Its enabled transfers, in the order of their file names.
    pub transfers: Vec<Transfer>,
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

/// Why definitions are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A component without definitions.
    #[error("no transfer definitions for {component} in {}", list(.searched))]
    NoDefinitions {
        /// The component.
        component: ComponentName,
        /// Where was looked.
        searched: Vec<PathBuf>,
    },
    /// A name that is none.
    #[error("component name {name:?} is not valid")]
    Name {
        /// The name.
        name: String,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not text.
    #[error("{}: byte {offset} is not UTF-8", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// A file does not say what it must.
    #[error("{}: {source}", directory.display())]
    Transfer {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong, with file, line and key.
        source: Box<TransferError>,
    },
    /// Several transfers write one thing.
    #[error("{} is what {} write", path.display(), transfers.join(" and "))]
    Rivals {
        /// The link, or the directory with the pattern.
        path: PathBuf,
        /// The transfers, each behind its component.
        transfers: Vec<String>,
    },
    /// A feature or component file is damaged.
    #[error("{}: {source}", directory.display())]
    Feature {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong, with file and line.
        source: IniError,
    },
    /// The operator switched it off.
    #[error("Component is disabled: {component}")]
    Disabled {
        /// The component.
        component: ComponentName,
    },
    /// Transfers ask for what this version cannot do.
    #[error("{}", not_executed(.refused))]
    NotExecuted {
        /// Each file and what it asks for.
        refused: Vec<(String, Vec<String>)>,
    },
    /// A repository that a transfer names is not described.
    #[error("{}: no such file, but a transfer says Repository={id}", path.display())]
    NoRepository {
        /// The repository.
        id: String,
        /// Where it would be described.
        path: PathBuf,
    },
    /// A repository file is not usable.
    #[error("{}: {source}", directory.display())]
    Repository {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong.
        source: RepositoryError,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn not_executed(refused: &[(String, Vec<String>)]) -> String {
    let each = refused
        .iter()
        .map(|(file, what)| format!("{file}: this version does not execute {}", what.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

impl SettingsError {
    /// What the operator can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDefinitions { component: ComponentName::Default, .. } => Some(
                "name a component with --component=, or take all of them with --component-all".to_owned(),
            ),
            Self::NoDefinitions { .. } => {
                Some("put the publisher's .transfer file into one of them".to_owned())
            }
            Self::NoRepository { id, .. } => {
                Some(format!("put the publisher's {id}.toml there: it holds the URL and the keys"))
            }
            Self::Rivals { .. } => {
                Some("keep one of them, or give each its own CurrentSymlink= and Path=".to_owned())
            }
            Self::Transfer { source, .. } => source.hint(),
            Self::Feature { source, .. } => source.hint(),
            Self::Disabled { component: ComponentName::Named(name) } => {
                Some(format!("say Enabled=yes in /etc/sysupdate.{name}.component.d/*.conf"))
            }
            Self::NotExecuted { .. } => {
                Some("leave these transfers to systemd-sysupdate, in a component of their own".to_owned())
            }
            _ => None,
        }
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default component"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Serialize for ComponentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::Named(name) => serializer.serialize_str(name),
        }
    }
}

impl Component {
    /// The directories its files and links are written to.
    pub fn directories(&self, paths: &Paths) -> BTreeSet<PathBuf> {
        let targets =
            self.transfers.iter().map(|transfer| paths.below_root(Path::new(&transfer.target.path)));
        let links = self.transfers.iter().filter_map(|transfer| {
            let link = Path::new(transfer.target.current_symlink.as_ref()?);
            Some(paths.below_root(link.parent()?))
        });
        targets.chain(links).collect()
    }
}

impl ComponentName {
    /// The name of its directories.
    pub fn directory(&self) -> String {
        match self {
            Self::Default => "sysupdate.d".to_owned(),
            Self::Named(name) => format!("sysupdate.{name}.d"),
        }
    }

    /// Where its definitions are looked for, strongest first.
    fn directories(&self, paths: &Paths) -> Vec<PathBuf> {
        paths.definitions.iter().map(|path| path.join(self.directory())).collect()
    }

    /// Where its record lies.
    pub fn record(&self, paths: &Paths) -> PathBuf {
        match self {
            Self::Default => paths.state.join("default.json"),
            Self::Named(name) => paths.component_state.join(format!("{name}.json")),
        }
    }
}

/// Components that were read, each by itself.
pub type Loaded = Vec<(ComponentName, Result<Component, SettingsError>)>;

/// Reads the chosen components. Each may fail by itself.
pub fn load(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    choice: &Choice,
) -> Result<Loaded, SettingsError> {
    let names = match choice {
        Choice::Default => vec![ComponentName::Default],
        Choice::Component(name) if valid_name(name) => vec![ComponentName::Named(name.clone())],
        Choice::Component(name) => return Err(SettingsError::Name { name: name.clone() }),
        Choice::All => names(store, paths)?,
        Choice::Definitions(directory) => {
            let component = read(store, identity, ComponentName::Default, vec![directory.clone()]);
            return Ok(without_rivals(vec![(ComponentName::Default, component)]));
        }
    };
    let mut loaded = Vec::new();
    for name in names {
        let component = is_enabled(store, paths, identity, &name).and_then(|switch| match switch {
            Switch::On => read(store, identity, name.clone(), name.directories(paths)).map(Some),
            Switch::Off if *choice == Choice::All => Ok(None),
            Switch::Off => Err(SettingsError::Disabled { component: name.clone() }),
        });
        if let Some(component) = component.transpose() {
            loaded.push((name, component));
        }
    }
    Ok(without_rivals(loaded))
}

/// Whether a component takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

/// Looks into a component's metadata file; without one it is enabled.
fn is_enabled(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    name: &ComponentName,
) -> Result<Switch, SettingsError> {
    let ComponentName::Named(name) = name else { return Ok(Switch::On) };
    let file = format!("sysupdate.{name}.component");
    let found = strongest(store, &paths.definitions, ".component")?.remove(&file);
    let (feature, _) = described(store, identity, Kind::Component, &file, found, &paths.definitions)?;
    Ok(if feature.enabled { Switch::On } else { Switch::Off })
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

/// Leaves out components with a transfer that writes what another one writes as well: each would undo what
/// the other did, in every run.
fn without_rivals(mut loaded: Loaded) -> Loaded {
    let mut writers: BTreeMap<PathBuf, Vec<(ComponentName, String)>> = BTreeMap::new();
    for (name, component) in &loaded {
        for transfer in component.iter().flat_map(|component| &component.transfers) {
            let target = &transfer.target;
            let link = target.current_symlink.as_ref().map(PathBuf::from);
            let files = Path::new(&target.path).join(target.patterns.first().as_str());
            for written in link.into_iter().chain([files]) {
                // Collected, `//` and `/./` are gone.
                let written = written.components().collect();
                writers.entry(written).or_default().push((name.clone(), transfer.id.clone()));
            }
        }
    }
    for (name, component) in &mut loaded {
        let rivals = writers
            .iter()
            .find(|(_, writers)| writers.len() > 1 && writers.iter().any(|(component, _)| component == name));
        if let (Some((path, writers)), Ok(_)) = (rivals, &component) {
            let transfers = writers.iter().map(|(component, transfer)| format!("{component}/{transfer}"));
            let transfers = transfers.collect();
            *component = Err(SettingsError::Rivals { path: path.clone(), transfers });
        }
    }
    loaded
}

/// Every component that has a directory with something in it.
pub fn names(store: &dyn Store, paths: &Paths) -> Result<Vec<ComponentName>, SettingsError> {
    let mut names = BTreeSet::new();
    for directory in &paths.definitions {
        let entries = store
            .list(directory)
            .map_err(|source| SettingsError::Read { path: directory.clone(), source })?;
        for entry in entries {
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
            let inside = store.list(&path).map_err(|source| SettingsError::Read { path, source })?;
            if inside.iter().any(|entry| has_ending(&entry.name, ENDINGS)) {
                names.insert(name);
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// A safe part of a file name, and no metadata file's.
pub(crate) fn valid_name(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_graphic() && c != '/';
    !name.is_empty() && name.chars().all(safe) && !name.starts_with('.') && !name.ends_with(".component")
}

/// The endings of definitions: today's, and the one before systemd 257.
const ENDINGS: &[&str] = &[".transfer", ".conf"];

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
}

impl Definitions {
    /// Whether a transfer takes part: with one of its features, and with all it requires. A feature that no
    /// file describes is disabled.
    fn takes_part(&self, transfer: &Transfer) -> bool {
        let enabled = |name: &String| self.features.get(name).is_some_and(|feature| feature.enabled);
        (transfer.features.is_empty() || transfer.features.iter().any(enabled))
            && transfer.requisite_features.iter().all(enabled)
    }
}

/// What the directories of the chosen components say, disabled components included.
pub fn definitions(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    choice: &Choice,
) -> Result<Vec<(ComponentName, Definitions)>, SettingsError> {
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
            names(store, paths)?.into_iter().map(|name| (name.clone(), name.directories(paths))).collect()
        }
    };
    chosen
        .into_iter()
        .map(|(name, directories)| {
            let definitions = defined(store, identity, &name, directories)?;
            Ok((name, definitions))
        })
        .collect()
}

/// Reads one component from its directories, strongest first.
fn read(
    store: &dyn Store,
    identity: &Identity,
    name: ComponentName,
    directories: Vec<PathBuf>,
) -> Result<Component, SettingsError> {
    let definitions = defined(store, identity, &name, directories)?;
    let mut warnings = definitions.warnings.clone();
    let mut transfers = Vec::new();
    let mut refused = Vec::new();
    for (file, transfer) in definitions.transfers.iter().filter(|(_, each)| definitions.takes_part(each)) {
        let keys = executed::not_acted_on(transfer);
        warnings.extend(keys.iter().map(|key| format!("{file}: {key}= is not acted on by this version")));
        match executed::refused(transfer) {
            what if what.is_empty() => transfers.push(transfer.clone()),
            what => refused.push((file.clone(), what)),
        }
    }
    if !refused.is_empty() {
        return Err(SettingsError::NotExecuted { refused });
    }
    Ok(Component { name, transfers, warnings })
}

fn defined(
    store: &dyn Store,
    identity: &Identity,
    name: &ComponentName,
    directories: Vec<PathBuf>,
) -> Result<Definitions, SettingsError> {
    let mut warnings = Vec::new();
    let mut files = strongest(store, &directories, ".transfer")?;
    if files.is_empty() {
        files = strongest(store, &directories, ".conf")?;
        if !files.is_empty() {
            warnings.push(format!(
                "{name} has only .conf files; rename them to .transfer (systemd 257 or later)"
            ));
        }
    }
    if files.is_empty() {
        return Err(SettingsError::NoDefinitions { component: name.clone(), searched: directories });
    }
    let mut transfers = Vec::new();
    for (file, path) in files {
        let Some(text) = unmasked(store, &path)? else { continue };
        let drop_ins = drop_ins(store, &directories, &file)?;
        let drop_ins: Vec<_> = drop_ins.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let parsed = Transfer::parse(&file, &text, &drop_ins, identity).map_err(|source| {
            let directory = path.parent().unwrap_or(&path).to_owned();
            SettingsError::Transfer { directory, source: Box::new(source) }
        })?;
        warnings.extend(parsed.warnings.iter().map(ToString::to_string));
        transfers.push((file, parsed.transfer));
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
    Ok(Definitions { features, transfers, warnings })
}

/// The files with an ending, each name from the strongest directory that has it, sorted by name.
fn strongest(
    store: &dyn Store,
    directories: &[PathBuf],
    ending: &str,
) -> Result<BTreeMap<String, PathBuf>, SettingsError> {
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = store
            .list(directory)
            .map_err(|source| SettingsError::Read { path: directory.clone(), source })?;
        for entry in entries {
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
    let failed = |source| SettingsError::Read { path: path.to_owned(), source };
    if store.read_link(path).map_err(failed)?.is_some_and(|target| target == Path::new("/dev/null")) {
        return Ok(None);
    }
    let Some(bytes) = store.read(path, SIZE_LIMIT).map_err(failed)? else { return Ok(None) };
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
