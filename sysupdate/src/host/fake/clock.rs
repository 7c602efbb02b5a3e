//! A clock that moves only when a program waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::host::clock::Clock;

/// A clock that moves only when a program waits.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<ClockState>>);

#[derive(Debug)]
struct ClockState {
    now: Timestamp,
    elapsed: Duration,
    sleeps: Vec<Duration>,
}

impl FakeClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(ClockState { now, elapsed: Duration::ZERO, sleeps: Vec::new() })))
    }

    /// Sets the time; [`elapsed`](Clock::elapsed) does not change.
    pub fn set(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.elapsed += duration;
        // The clock stops at the last time there is
        state.now = state.now.checked_add(duration).unwrap_or(Timestamp::MAX);
    }

    /// Every wait so far.
    pub fn sleeps(&self) -> Vec<Duration> {
        self.state().sleeps.clone()
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeClock {
    /// 2026-01-01, midnight.
    fn default() -> Self {
        const START: i64 = 1_767_225_600;
        Self::at(Timestamp::constant(START, 0))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn sleep(&self, duration: Duration) {
        self.state().sleeps.push(duration);
        self.advance(duration);
    }
}
