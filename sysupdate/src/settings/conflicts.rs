//! Transfers that write the same files, or that match each other's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysext_manifests::digest::Sha256;
use sysext_manifests::pattern::{Captures, PartitionUuid};
use sysext_manifests::version::Version;

use super::{ComponentName, Loaded, SettingsError};

mod installed;

use installed::Installed;

/// Makes components fail that write the same files, and adds warnings to components that match files of others.
pub(super) fn check(mut loaded: Loaded) -> Loaded {
    reject_common_targets(&mut loaded);
    warn_of_common_files(&mut loaded);
    loaded
}

/// The transfers that write one path: each by its component and its name.
type Writers = Vec<(ComponentName, String)>;

/// Makes components fail that have a target or a link in common: in every run, each would undo the changes of
/// the other.
fn reject_common_targets(loaded: &mut Loaded) {
    let mut writers: BTreeMap<PathBuf, Writers> = BTreeMap::new();
    for (name, component) in loaded.iter() {
        for transfer in component.iter().flat_map(|component| &component.transfers) {
            let target = &transfer.target;
            let link = target.current_symlink.as_ref().map(PathBuf::from);
            let files = Path::new(&target.path).join(target.patterns.first().as_str());
            for written in link.into_iter().chain([files]) {
                // Collecting the components removes `//` and `/./`.
                let written = written.components().collect();
                writers.entry(written).or_default().push((name.clone(), transfer.id.clone()));
            }
        }
    }
    let mut first: BTreeMap<ComponentName, (&PathBuf, &Writers)> = BTreeMap::new();
    for (path, writers) in writers.iter().filter(|(_, writers)| writers.len() > 1) {
        for (component, _) in writers {
            first.entry(component.clone()).or_insert((path, writers));
        }
    }
    for (name, component) in loaded.iter_mut() {
        let conflict = first.get(name).copied();
        if let (Some((path, writers)), Ok(_)) = (conflict, &component) {
            let transfers = writers.iter().map(|(component, transfer)| format!("{component}/{transfer}"));
            let transfers = transfers.collect();
            *component = Err(SettingsError::Conflict { path: path.clone(), transfers });
        }
    }
}

/// Warns of transfers that match the files that another one installs into the same directory: they count these
/// files and remove them as old versions, as systemd-sysupdate does. One example name is enough, since the names
/// of other versions only differ in the version.
fn warn_of_common_files(loaded: &mut Loaded) {
    let Some(example) = sample() else { return };
    let installed = Installed::examples(loaded, &example);
    for (name, component) in loaded.iter_mut() {
        let Ok(component) = component else { continue };
        for transfer in &component.transfers {
            let matched = installed.matched_by(transfer);
            let matched =
                matched.filter(|file| (&file.component, &file.transfer.id) != (&*name, &transfer.id));
            component.warnings.extend(matched.map(|file| {
                format!(
                    "{name}/{} also matches files that {}/{} installs into {}, such as {}, and may remove \
                     them as old versions; set another Path= or a MatchPattern= that only matches its own files",
                    transfer.id, file.component, file.transfer.id, file.transfer.target.path, file.name
                )
            }));
        }
    }
}

/// An instance with a value for every wildcard.
fn sample() -> Option<Captures> {
    let version: Version = "1".parse().ok()?;
    Some(Captures {
        partition_uuid: Some(PartitionUuid(0)),
        partition_flags: Some(0),
        no_auto: Some(false),
        grow_file_system: Some(false),
        read_only: Some(false),
        mtime: Some(0),
        mode: Some(0o644),
        size: Some(0),
        tries_done: Some(0),
        tries_left: Some(0),
        sha256: Some(Sha256::of(b"")),
        ..Captures::of(version)
    })
}
