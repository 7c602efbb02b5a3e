//! The only access to the machine: every effect goes through one of these traits, so that a test can replace the
//! machine, count its effects, or stop the program between any two of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

pub mod clock;
pub(crate) mod errno;
pub mod fake;
pub mod http;
pub mod lock;
pub mod manager;
pub mod mounts;
pub mod processes;
pub mod store;
mod sys;
pub mod transport;
pub mod view;

use clock::{Clock, SystemClock};
use http::Http;
use manager::{ServiceManager, Systemctl};
use mounts::Mounts;
use mounts::kernel::Kernel;
use processes::{Processes, Spawner};
use store::{Files, Store};
use transport::{RetryPolicy, Transport};
use view::{BeneathError, View};

use crate::paths::Paths;

/// Access to the machine.
pub struct Host {
    /// The time, and waiting.
    pub clock: Box<dyn Clock>,
    /// The service manager.
    pub manager: Box<dyn ServiceManager>,
    /// Mounting images and replacing merged overlays.
    pub mounts: Box<dyn Mounts>,
    /// Programs.
    pub processes: Box<dyn Processes>,
    /// Files.
    pub store: Box<dyn Store>,
    /// The network.
    pub transport: Box<dyn Transport>,
    /// How often and how long a request is retried.
    pub retry_policy: RetryPolicy,
}

impl Host {
    /// The machine this runs on. Nothing is opened yet.
    pub fn of_this_machine() -> Self {
        Self {
            clock: Box::new(SystemClock::new()),
            manager: Box::new(Systemctl::new(Spawner)),
            mounts: Box::new(Kernel),
            processes: Box::new(Spawner),
            store: Box::new(Files::new()),
            transport: Box::new(Http::default()),
            retry_policy: RetryPolicy::default(),
        }
    }

    /// Confines file access to the files below a root, which has no symbolic links.
    pub fn confine(&mut self, root: &Path) {
        self.store = self.store.within(View::of(root));
    }

    /// Makes directories writable although something merged covers their hierarchy read-only: from then on, the
    /// files are those of the hierarchy beneath.
    pub fn reach_beneath(
        &mut self,
        paths: &Paths,
        directories: &BTreeSet<PathBuf>,
    ) -> Result<(), BeneathError> {
        let directories = directories.iter().map(|path| paths.as_seen_inside(path)).collect();
        if let Some(view) = view::beneath(&*self.mounts, &paths.root, &directories)? {
            self.store = self.store.within(view);
        }
        Ok(())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}
