//! Runs one trial in its own process, from which neither a mount nor a process escapes.
//!
//! The test program runs itself twice more. The *outer* stage creates new mount and process namespaces. Its
//! child, the *inner* stage, is the first process there and runs the trial. When the inner process ends,
//! however it ends, the kernel kills all of its processes and removes all of its mounts.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const OUTER: &str = "isolated-trial-outer";
const INNER: &str = "isolated-trial-inner";

/// The argument with which a booted machine requests its half of a trial.
pub(crate) const BOOTED: &str = "booted-trial";

/// Time between two looks at a running trial.
const POLL: Duration = Duration::from_millis(10);

/// Set once this process has its own namespaces.
static INSIDE: AtomicBool = AtomicBool::new(false);

/// Whether this process belongs to an isolated trial and may mount.
pub(crate) fn is_inside() -> bool {
    INSIDE.load(Ordering::Relaxed)
}

/// Runs the trial of that name in its own process and returns its output, as the error if it failed.
pub(crate) fn run(name: &str, limit: Duration) -> Result<String> {
    let mut printed = tempfile::tempfile().context("cannot make a file for the trial's output")?;
    let mut command = again(OUTER, name)?;
    command.stdin(std::process::Stdio::null()).stdout(printed.try_clone()?).stderr(printed.try_clone()?);
    let mut child = command.process_group(0).spawn().context("cannot run this program again")?;
    let ended = wait(&mut child, limit)?;
    let words = read_back(&mut printed)?;
    match ended {
        Some(status) if status.success() => Ok(words),
        Some(status) => bail!("the trial's process ended with {status}\n{words}"),
        None => bail!("killed after {} s\n{words}", limit.as_secs()),
    }
}

/// The stage of a trial that this process is.
pub(crate) enum Stage {
    Outer(String),
    Inner(String),
    Booted(String),
}

impl Stage {
    /// Reads the stage from the command line.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        match (arguments.next()?.as_str(), arguments.next()) {
            (OUTER, Some(name)) => Some(Self::Outer(name)),
            (INNER, Some(name)) => Some(Self::Inner(name)),
            (BOOTED, Some(name)) => Some(Self::Booted(name)),
            _ => None,
        }
    }

    pub(crate) fn trial(&self) -> &str {
        match self {
            Self::Outer(name) | Self::Inner(name) | Self::Booted(name) => name,
        }
    }

    /// Runs the stage until the process ends.
    pub(crate) fn enter(self, body: impl FnOnce() -> Result<()>) -> ExitCode {
        match self {
            Self::Outer(name) => ending(leave_the_host(&name).map_err(|error| format!("{error:#}"))),
            // With a backtrace, if RUST_BACKTRACE requests it.
            Self::Inner(_) => ending(settle_in().and_then(|()| body()).map_err(|error| format!("{error:?}"))),
            // The machine belongs to the trial, so it needs no protection.
            Self::Booted(_) => ending(body().map_err(|error| format!("{error:?}"))),
        }
    }
}

fn ending(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn leave_the_host(name: &str) -> Result<()> {
    die_with_parent()?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .context("cannot leave the host's namespaces")?;
    let everything = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, everything, None::<&str>)
        .context("cannot make the mounts private")?;
    let status = again(INNER, name)?.status().context("cannot run this program again")?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

fn settle_in() -> Result<()> {
    die_with_parent()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("cannot mount /proc")?;
    INSIDE.store(true, Ordering::Relaxed);
    Ok(())
}

/// A trial has its own process group, so Ctrl-C on the terminal would not end it.
fn die_with_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to die with the parent")
}

fn again(stage: &str, name: &str) -> Result<Command> {
    let this = std::env::current_exe().context("cannot find this program's own path")?;
    let mut command = Command::new(this);
    command.args([stage, name]);
    Ok(command)
}

/// Returns `None` if the limit passed. It then kills the whole group before it waits for the leader, so that
/// another process cannot have got the same number.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().context("cannot wait for the trial")? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    let group = Pid::from_raw(i32::try_from(child.id()).context("a process number beyond i32")?);
    killpg(group, Signal::SIGKILL).context("cannot kill the trial")?;
    child.wait().context("cannot wait for the killed trial")?;
    Ok(None)
}

fn read_back(printed: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    printed.rewind()?;
    printed.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
