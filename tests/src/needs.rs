//! The harness for tests that need something: a privilege, a tool, programs of another system.
//!
//! A trial whose need is missing is *ignored*. Its name shows the reason, because libtest swallows
//! what a test prints: `vm_boot [ignored: needs root]`. With `REQUIRE=all` it fails instead.
//! With `TRIAL_TIMES=FILE` every trial appends its duration to FILE.
//!
//! ```no_run
//! use tests::needs::{Need, Suite};
//! fn main() -> std::process::ExitCode {
//!     let mut suite = Suite::new();
//!     suite.trial("peer_gpg_reads_our_signature", &[Need::Tool("gpg")], || Ok(()));
//!     suite.isolated("kernel_mounts_our_image", &[Need::Filesystem("erofs")], || Ok(()));
//!     suite.run()
//! }
//! ```

use std::ffi::OsStr;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::CloneFlags;

use crate::isolation;
use crate::machine::{self, Machine};
use crate::peer::Peer;
use crate::programs;

/// The environment variable that names the file for durations: one line per trial with the seconds, a tab,
/// and the trial's name. `.ci/run` prints the slowest ones.
pub const TIMES: &str = "TRIAL_TIMES";

/// The prefixes that a name may have. Unit tests are next to the code and use plain `#[test]`.
const TIERS: [&str; 6] = ["golden_", "cli_", "peer_", "fault_", "vm_", "kernel_"];

/// How long an isolated trial may take before everything it started is killed. On two shared cores
/// the slowest step, a build of both programs, takes about a minute.
const LIMIT: Duration = Duration::from_secs(300);

/// A requirement of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The effective user is root.
    Root,
    /// The process may create a mount namespace. Every isolated trial needs this.
    PrivateMounts,
    /// A program of this name is in `PATH`.
    Tool(&'static str),
    /// The running kernel supports this file system, possibly after `modprobe`.
    Filesystem(&'static str),
    /// The running kernel has at least this version.
    Kernel(u32, u32),
    /// `.ci/peers` has unpacked this system.
    Peer(Peer),
    /// `.ci/machines` has built this machine.
    Machine(Machine),
    /// `.ci/libsquashfs` has built the program that uses this library.
    Libsquashfs,
}

impl Need {
    /// Whether the need is met on this machine, now.
    pub fn is_met(self) -> bool {
        match self {
            Self::Root => rustix::process::geteuid().is_root(),
            Self::PrivateMounts => may_unshare_mounts(),
            Self::Tool(name) => in_path(name),
            Self::Filesystem(name) => has_filesystem(name),
            Self::Kernel(major, minor) => running_kernel().is_some_and(|version| version >= (major, minor)),
            Self::Peer(peer) => peer.is_ready(),
            Self::Machine(machine) => machine.is_ready(),
            Self::Libsquashfs => programs::libsquashfs().is_file(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::PrivateMounts => f.write_str("a private mount namespace"),
            Self::Tool(name) => f.write_str(name),
            Self::Filesystem(name) => write!(f, "a kernel with {name}"),
            Self::Kernel(major, minor) => write!(f, "kernel {major}.{minor}"),
            Self::Peer(peer) => write!(f, "peer {peer} (.ci/peers)"),
            Self::Machine(machine) => write!(f, "machine {machine} (.ci/machines)"),
            Self::Libsquashfs => f.write_str("libsquashfs (.ci/libsquashfs)"),
        }
    }
}

/// The trials of one test program.
#[derive(Debug, Default)]
pub struct Suite {
    trials: Vec<Registered>,
}

type Body = Box<dyn FnOnce() -> anyhow::Result<()> + Send>;

struct Registered {
    name: String,
    needs: Vec<Need>,
    limit: Option<Duration>,
    body: Body,
    /// Runs in the machine that the body boots.
    inside: Option<Body>,
}

impl Suite {
    /// A suite without trials.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a trial that runs in this process, in parallel with others.
    pub fn trial<F>(&mut self, name: &str, needs: &[Need], body: F)
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        self.add(name, needs.to_vec(), None, Box::new(body));
    }

    /// Adds a trial that runs in its own process with private mount and process namespaces. Its mounts
    /// never reach the host, and its processes end with it. The files are still the host's: write only
    /// below a temporary directory.
    pub fn isolated<F>(&mut self, name: &str, needs: &[Need], body: F)
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        self.isolated_within(LIMIT, name, needs, body);
    }

    /// Like [`Suite::isolated`], with another time limit.
    pub fn isolated_within<F>(&mut self, limit: Duration, name: &str, needs: &[Need], body: F)
    where
        F: FnOnce() -> anyhow::Result<()> + Send + 'static,
    {
        let needs = [needs, &[Need::Root, Need::PrivateMounts]].concat();
        self.add(name, needs, Some(limit), Box::new(body));
    }

    /// Adds a trial that boots a machine. `prepare` runs here, as an isolated trial, and fills the given
    /// directory. `inside` runs in the machine, as root, and finds the same directory there. They run in
    /// different processes, so captured variables are not shared.
    pub fn booted<P, I>(&mut self, name: &str, machine: Machine, needs: &[Need], prepare: P, inside: I)
    where
        P: FnOnce(&Path) -> anyhow::Result<()> + Send + 'static,
        I: FnOnce(&Path) -> anyhow::Result<()> + Send + 'static,
    {
        let own = [Need::Machine(machine), Need::Tool("qemu-system-x86_64"), Need::Tool("mkfs.ext4")];
        let needs = [needs, &own].concat();
        let trial = name.to_owned();
        // As root, so that owners and devices are preserved in the machine.
        self.isolated_within(machine::LIMIT + LIMIT, name, &needs, move || {
            let directory = tempfile::tempdir()?;
            prepare(directory.path())?;
            print!("{}", machine.run(&trial, directory.path())?);
            Ok(())
        });
        if let Some(added) = self.trials.last_mut() {
            added.inside = Some(Box::new(|| machine::inside(inside)));
        }
    }

    /// Runs the trials that the command line selects. `main` must do nothing else, because an isolated
    /// trial runs this program again.
    pub fn run(self) -> ExitCode {
        if let Some(stage) = isolation::Stage::of_this_process() {
            let body = self.trials.into_iter().find(|trial| trial.name == stage.trial());
            return match body {
                Some(trial) => {
                    let body = trial.half(&stage);
                    stage.enter(body)
                }
                None => {
                    eprintln!("unknown trial {}", stage.trial());
                    ExitCode::FAILURE
                }
            };
        }
        let missing = match std::env::var("REQUIRE").as_deref() {
            Ok("all") => Missing::Fails,
            Ok("") | Err(_) => Missing::Ignores,
            Ok(other) => {
                eprintln!("unknown value REQUIRE={other}; the only one is REQUIRE=all");
                return ExitCode::FAILURE;
            }
        };
        let trials = self.trials.into_iter().map(|trial| trial.into_libtest(missing)).collect();
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }

    fn add(&mut self, name: &str, needs: Vec<Need>, limit: Option<Duration>, body: Body) {
        assert!(TIERS.iter().any(|tier| name.starts_with(tier)), "{name}: begin with one of {TIERS:?}");
        assert!(self.trials.iter().all(|trial| trial.name != name), "{name}: a second trial of this name");
        self.trials.push(Registered { name: name.to_owned(), needs, limit, body, inside: None });
    }
}

/// The result of a trial whose need is missing.
#[derive(Clone, Copy)]
enum Missing {
    Ignores,
    Fails,
}

impl Registered {
    /// The body that the process at this stage runs.
    fn half(self, stage: &isolation::Stage) -> Body {
        match (stage, self.inside) {
            (isolation::Stage::Booted(_), Some(inside)) => inside,
            _ => self.body,
        }
    }

    fn into_libtest(self, missing: Missing) -> Trial {
        let Self { name, needs, limit, body, inside: _ } = self;
        if let Some(need) = needs.into_iter().find(|need| !need.is_met()) {
            let reason = format!("needs {need}");
            let shown = match missing {
                Missing::Fails => name,
                Missing::Ignores => format!("{name} [ignored: {reason}]"),
            };
            let ignored = matches!(missing, Missing::Ignores);
            return Trial::test(shown, move || Err(Failed::from(reason))).with_ignored_flag(ignored);
        }
        Trial::test(name.clone(), move || {
            let start = Instant::now();
            let outcome = match limit {
                None => body().map_err(|error| format!("{error:?}")),
                Some(limit) => isolation::run(&name, limit)
                    .map(|words| print!("{words}"))
                    .map_err(|error| format!("{error:#}")),
            };
            let recorded = record(std::env::var_os(TIMES).as_deref(), &name, start.elapsed());
            outcome.map_err(Failed::from)?;
            recorded.map_err(|error| Failed::from(format!("cannot write {TIMES}: {error}")))
        })
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// Appends a line in one write, so that lines of parallel trials and programs stay whole.
fn record(file: Option<&OsStr>, name: &str, took: Duration) -> io::Result<()> {
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(()) };
    let line = format!("{:.3}\t{name}\n", took.as_secs_f64());
    OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())
}

/// Uses a separate thread, because a namespace belongs to a thread and this one ends at once.
fn may_unshare_mounts() -> bool {
    let attempt = std::thread::spawn(|| nix::sched::unshare(CloneFlags::CLONE_NEWNS).is_ok());
    attempt.join().unwrap_or(false)
}

fn in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([Path::new("/usr/sbin").into(), Path::new("/sbin").into()]).any(
        |dir| {
            rustix::fs::access(dir.join(name), rustix::fs::Access::EXEC_OK).is_ok()
                && dir.join(name).is_file()
        },
    )
}

fn has_filesystem(name: &str) -> bool {
    let listed = || {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        known.lines().any(|line| line.split_whitespace().last() == Some(name))
    };
    // The module may exist without being loaded.
    listed() || (std::process::Command::new("modprobe").arg("-q").arg(name).status().is_ok() && listed())
}

/// The major and minor version of the running kernel.
pub fn running_kernel() -> Option<(u32, u32)> {
    let name = rustix::system::uname();
    let mut numbers = name.release().to_str().ok()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
