//! A thread with a mount namespace of its own, in which merged overlays can be detached.
//!
//! Nothing done in the namespace reaches the host, and killing the program leaves nothing behind: the kernel removes
//! the namespace with the last thread in it.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::{CONFEXT_MARKER, SYSEXT_MARKER};
use crate::host::sys::mount::unshare_mounts;

/// More overlays than this on one mount point are an error.
const STACK_MAX: usize = 64;

/// Runs a job on a thread in a mount namespace of its own. `failed` converts the error if that cannot be set up.
pub(super) fn run<T: Send, E: Send>(
    job: impl FnOnce() -> Result<T, E> + Send,
    failed: impl Fn(io::Error) -> E + Send + Sync,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("merge".into()).spawn_scoped(scope, || {
            leave().map_err(&failed)?;
            job()
        });
        match thread.map_err(&failed)?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn leave() -> io::Result<()> {
    unshare_mounts()?;
    // Before anything else: until then, unmounting here may also unmount in the host's namespace
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// Detaches every overlay that is merged at a path. Call it in a private namespace only.
pub(super) fn uncover(path: &Path) -> io::Result<()> {
    for _ in 0..STACK_MAX {
        if !is_merged(path)? {
            return Ok(());
        }
        unmount(path, UnmountFlags::DETACH)?;
    }
    Err(io::Error::other(format!("more than {STACK_MAX} overlays are mounted on each other")))
}

/// Whether what a path shows is a merged overlay: a mount that carries the marker of itself.
///
/// The device number in the marker tells it from a copy of a merged tree, which has another.
pub(super) fn is_merged(path: &Path) -> io::Result<bool> {
    for marker in [SYSEXT_MARKER, CONFEXT_MARKER] {
        let noted = match std::fs::read_to_string(path.join(marker).join("dev")) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)?;
        if noted.trim_end() == format!("{}:{}", found.stx_dev_major, found.stx_dev_minor) {
            return Ok(true);
        }
    }
    Ok(false)
}
