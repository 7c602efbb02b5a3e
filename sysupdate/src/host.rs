//! The one door to the world: every effect goes through one of these traits, so that a test can stand
//! in for the world, count what is asked of it, or stop the program between any two effects.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

pub mod clock;
pub mod fake;
pub mod http;
pub mod lock;
pub mod mounts;
pub mod processes;
pub mod store;
pub mod sys;
pub mod transport;

use clock::{Clock, SystemClock};
use http::Http;
use mounts::Mounts;
use mounts::kernel::Kernel;
use processes::{Processes, Spawner};
use store::{Files, Store};
use transport::Transport;

use crate::acquire::RetryPolicy;
use crate::failure::Failure;
use crate::paths::Paths;

/// The world.
pub struct Host {
    /// What time it is, and waiting.
    pub clock: Box<dyn Clock>,
    /// Mounting images and swapping what is merged.
    pub mounts: Box<dyn Mounts>,
    /// Programs.
    pub processes: Box<dyn Processes>,
    /// Files.
    pub store: Box<dyn Store>,
    /// The network.
    pub transport: Box<dyn Transport>,
    /// How often and how long a download is tried.
    pub patience: RetryPolicy,
}

impl Host {
    /// The machine this runs on. Nothing is opened or asked yet.
    pub fn of_this_machine() -> Self {
        Self {
            clock: Box::new(SystemClock::new()),
            mounts: Box::new(Kernel),
            processes: Box::new(Spawner),
            store: Box::new(Files::new()),
            transport: Box::new(Http::default()),
            patience: RetryPolicy::default(),
        }
    }

    /// Makes directories writable that lie in a hierarchy which something merged covers read-only: from
    /// then on, the files are those of the hierarchy beneath.
    ///
    /// An extension that ships `/opt` makes all of `/opt` read-only, and any configuration extension all of
    /// `/etc`; without this, an updater that keeps its files there could never update again.
    pub fn reach_beneath(&mut self, paths: &Paths, directories: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let mut detours = Vec::new();
        for hierarchy in COVERED {
            let hierarchy = paths.below_root(Path::new(hierarchy));
            let wanted: Vec<_> = directories.iter().filter(|path| path.starts_with(&hierarchy)).collect();
            if wanted.is_empty() {
                continue;
            }
            let failed = |path: &Path, source: io::Error| Failure {
                error: format!("cannot reach {} beneath what is merged there: {source}", path.display()),
                hint: None,
            };
            let beneath = self.mounts.beneath(&hierarchy).map_err(|error| failed(&hierarchy, error))?;
            let Some(beneath) = beneath else { continue };
            for path in wanted {
                let inside = path.strip_prefix(&hierarchy).unwrap_or(path);
                let directory = make_below(&beneath, inside).map_err(|error| failed(path, error))?;
                detours.push((path.clone(), directory));
            }
        }
        if !detours.is_empty() {
            self.store.detour(detours);
        }
        Ok(())
    }
}

/// The hierarchies that a system or configuration extension may cover.
const COVERED: [&str; 3] = ["/etc", "/opt", "/usr"];

/// Opens a directory below another, making what is missing.
fn make_below(directory: &OwnedFd, inside: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    for part in inside {
        match rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        current = rustix::fs::openat(&current, part, flags, Mode::empty())?;
    }
    Ok(current)
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}
