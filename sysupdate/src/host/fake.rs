//! A machine in memory, which a test creates in one line:
//!
//! ```
//! use sysupdate::host::fake::FakeHost;
//! let world = FakeHost::new();
//! world.transport.serve("https://host/SHA256SUMS", b"...");
//! world.store.put("/etc/os-release", b"ID=example\n");
//! ```
//!
//! Every part is a handle: a clone sees and changes the same machine, also after the original went into a box.

use super::Host;
use super::transport::RetryPolicy;

mod clock;
mod manager;
mod mounts;
mod processes;
mod store;
mod transport;
mod tree;

pub use clock::FakeClock;
pub use manager::FakeManager;
pub use mounts::FakeMounts;
pub use processes::FakeProcesses;
pub use store::FakeStore;
pub use transport::{FakeTransport, Reply};

/// Every part of a machine, in memory.
#[derive(Clone, Debug)]
pub struct FakeHost {
    /// The clock.
    pub clock: FakeClock,
    /// The service manager.
    pub manager: FakeManager,
    /// The mounts, over the files.
    pub mounts: FakeMounts,
    /// The programs.
    pub processes: FakeProcesses,
    /// The files.
    pub store: FakeStore,
    /// The network.
    pub transport: FakeTransport,
}

impl FakeHost {
    /// An empty machine at the beginning of the year 2026.
    pub fn new() -> Self {
        let store = FakeStore::default();
        Self {
            clock: FakeClock::default(),
            manager: FakeManager::default(),
            mounts: FakeMounts::over(&store),
            processes: FakeProcesses::default(),
            store,
            transport: FakeTransport::default(),
        }
    }

    /// Access to this machine.
    pub fn host(&self) -> Host {
        Host {
            clock: Box::new(self.clock.clone()),
            manager: Box::new(self.manager.clone()),
            mounts: Box::new(self.mounts.clone()),
            processes: Box::new(self.processes.clone()),
            store: Box::new(self.store.clone()),
            transport: Box::new(self.transport.clone()),
            retry_policy: RetryPolicy::default(),
        }
    }
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}
