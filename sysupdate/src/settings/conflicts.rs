//! Transfers that write the same files, or that match each other's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysext_manifests::digest::Sha256;
use sysext_manifests::pattern::{Captures, PartitionUuid};
use sysext_manifests::transfer::Transfer;
use sysext_manifests::version::Version;

use super::{ComponentName, Loaded, SettingsError};

/// Makes components fail that write the same files, and adds warnings to components that match files of others.
pub(super) fn check(mut loaded: Loaded) -> Loaded {
    reject_common_targets(&mut loaded);
    warn_of_common_files(&mut loaded);
    loaded
}

/// Makes components fail that have a target or a link in common: in every run, each would undo the changes of
/// the other.
fn reject_common_targets(loaded: &mut Loaded) {
    let mut writers: BTreeMap<PathBuf, Vec<(ComponentName, String)>> = BTreeMap::new();
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
    for (name, component) in loaded.iter_mut() {
        let conflict = writers
            .iter()
            .find(|(_, writers)| writers.len() > 1 && writers.iter().any(|(component, _)| component == name));
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
    let transfers: Vec<(ComponentName, Transfer)> = loaded
        .iter()
        .filter_map(|(name, component)| Some((name, component.as_ref().ok()?)))
        .flat_map(|(name, component)| component.transfers.iter().map(|each| (name.clone(), each.clone())))
        .collect();
    for (name, component) in loaded.iter_mut() {
        let Ok(component) = component else { continue };
        for transfer in &component.transfers {
            let others = transfers.iter().filter(|(other, each)| (other, &each.id) != (&*name, &transfer.id));
            let matched = others.filter_map(|(other, each)| Some((other, each, matched(transfer, each)?)));
            component.warnings.extend(matched.map(|(other, each, file)| {
                format!(
                    "{name}/{} also matches files that {other}/{} installs into {}, such as {file}, and may remove \
                     them as old versions; set another Path= or a MatchPattern= that only matches its own files",
                    transfer.id, each.id, each.target.path
                )
            }));
        }
    }
}

/// A file of another transfer that a transfer matches.
fn matched(transfer: &Transfer, other: &Transfer) -> Option<String> {
    let directory = |transfer: &Transfer| Path::new(&transfer.target.path).components().collect::<PathBuf>();
    let same = transfer.target.kind == other.target.kind && directory(transfer) == directory(other);
    let file = other.target.patterns.format(&sample()?).ok().filter(|_| same)?;
    transfer.target.patterns.matches(&file).map(|_| file)
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
