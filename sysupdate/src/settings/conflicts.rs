//! Transfers that get in each other's way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysext_manifests::digest::Sha256;
use sysext_manifests::pattern::{Captures, PartitionUuid};
use sysext_manifests::transfer::Transfer;
use sysext_manifests::version::Version;

use super::{ComponentName, Loaded, SettingsError};

/// Leaves out components that undo what another one does, and warns of transfers that take each other's files
/// for their own.
pub(super) fn settle(mut loaded: Loaded) -> Loaded {
    leave_out(&mut loaded);
    warn(&mut loaded);
    loaded
}

/// Leaves out components with a transfer that writes what another one writes as well: each would undo what
/// the other did, in every run.
fn leave_out(loaded: &mut Loaded) {
    let mut writers: BTreeMap<PathBuf, Vec<(ComponentName, String)>> = BTreeMap::new();
    for (name, component) in loaded.iter() {
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
    for (name, component) in loaded.iter_mut() {
        let rivals = writers
            .iter()
            .find(|(_, writers)| writers.len() > 1 && writers.iter().any(|(component, _)| component == name));
        if let (Some((path, writers)), Ok(_)) = (rivals, &component) {
            let transfers = writers.iter().map(|(component, transfer)| format!("{component}/{transfer}"));
            let transfers = transfers.collect();
            *component = Err(SettingsError::Rivals { path: path.clone(), transfers });
        }
    }
}

/// Warns of transfers that match what another one brings to the same directory: they count those files and
/// remove them to make room, as stock's do. What is tried is one name; of any other version it would differ in
/// that alone.
fn warn(loaded: &mut Loaded) {
    let transfers: Vec<(ComponentName, Transfer)> = loaded
        .iter()
        .filter_map(|(name, component)| Some((name, component.as_ref().ok()?)))
        .flat_map(|(name, component)| component.transfers.iter().map(|each| (name.clone(), each.clone())))
        .collect();
    for (name, component) in loaded.iter_mut() {
        let Ok(component) = component else { continue };
        for taker in &component.transfers {
            let others = transfers.iter().filter(|(other, each)| (other, &each.id) != (&*name, &taker.id));
            let taken = others.filter_map(|(other, each)| Some((other, each, taken(taker, each)?)));
            component.warnings.extend(taken.map(|(other, each, file)| {
                format!(
                    "{name}/{} takes what {other}/{} brings to {} for its own, as {file}, and may remove it to \
                     make room; give each its own Path= or a MatchPattern= that does not match the other's",
                    taker.id, each.id, each.target.path
                )
            }));
        }
    }
}

/// A file that one transfer brings and the other takes for its own.
fn taken(taker: &Transfer, other: &Transfer) -> Option<String> {
    let directory = |transfer: &Transfer| Path::new(&transfer.target.path).components().collect::<PathBuf>();
    let same = taker.target.kind == other.target.kind && directory(taker) == directory(other);
    let file = other.target.patterns.format(&sample()?).ok().filter(|_| same)?;
    taker.target.patterns.matches(&file).map(|_| file)
}

/// An instance, every property of which is known.
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
