//! The one door to the world: every effect goes through one of these traits, so that a test can stand
//! in for the world, count what is asked of it, or stop the program between any two effects.

use std::fmt;

pub mod clock;
pub mod fake;
pub mod http;
pub mod lock;
pub mod mounts;
pub mod processes;
pub mod store;
pub mod sys;
pub mod transport;

use clock::Clock;
use mounts::Mounts;
use processes::Processes;
use store::Store;
use transport::Transport;

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
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}
