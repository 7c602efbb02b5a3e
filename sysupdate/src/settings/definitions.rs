//! The definition files of a component: transfers, features and metadata, with their drop-ins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysext_manifests::feature::{Feature, Kind};
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Transfer;

use super::{ComponentName, DisabledBy, SettingsError};
use crate::host::store::{EntryKind, Store};
use crate::paths::Paths;

/// The size limit of a definition file, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// The suffix of transfer definitions.
const TRANSFER: &str = ".transfer";

/// The suffixes of transfer definitions. systemd before 257 used the second one, which only counts where no
/// file has the first one.
const SUFFIXES: &[&str] = &[TRANSFER, ".conf"];

/// The suffix of features.
const FEATURE: &str = ".feature";

/// The suffix of a component's metadata.
const COMPONENT: &str = ".component";

/// The definitions of a component, enabled or not.
#[derive(Debug)]
pub struct Definitions {
    /// Its features by name.
    pub features: BTreeMap<String, Feature>,
    /// Its transfers, each with the path of its file, sorted by file name.
    pub transfers: Vec<(PathBuf, Transfer)>,
    /// Problems in its files that do not stop an update.
    pub warnings: Vec<String>,
    /// The directories that were searched.
    searched: Vec<PathBuf>,
}

impl Definitions {
    /// Reads the definitions in some directories, highest priority first.
    pub(super) fn read(
        store: &dyn Store,
        identity: &Identity,
        name: &ComponentName,
        directories: Vec<PathBuf>,
    ) -> Result<Self, SettingsError> {
        let mut warnings = Vec::new();
        let mut transfers = Vec::new();
        for suffix in SUFFIXES {
            for (file, path) in highest_priority(store, &directories, suffix)? {
                let Some(text) = read_unless_masked(store, &path)? else { continue };
                let drop_ins = drop_ins(store, &directories, &file)?;
                let drop_ins: Vec<_> =
                    drop_ins.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                // Messages name the whole path.
                let parsed = Transfer::parse(&path.display().to_string(), &text, &drop_ins, identity)
                    .map_err(|source| SettingsError::Transfer { source: Box::new(source) })?;
                warnings.extend(parsed.warnings.iter().map(ToString::to_string));
                let id = file.strip_suffix(suffix).unwrap_or(&file).to_owned();
                transfers.push((path, Transfer { id, ..parsed.transfer }));
            }
            if !transfers.is_empty() {
                if *suffix != TRANSFER {
                    warnings.push(format!(
                        "{name} has only {suffix} files; rename them to {TRANSFER} (systemd 257 or later)"
                    ));
                }
                break;
            }
        }
        let mut features = BTreeMap::new();
        for (file, path) in highest_priority(store, &directories, FEATURE)? {
            if read_unless_masked(store, &path)?.is_none() {
                continue;
            }
            let (feature, odd) =
                with_drop_ins(store, identity, Kind::Feature, &file, Some(&path), &directories)?;
            warnings.extend(odd);
            features.insert(file.trim_end_matches(FEATURE).to_owned(), feature);
        }
        Ok(Self { features, transfers, warnings, searched: directories })
    }

    /// Fails if there is no transfer, neither enabled nor disabled.
    pub fn require_transfers(self, component: &ComponentName) -> Result<Self, SettingsError> {
        match self.transfers.is_empty() {
            false => Ok(self),
            true => {
                Err(SettingsError::NoDefinitions { component: component.clone(), searched: self.searched })
            }
        }
    }

    /// Why a transfer is disabled: it needs at least one of `Features=` and all of `RequisiteFeatures=`. A
    /// feature without a file is disabled.
    pub(super) fn disabled_by(&self, transfer: &Transfer) -> Option<DisabledBy> {
        let enabled = |name: &&String| self.features.get(*name).is_some_and(|feature| feature.enabled);
        if !transfer.features.is_empty() && !transfer.features.iter().any(|name| enabled(&name)) {
            return Some(DisabledBy::Features { features: transfer.features.clone() });
        }
        let required = transfer.requisite_features.iter().filter(|name| !enabled(name));
        let features: Vec<String> = required.cloned().collect();
        (!features.is_empty()).then_some(DisabledBy::RequisiteFeatures { features })
    }
}

/// Whether a component is enabled. One without a metadata file is.
pub(super) fn is_enabled(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    name: &ComponentName,
) -> Result<bool, SettingsError> {
    let ComponentName::Named(name) = name else { return Ok(true) };
    let (component, _) = component_metadata(store, paths, identity, name)?;
    Ok(component.enabled)
}

/// Reads a component's metadata file and its drop-ins, and returns the warnings about them.
pub fn component_metadata(
    store: &dyn Store,
    paths: &Paths,
    identity: &Identity,
    name: &str,
) -> Result<(Feature, Vec<String>), SettingsError> {
    let file = format!("sysupdate.{name}{COMPONENT}");
    let path = highest_priority(store, &paths.definitions, COMPONENT)?.remove(&file);
    with_drop_ins(store, identity, Kind::Component, &file, path.as_deref(), &paths.definitions)
}

/// Reads a feature or component file with its drop-ins. There may be drop-ins without a file.
fn with_drop_ins(
    store: &dyn Store,
    identity: &Identity,
    kind: Kind,
    file: &str,
    path: Option<&Path>,
    directories: &[PathBuf],
) -> Result<(Feature, Vec<String>), SettingsError> {
    let mut files = Vec::new();
    if let Some(path) = path
        && let Some(text) = read_unless_masked(store, path)?
    {
        files.push((path.display().to_string(), text));
    }
    files.extend(drop_ins(store, directories, file)?);
    let texts: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (feature, warnings) =
        Feature::parse(kind, &texts, identity).map_err(|source| SettingsError::Feature { source })?;
    Ok((feature, warnings.iter().map(ToString::to_string).collect()))
}

/// The paths and texts of a file's drop-ins, in the order in which they apply.
fn drop_ins(
    store: &dyn Store,
    directories: &[PathBuf],
    file: &str,
) -> Result<Vec<(String, String)>, SettingsError> {
    let directories: Vec<_> =
        directories.iter().map(|directory| directory.join(format!("{file}.d"))).collect();
    let mut drop_ins = Vec::new();
    for path in highest_priority(store, &directories, ".conf")?.into_values() {
        if let Some(text) = read_unless_masked(store, &path)? {
            drop_ins.push((path.display().to_string(), text));
        }
    }
    Ok(drop_ins)
}

/// Whether a file is a transfer definition.
pub(super) fn is_definition(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| has_suffix(name, suffix))
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

/// The files with a suffix, sorted by name. Of several files of one name the directory with the highest
/// priority decides.
fn highest_priority(
    store: &dyn Store,
    directories: &[PathBuf],
    suffix: &str,
) -> Result<BTreeMap<String, PathBuf>, SettingsError> {
    let mut files = BTreeMap::new();
    for directory in directories {
        for entry in store.list(directory)? {
            let readable = matches!(entry.kind, EntryKind::File(_) | EntryKind::Link(_));
            if readable && has_suffix(&entry.name, suffix) {
                files.entry(entry.name.clone()).or_insert_with(|| directory.join(&entry.name));
            }
        }
    }
    Ok(files)
}

/// The text of a file, or `None` where it is missing or masked by an empty file or a link to `/dev/null`.
pub(crate) fn read_unless_masked(store: &dyn Store, path: &Path) -> Result<Option<String>, SettingsError> {
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
