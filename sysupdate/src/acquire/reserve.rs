//! The disk space that a file of unknown size must not take.

/// What stays free at least, in bytes.
const LEAST: u64 = 256 << 20;

/// How often the free space is looked at, in bytes.
pub(super) const INTERVAL: u64 = 8 << 20;

/// How much of a disk stays free: 5 %, at least 256 MiB, but not more than a quarter of a small disk.
pub(super) fn of_disk(size: u64) -> u64 {
    (size / 20).max(LEAST).min(size / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_each_disk_stays_free() {
        assert_eq!(of_disk(100 << 30), 5 << 30);
        assert_eq!(of_disk(4 << 30), 256 << 20);
        assert_eq!(of_disk(400 << 20), 100 << 20);
        assert_eq!(of_disk(0), 0);
    }
}
