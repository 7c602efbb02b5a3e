//! Limits for the content that an image claims.

use std::collections::HashSet;

use super::FilesystemError;
use crate::entry::{Entry, EntryKind};

/// How many bytes of content an image may claim per byte of its own. The strongest codecs reach this factor
/// only with zeros.
const FACTOR: u64 = 64;

/// The content that every image may claim, in bytes.
const LEAST: u64 = 1 << 30;

/// Limits for the files of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The total size of all files, in bytes.
    pub content: u64,
}

impl Limits {
    /// The default for an image of this length in bytes: 64 times the length, and at least 1 GiB.
    pub fn of_image(length: u64) -> Self {
        Self { content: length.saturating_mul(FACTOR).max(LEAST) }
    }

    /// Returns the total size of all files, or an error if it exceeds the limit. Hard links count once.
    pub fn check(&self, entries: &[Entry]) -> Result<u64, FilesystemError> {
        let claimed = content(entries);
        if claimed > self.content {
            return Err(FilesystemError::TooMuch { claimed, limit: self.content });
        }
        Ok(claimed)
    }
}

/// The total size of all files; hard links count once.
fn content(entries: &[Entry]) -> u64 {
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File && seen.insert(entry.inode))
        .fold(0, |sum, entry| sum.saturating_add(entry.size))
}
