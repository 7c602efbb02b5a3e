//! The target system: its release, and its files at the paths that images contain.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use sysext_manifests::architecture::Architecture;
use sysext_manifests::extension_release::Scope;
use sysext_manifests::os_release::OsRelease;

use super::HostFiles;
use super::admit::{Examined, HostEntry, HostFacts};
use super::discover::FileIdentity;
use super::error::MergeError;
use super::examine::Access;
use super::quarantine::HostKind;
use crate::host::view::{FileMetadata, Kind, Tree as _, is_missing};
use crate::node::release::{self, Machine};

/// The target system, as far as the decision needs it.
pub(super) struct System {
    os_release: OsRelease,
    architecture: Architecture,
    pub(super) scope: Scope,
    /// Of the os-release file.
    pub(super) identity: FileIdentity,
}

impl System {
    pub(super) fn read(files: &HostFiles, root: &Path) -> Result<Self, MergeError> {
        let bad = |reason: String| MergeError::NoOsRelease { root: root.to_owned(), reason };
        let read = |path: &Path| {
            let path = match files.resolve(path) {
                Err(error) if is_missing(&error) => return Ok(None),
                other => other?,
            };
            let (tree, inside) = files.place_seen(&path)?;
            let text = String::from_utf8(tree.read(inside, release::SIZE_LIMIT)?);
            let text = text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok(Some((text, FileIdentity::of(&path, &tree.metadata(inside)?))))
        };
        let found = release::first(read).map_err(|error: io::Error| bad(error.to_string()))?;
        let (_, (text, identity)) =
            found.ok_or_else(|| bad("it exists neither in /etc nor in /usr/lib".into()))?;
        let (os_release, _) = OsRelease::parse(&text).map_err(|error| bad(error.to_string()))?;
        let Machine { architecture, .. } = release::machine()?;
        let initrd_release = Path::new("/etc/initrd-release");
        let scope = match files.resolve(initrd_release) {
            Ok(_) => Scope::Initrd,
            Err(error) if is_missing(&error) => Scope::System,
            Err(source) => return Err(MergeError::Look { path: initrd_release.to_owned(), source }),
        };
        Ok(Self { os_release, architecture, scope, identity })
    }

    pub(super) fn with_entries(self, entries: HashMap<PathBuf, HostEntry>) -> HostFacts {
        let Self { os_release, architecture, scope, identity: _ } = self;
        HostFacts { os_release, architecture, scope, entries }
    }
}

/// What the host has, without what is merged, where the images have something.
pub(super) fn look(
    files: &HostFiles,
    examined: &[Examined],
) -> Result<HashMap<PathBuf, HostEntry>, MergeError> {
    let mut entries = HashMap::new();
    let mut absent: BTreeSet<&Path> = BTreeSet::new();
    let contents = examined.iter().filter_map(|image| image.outcome.as_ref().ok());
    for entry in contents.flat_map(|content| &content.entries) {
        let path = entry.path.as_path();
        if entries.contains_key(path) || absent.contains(path) {
            continue;
        }
        // Where there is no directory, or a link to one, there is nothing below.
        let below_nothing = path.parent().is_some_and(|parent| {
            absent.contains(parent)
                || entries.get(parent).is_some_and(|entry: &HostEntry| entry.kind != HostKind::Directory)
        });
        let found = match below_nothing {
            true => None,
            false => {
                look_at(files, path).map_err(|source| MergeError::Look { path: path.to_owned(), source })?
            }
        };
        let Some(found) = found else {
            absent.insert(path);
            continue;
        };
        let kind = match found.kind {
            Kind::Link => HostKind::Link,
            Kind::Directory => HostKind::Directory,
            Kind::File | Kind::BlockDevice | Kind::Other => HostKind::File,
        };
        entries.insert(path.to_owned(), HostEntry { kind, access: Access::of(&found) });
    }
    Ok(entries)
}

/// What the host has at a path of a layer. The hierarchy itself may be a link (`/opt` to `/var/opt`):
/// what counts is where it leads.
fn look_at(files: &HostFiles, path: &Path) -> io::Result<Option<FileMetadata>> {
    let mut parts = path.components();
    let Some(hierarchy) = parts.next() else { return Ok(None) };
    let found = files.resolve(&Path::new("/").join(hierarchy)).and_then(|hierarchy| {
        let path = hierarchy.join(parts.as_path());
        let (tree, inside) = files.place(&path);
        tree.metadata(inside)
    });
    match found {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
