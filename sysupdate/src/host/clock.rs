//! The time, and waiting.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A clock. It may be wrong: nothing that matters for trust relies on it alone.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// The time since an arbitrary start. It never goes back.
    fn elapsed(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The clock; its [`elapsed`](Clock::elapsed) counts from here.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_forward_by_what_was_slept() {
        let clock = SystemClock::new();
        let before = (clock.now(), clock.elapsed());
        clock.sleep(Duration::from_millis(5));
        assert!(clock.elapsed() - before.1 >= Duration::from_millis(5));
        assert!(clock.now() >= before.0);
    }
}
