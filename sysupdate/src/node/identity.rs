//! Who this node is, for the specifiers in definitions.

use std::path::{Path, PathBuf};

use sysext_manifests::architecture::Architecture;
use sysext_manifests::os_release::{OsRelease, OsReleaseError};
use sysext_manifests::specifier::Identity;

use crate::host::store::{Store, StoreError};
use crate::paths::Paths;
use sysext_manifests::hint::Hint;

/// More than any of these files has, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// Why the node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A processor for which systemd has no name.
    #[error("the architecture {machine:?} has no name in systemd")]
    Architecture {
        /// What the kernel calls it.
        machine: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The os-release file is damaged.
    #[error("{}: {source}", path.display())]
    OsRelease {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OsReleaseError,
    },
}

impl Hint for IdentityError {}

/// Asks the kernel, and the files below the root.
pub fn identify(store: &dyn Store, paths: &Paths) -> Result<Identity, IdentityError> {
    let kernel = rustix::system::uname();
    let machine = kernel.machine().to_string_lossy().into_owned();
    let architecture = Architecture::of_machine(&machine).ok_or(IdentityError::Architecture { machine })?;
    let os_release = [paths.root.join("etc/os-release"), paths.root.join("usr/lib/os-release")];
    Ok(Identity {
        architecture,
        machine_id: first_line(store, &paths.root.join("etc/machine-id"))?,
        boot_id: first_line(store, Path::new("/proc/sys/kernel/random/boot_id"))?,
        hostname: kernel.nodename().to_string_lossy().into_owned(),
        kernel_release: kernel.release().to_string_lossy().into_owned(),
        os_release: first_os_release(store, &os_release)?,
        tmp: "/tmp".to_owned(),
        var_tmp: "/var/tmp".to_owned(),
    })
}

fn text(store: &dyn Store, path: &Path) -> Result<Option<String>, IdentityError> {
    let bytes = store.read(path, SIZE_LIMIT)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn first_line(store: &dyn Store, path: &Path) -> Result<Option<String>, IdentityError> {
    let line = text(store, path)?.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
    Ok(line.filter(|line| !line.is_empty()))
}

/// The host's os-release; an empty one where there is none, as on a root that is being made.
fn first_os_release(store: &dyn Store, candidates: &[PathBuf]) -> Result<OsRelease, IdentityError> {
    for path in candidates {
        if let Some(text) = text(store, path)? {
            let (os_release, _warnings) = OsRelease::parse(&text)
                .map_err(|source| IdentityError::OsRelease { path: path.clone(), source })?;
            return Ok(os_release);
        }
    }
    Ok(OsRelease::default())
}
