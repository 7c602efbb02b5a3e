//! Machines that boot: complete systems with their own kernel and systemd, built by `.ci/machines` and emulated
//! by qemu.
//!
//! A trial in a machine has two halves in one source file. `prepare` runs outside and fills a directory. The
//! machine then boots with that directory and this program, which is static, on its second disk; `inside` runs
//! there as root with the same directory. See [`crate::needs::Suite::booted`].

mod disk;
mod emulator;

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::isolation;
use crate::workspace;
use emulator::Ended;

/// The path of the prepared directory in the machine.
pub const DIRECTORY: &str = "/trial";

/// Time limit from power on to power off. A machine that has a core to itself boots in eight seconds; the limit
/// is for two cores with a high load.
pub(crate) const LIMIT: Duration = Duration::from_secs(400);

/// Number of attempts, because the emulator sometimes fails before the trial starts.
const ATTEMPTS: usize = 2;

/// The half inside prints these before anything else, and at the end if it passed.
const STARTED: &str = "the trial started";
const PASSED: &str = "the trial passed";

/// A release of Debian with its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Debian bookworm: systemd 252, Linux 6.1.
    Bookworm,
    /// Debian trixie: systemd 257, Linux 6.12.
    Trixie,
    /// Debian sid: systemd 262, the newest Linux.
    Sid,
}

impl Machine {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Sid];

    /// The version of systemd, as `--version` begins.
    pub const fn systemd(self) -> u32 {
        match self {
            Self::Bookworm => 252,
            Self::Trixie => 257,
            Self::Sid => 262,
        }
    }

    /// The beginning of the kernel's version that does not change.
    pub const fn kernel(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1.",
            Self::Trixie => "6.12.",
            Self::Sid => "7.",
        }
    }

    /// The name of this system for `--kernel`, if it has one.
    pub const fn profile(self) -> Option<&'static str> {
        match self {
            Self::Bookworm => Some("debian-12"),
            Self::Trixie => Some("debian-13"),
            Self::Sid => None,
        }
    }

    /// The directory of the machine, below `$MACHINES_DIR` or `.cache/machines` of the checkout.
    pub fn directory(self) -> PathBuf {
        let machines = std::env::var_os("MACHINES_DIR").filter(|dir| !dir.is_empty());
        let machines = machines.map_or_else(|| ".cache/machines".into(), PathBuf::from);
        workspace::root().join(machines).join(self.to_string())
    }

    /// Whether `.ci/machines` completed it: it writes the stamp last.
    pub fn is_ready(self) -> bool {
        self.directory().with_extension("complete").is_file()
    }

    /// Boots with the directory, runs the inner half of that trial, and returns its output, as the error if it
    /// failed.
    pub(crate) fn run(self, trial: &str, directory: &Path) -> Result<String> {
        let this = std::env::current_exe().context("cannot find this program's own path")?;
        fs::copy(this, directory.join("program")).context("cannot give the machine this program")?;
        let script = format!("#!/bin/sh\nexec {DIRECTORY}/program {} {trial}\n", isolation::BOOTED);
        let run = directory.join("run");
        fs::write(&run, script)
            .and_then(|()| fs::set_permissions(&run, fs::Permissions::from_mode(0o755)))?;

        let work = tempfile::tempdir().context("cannot make a directory for the machine's disk")?;
        let image = work.path().join("disk");
        disk::make(directory, &image)?;
        for attempt in 1..=ATTEMPTS {
            let ended = emulator::boot(&self.directory(), &image, work.path(), LIMIT)?;
            let started = ended.printed.lines().any(|line| line == STARTED);
            if started || attempt == ATTEMPTS {
                return self.judge(&ended);
            }
        }
        unreachable!("the last attempt returns")
    }

    fn judge(self, ended: &Ended) -> Result<String> {
        let own = |line: &&str| *line != STARTED && *line != PASSED;
        let printed: String = ended.printed.lines().filter(own).flat_map(|line| [line, "\n"]).collect();
        if ended.printed.lines().next_back() == Some(PASSED) {
            return Ok(printed);
        }
        bail!("{self}: {}\n{printed}--- the end of its console\n{}", ended.how, ended.console)
    }
}

/// Runs the inner half of a trial. The `run` script of the machine calls this.
pub(crate) fn inside(body: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    println!("{STARTED}");
    let outcome = body(Path::new(DIRECTORY));
    if outcome.is_ok() {
        println!("{PASSED}");
    }
    outcome
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        })
    }
}
