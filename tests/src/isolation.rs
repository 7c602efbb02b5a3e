//! One trial in a process of its own, from which neither a mount nor a process escapes.
//!
//! The test program runs itself twice more: the *outer* stage leaves the host's mount and process
//! namespaces, and its child, the *inner* stage, is the first process of the new one and runs the
//! trial. When the inner process ends, however it ends, the kernel kills all it started and drops
//! all it mounted.

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

/// How a machine that was booted for a trial asks for its half of it.
pub(crate) const BOOTED: &str = "booted-trial";

/// How often a running trial is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Set once this process has namespaces of its own.
static INSIDE: AtomicBool = AtomicBool::new(false);

/// Whether this process is an isolated trial's, which may mount what it likes.
pub(crate) fn is_inside() -> bool {
    INSIDE.load(Ordering::Relaxed)
}

/// Runs the trial of that name in a process of its own, and gives what it printed, as the error if it failed.
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

/// The part of a trial that this process plays.
pub(crate) enum Stage {
    Outer(String),
    Inner(String),
    Booted(String),
}

impl Stage {
    /// Read from the command line.
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

    /// Plays the part, to the end of the process.
    pub(crate) fn enter(self, body: impl FnOnce() -> Result<()>) -> ExitCode {
        match self {
            Self::Outer(name) => ending(leave_the_host(&name).map_err(|error| format!("{error:#}"))),
            // With the place where it arose, if RUST_BACKTRACE asks for it.
            Self::Inner(_) => ending(settle_in().and_then(|()| body()).map_err(|error| format!("{error:?}"))),
            // There is nobody to protect in that machine.
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

/// The group of a trial is not the terminal's, so nothing else would end it on Ctrl-C.
fn die_with_parent() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to die with the parent")
}

fn again(stage: &str, name: &str) -> Result<Command> {
    let this = std::env::current_exe().context("cannot find this program's own path")?;
    let mut command = Command::new(this);
    command.args([stage, name]);
    Ok(command)
}

/// `None` if the limit passed; then the whole group is killed, before its leader is waited for, so
/// that its number cannot belong to somebody else.
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
