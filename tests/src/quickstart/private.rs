//! A place whose mounts and processes the kernel removes with the player, however that ends.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use super::{Said, Way, keeper};

/// What is left behind: the host's mounts, and its process numbers.
const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS.union(CloneFlags::CLONE_NEWPID);

/// Why this process may not leave the host's mounts behind; nothing if it may.
///
/// Tried on a thread of its own, which ends at once and takes its namespaces with it.
pub(super) fn refusal() -> Option<String> {
    let attempt = std::thread::spawn(|| unshare(NAMESPACES));
    match attempt.join() {
        Ok(Ok(())) => None,
        Ok(Err(errno)) => Some(errno.desc().to_owned()),
        Err(_) => Some("the attempt failed".to_owned()),
    }
}

/// The door: leaves, and waits for the player, who is the first process of the new place.
pub(super) fn leave(directory: &Path) -> Result<()> {
    die_with_parent()?;
    unshare(NAMESPACES).context("cannot leave the host's mounts and processes")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot keep mounts to ourselves")?;
    let status = Command::new(keeper::this_program()?)
        .arg("play")
        .arg(directory)
        .arg(Way::Private.as_str())
        .status()
        .context("cannot run the quickstart again")?;
    ensure!(status.success(), Said);
    Ok(())
}

/// The player, behind the door: `/proc` still shows the processes of the host.
pub(super) fn settle_in() -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("cannot mount /proc")
}

/// Nothing of the story goes on once the process that was started is gone.
pub(super) fn die_with_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to end with the parent")
}
