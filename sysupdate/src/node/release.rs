//! The release of the operating system and of its kernel, and the processor.

use std::path::Path;

use sysext_manifests::architecture::Architecture;

/// More than any os-release file has, in bytes.
pub(crate) const SIZE_LIMIT: u64 = 1 << 20;

/// Where os-release is looked for; the first file there is counts, as os-release(5) says.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// The first os-release file there is: its path on the target system, and what `read` makes of it.
pub(crate) fn first<T, E>(
    mut read: impl FnMut(&Path) -> Result<Option<T>, E>,
) -> Result<Option<(&'static Path, T)>, E> {
    for path in OS_RELEASE.map(Path::new) {
        if let Some(found) = read(path)? {
            return Ok(Some((path, found)));
        }
    }
    Ok(None)
}

/// What the running kernel says of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Its processor.
    pub architecture: Architecture,
    /// Its name in the network.
    pub hostname: String,
    /// The release of the kernel.
    pub kernel_release: String,
}

/// A processor for which systemd has no name.
#[derive(Debug, thiserror::Error)]
#[error("unknown architecture {machine:?}")]
pub struct UnknownArchitecture {
    machine: String,
}

/// Asks the running kernel.
pub(crate) fn machine() -> Result<Machine, UnknownArchitecture> {
    let name = rustix::system::uname();
    let machine = name.machine().to_string_lossy().into_owned();
    let architecture = Architecture::of_machine(&machine).ok_or(UnknownArchitecture { machine })?;
    Ok(Machine {
        architecture,
        hostname: name.nodename().to_string_lossy().into_owned(),
        kernel_release: name.release().to_string_lossy().into_owned(),
    })
}
