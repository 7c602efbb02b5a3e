//! Private mount and process namespaces: when the scenario ends, however it ends, the kernel removes its mounts
//! and kills its processes.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

/// Whether the scenario may mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sandbox {
    /// It runs in its own namespaces.
    Private,
    /// The kernel denied the namespaces, so it must not mount.
    Denied,
}

impl Sandbox {
    /// The argument on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Denied => "denied",
        }
    }
}

/// Moves this process into a private mount namespace, and its next child into a new process namespace, as the
/// first process there. The inner error is the reason why the kernel denies this.
pub(super) fn enter() -> Result<Result<(), &'static str>> {
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID) {
        return Ok(Err(errno.desc()));
    }
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("cannot make the mounts private")?;
    Ok(Ok(()))
}

/// Prepares the child: it ends with its parent, and `/proc` shows its own namespace.
pub(super) fn settle(sandbox: Sandbox) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot request to end with the parent")?;
    if sandbox == Sandbox::Private {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("cannot mount /proc")?;
    }
    Ok(())
}
