//! A world in memory, so that any test makes a valid one in a line:
//!
//! ```
//! use sysupdate::host::fake::World;
//! let world = World::new();
//! world.transport.serve("https://host/SHA256SUMS", b"...");
//! world.store.put("/etc/os-release", b"ID=example\n");
//! ```
//!
//! Every part is a handle: a clone sees and changes the same world, also after the original went into a box.

mod clock;
mod manager;
mod processes;
mod store;
mod transport;

pub use clock::FakeClock;
pub use manager::FakeManager;
pub use processes::FakeProcesses;
pub use store::FakeStore;
pub use transport::{FakeTransport, Reply};

/// Clock, files and network.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The clock.
    pub clock: FakeClock,
    /// The files.
    pub store: FakeStore,
    /// The network.
    pub transport: FakeTransport,
}

impl World {
    /// Nothing is there, and the year 2026 has just begun.
    pub fn new() -> Self {
        Self::default()
    }
}
