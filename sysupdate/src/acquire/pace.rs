//! How fast bytes must come.

use std::time::Duration;

/// How long a pace is measured.
const WINDOW: Duration = Duration::from_secs(60);

/// The minimum from any place, in bytes per minute: 30 bytes a second, as in systemd.
pub(super) const MINIMUM: u64 = 30 * 60;

/// The minimum for an image while another place may be faster, in bytes per minute: 10 KiB a second.
pub(super) const FLOOR: u64 = 10 * 1024 * 60;

/// Measures a body, minute by minute.
pub(super) struct Pace {
    start: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(now: Duration) -> Self {
        Self { start: now, bytes: 0 }
    }

    /// Counts bytes; at the end of a minute, how many came per minute. One read may take longer than that.
    pub(super) fn count(&mut self, bytes: u64, now: Duration) -> Option<u64> {
        self.bytes += bytes;
        let elapsed = now.saturating_sub(self.start);
        if elapsed < WINDOW {
            return None;
        }
        let per_minute = u128::from(self.bytes) * WINDOW.as_millis() / elapsed.as_millis();
        *self = Self::new(now);
        Some(u64::try_from(per_minute).unwrap_or(u64::MAX))
    }
}
