//! What the host says of itself, and what it has where images have something.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use sysext_manifests::architecture::Architecture;
use sysext_manifests::extension_release::Scope;
use sysext_manifests::os_release::OsRelease;

use super::admit::{Examined, HostFacts};
use super::bare::Bare;
use super::discover::Identity;
use super::error::MergeError;
use super::quarantine::HostKind;

/// What the host says of itself.
pub(super) struct Host {
    os_release: OsRelease,
    architecture: Architecture,
    pub(super) scope: Scope,
    /// Of the os-release file.
    pub(super) identity: Identity,
}

impl Host {
    pub(super) fn read(bare: &Bare, root: &Path) -> Result<Self, MergeError> {
        let bad = |because: String| MergeError::NoOsRelease { root: root.to_owned(), because };
        let path = ["/etc/os-release", "/usr/lib/os-release"]
            .into_iter()
            .find_map(|path| bare.resolve(Path::new(path)).ok())
            .ok_or_else(|| bad("neither in /etc nor in /usr/lib".into()))?;
        let real = bare.locate(&path);
        let text = fs::read_to_string(&real).map_err(|error| bad(error.to_string()))?;
        let metadata = fs::metadata(&real).map_err(|error| bad(error.to_string()))?;
        let (os_release, _) = OsRelease::parse(&text).map_err(|error| bad(error.to_string()))?;
        let name = rustix::system::uname();
        let machine = name.machine().to_string_lossy();
        let architecture = Architecture::of_machine(&machine)
            .ok_or_else(|| MergeError::Machine { machine: machine.into_owned() })?;
        let scope = match bare.resolve(Path::new("/etc/initrd-release")) {
            Ok(_) => Scope::Initrd,
            Err(_) => Scope::System,
        };
        Ok(Self { os_release, architecture, scope, identity: Identity::of(&path, &metadata) })
    }

    pub(super) fn facts(self, entries: HashMap<PathBuf, HostKind>) -> HostFacts {
        let Self { os_release, architecture, scope, identity: _ } = self;
        HostFacts { os_release, architecture, scope, entries }
    }
}

/// What the bare host has where the images have something.
pub(super) fn look_at_host(bare: &Bare, examined: &[Examined]) -> HashMap<PathBuf, HostKind> {
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
            absent.contains(parent) || entries.get(parent).is_some_and(|kind| *kind != HostKind::Directory)
        });
        let found = if below_nothing { None } else { look_at(bare, path) };
        match found {
            None => {
                absent.insert(path);
            }
            Some(metadata) if metadata.is_symlink() => {
                entries.insert(path.to_owned(), HostKind::Link);
            }
            Some(metadata) if metadata.is_dir() => {
                entries.insert(path.to_owned(), HostKind::Directory);
            }
            Some(_) => {
                entries.insert(path.to_owned(), HostKind::File);
            }
        }
    }
    entries
}

/// What the host has at a path of a layer. The hierarchy itself may be a link (`/opt` to `/var/opt`):
/// what counts is where it leads.
fn look_at(bare: &Bare, path: &Path) -> Option<fs::Metadata> {
    let mut parts = path.components();
    let hierarchy = bare.resolve(&Path::new("/").join(parts.next()?)).ok()?;
    bare.on_host(&hierarchy.join(parts.as_path())).symlink_metadata().ok()
}
