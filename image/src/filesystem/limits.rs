//! How much is read of what an image claims to hold.

use std::collections::HashSet;

use super::FilesystemError;
use crate::entry::{Entry, EntryKind};

/// How many bytes an image may claim for each byte that it has. The strongest codecs reach this
/// on nothing but zeros.
const FACTOR: u64 = 64;

/// What any image may claim, in bytes.
const LEAST: u64 = 1 << 30;

/// How much the files of an image may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub content: u64,
}

impl Limits {
    /// What an image of this length in bytes may sanely hold: 64 times that, and 1 GiB at least.
    pub fn of_image(length: u64) -> Self {
        Self { content: length.saturating_mul(FACTOR).max(LEAST) }
    }

    /// Refuses an image whose files claim more. Names of one file count once.
    pub fn check(&self, entries: &[Entry]) -> Result<u64, FilesystemError> {
        let claimed = content(entries);
        if claimed > self.content {
            return Err(FilesystemError::TooMuch { claimed, limit: self.content });
        }
        Ok(claimed)
    }
}

/// How many bytes the files have together; names of one file count once.
fn content(entries: &[Entry]) -> u64 {
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File && seen.insert(entry.inode))
        .fold(0, |sum, entry| sum.saturating_add(entry.size))
}
