//! The identity of this node, for the specifiers in definitions.

use std::path::{Path, PathBuf};

use sysext_manifests::os_release::{OsRelease, OsReleaseError};
use sysext_manifests::specifier::Identity;

use crate::host::store::{Store, StoreError};
use crate::node::release::{self, Machine, UnknownArchitecture};
use crate::paths::Paths;
use sysext_manifests::hint::Hint;

/// Why the identity of the node is unknown.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum IdentityError {
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {source}", path.display())]
    OsRelease { path: PathBuf, source: OsReleaseError },
}

impl Hint for IdentityError {}

/// Reads the identity from the kernel and from files below the root.
pub fn identify(store: &dyn Store, paths: &Paths) -> Result<Identity, IdentityError> {
    let Machine { architecture, hostname, kernel_release } = release::machine()?;
    Ok(Identity {
        architecture,
        machine_id: first_line(store, &paths.root.join("etc/machine-id"))?,
        boot_id: first_line(store, Path::new("/proc/sys/kernel/random/boot_id"))?,
        hostname,
        kernel_release,
        os_release: os_release(store, paths)?,
        tmp: "/tmp".to_owned(),
        var_tmp: "/var/tmp".to_owned(),
    })
}

fn text(store: &dyn Store, path: &Path) -> Result<Option<String>, IdentityError> {
    let bytes = store.read(path, release::SIZE_LIMIT)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn first_line(store: &dyn Store, path: &Path) -> Result<Option<String>, IdentityError> {
    let line = text(store, path)?.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
    Ok(line.filter(|line| !line.is_empty()))
}

/// The host's os-release; an empty one where there is none, as on a root that is being created.
fn os_release(store: &dyn Store, paths: &Paths) -> Result<OsRelease, IdentityError> {
    let found = release::first(|path| text(store, &paths.below_root(path)))?;
    let Some((path, text)) = found else { return Ok(OsRelease::default()) };
    let (os_release, _warnings) = OsRelease::parse(&text)
        .map_err(|source| IdentityError::OsRelease { path: paths.below_root(path), source })?;
    Ok(os_release)
}
