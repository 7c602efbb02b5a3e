//! The time by which catalogs and signatures are checked: a clock that was reset must not make an expired one valid.

use jiff::Timestamp;

use crate::host::Host;

/// When this program was released. A clock that shows an earlier time is wrong.
pub const RELEASED: &str = "2026-11-20T00:00:00Z";

/// The release of this program as a time.
pub(super) fn released() -> Timestamp {
    RELEASED.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The time of the clock, at least that of the release.
pub fn now(host: &Host) -> Timestamp {
    host.clock.now().max(released())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_a_time() {
        assert_ne!(released(), Timestamp::UNIX_EPOCH);
    }
}
