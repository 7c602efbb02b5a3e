//! Machines that boot: whole systems with their own kernel and their own systemd as first process, made by
//! `.ci/machines` and emulated by qemu.
//!
//! A trial in a machine has two halves in one source file. `prepare` runs here and fills a directory; the
//! machine boots with that directory and this very program, which is static, on its second disk, and
//! `inside` runs there, as root, with the same directory. See [`crate::needs::Suite::booted`].

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

/// Where the machine sees the directory that was prepared.
pub const DIRECTORY: &str = "/trial";

/// How long a machine may take from power on to power off. Alone on a core it boots in eight seconds; the
/// limit is for machines that share two cores with much else.
pub(crate) const LIMIT: Duration = Duration::from_secs(400);

/// How often a machine is switched on that never gets as far as the trial: that is the emulator's doing.
const ATTEMPTS: usize = 2;

/// What the half inside prints before anything else, and last if it is content.
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

    /// The systemd it has, as `--version` begins.
    pub const fn systemd(self) -> u32 {
        match self {
            Self::Bookworm => 252,
            Self::Trixie => 257,
            Self::Sid => 262,
        }
    }

    /// The first number of its kernel's version, or the first two where they stay the same.
    pub const fn kernel(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1.",
            Self::Trixie => "6.12.",
            Self::Sid => "7.",
        }
    }

    /// What a floor calls this system, if it does.
    pub const fn profile(self) -> Option<&'static str> {
        match self {
            Self::Bookworm => Some("debian-12"),
            Self::Trixie => Some("debian-13"),
            Self::Sid => None,
        }
    }

    /// Where it was made, below `$MACHINES_DIR` or `.cache/machines` of the checkout.
    pub fn directory(self) -> PathBuf {
        let machines = std::env::var_os("MACHINES_DIR").filter(|dir| !dir.is_empty());
        let machines = machines.map_or_else(|| ".cache/machines".into(), PathBuf::from);
        workspace::root().join(machines).join(self.to_string())
    }

    /// Whether `.ci/machines` finished making it: the stamp is the last thing it writes.
    pub fn is_ready(self) -> bool {
        self.directory().with_extension("complete").is_file()
    }

    /// Boots with what is in the directory, runs the half of that trial that belongs inside, and gives what
    /// it printed, as the error if it failed.
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

/// Runs the half of a trial that belongs into a machine: what the machine's `run` script comes to.
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
