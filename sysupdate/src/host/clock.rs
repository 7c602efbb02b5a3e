//! What time it is, and waiting.

use std::time::Duration;

use jiff::Timestamp;

/// A clock. It may be wrong: nothing that matters for trust relies on it alone.
pub trait Clock {
    /// What the clock shows.
    fn now(&self) -> Timestamp;
    /// Time that only runs forward, from an arbitrary start.
    fn elapsed(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration);
}
