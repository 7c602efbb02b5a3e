//! Finds files, and ends of files, with the same content, so that an image stores it once.
//!
//! Only units of the same length are read at all, and only those with equal first bytes are read to the end.
//! Units with the same length and SHA-256 are taken as equal: no collisions are known.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{Seek, SeekFrom};
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::parallel;
use crate::progress::Progress;
use crate::tree::{Content, ContentError};

/// How many bytes of a unit are read first. They tell most units of the same length apart.
const HEAD: u64 = 4096;

/// How much of a file is in memory at once, in bytes.
const BUFFER: usize = 256 * 1024;

/// A thread takes units of this many bytes in total at a time.
const BATCH_BYTES: u64 = 1024 * 1024;

/// It takes no more than this many units, so that small ones are shared among threads, too.
const BATCH_UNITS: usize = 64;

type Fingerprint = [u8; 32];

/// A range of the content of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) path: &'a Path,
    pub(crate) content: &'a Content,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The content of a file could not be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The file, in the tree.
    pub(crate) path: PathBuf,
    pub(crate) source: ContentError,
}

/// For each unit the position of the first one that is equal to it, which for most is its own. The caller
/// has begun a stage of `progress` for the bytes of all units.
pub(crate) fn find(
    units: &[Unit<'_>],
    threads: NonZero<usize>,
    progress: &Progress,
) -> Result<Vec<usize>, Unreadable> {
    let same_length = shared((0..units.len()).map(|position| (position, units[position].length)));
    let heads = fingerprints(units, &same_length, HEAD, threads, |_| {})?;
    let keyed = same_length.iter().zip(heads);
    let keyed = keyed.map(|(position, head)| (*position, (units[*position].length, head)));
    let keys: HashMap<usize, (u64, Fingerprint)> = keyed.collect();
    let same_head = shared(same_length.iter().map(|position| (*position, keys[position])));
    let (short, long): (Vec<usize>, Vec<usize>) =
        same_head.into_iter().partition(|position| units[*position].length <= HEAD);
    // Everything else is known to be unique, or was read to its end.
    let left: u64 = long.iter().map(|position| units[*position].length).sum();
    progress.add(units.iter().map(|unit| unit.length).sum::<u64>() - left);
    let wholes = fingerprints(units, &long, u64::MAX, threads, |bytes| progress.add(bytes))?;

    let mut firsts: Vec<usize> = (0..units.len()).collect();
    let mut seen: HashMap<(u64, Fingerprint), usize> = HashMap::new();
    let short = short.into_iter().map(|position| (position, keys[&position]));
    let long = long.into_iter().zip(wholes);
    let long = long.map(|(position, whole)| (position, (units[position].length, whole)));
    for (position, key) in short.chain(long) {
        firsts[position] = *seen.entry(key).or_insert(position);
    }
    Ok(firsts)
}

/// The positions, in order, whose key occurs more than once.
fn shared<K: Eq + Hash>(keys: impl Iterator<Item = (usize, K)>) -> Vec<usize> {
    let mut groups: HashMap<K, (usize, bool)> = HashMap::new();
    let mut positions = Vec::new();
    for (position, key) in keys {
        match groups.get_mut(&key) {
            None => {
                groups.insert(key, (position, false));
            }
            Some((first, is_listed)) => {
                if !*is_listed {
                    positions.push(*first);
                    *is_listed = true;
                }
                positions.push(position);
            }
        }
    }
    positions.sort_unstable();
    positions
}

/// The digests of up to `limit` bytes of the units at `positions`.
fn fingerprints(
    units: &[Unit<'_>],
    positions: &[usize],
    limit: u64,
    threads: NonZero<usize>,
    done: impl Fn(u64) + Sync,
) -> Result<Vec<Fingerprint>, Unreadable> {
    let mut fingerprints = Vec::with_capacity(positions.len());
    parallel::ordered(
        &batches(units, positions, limit),
        threads,
        || vec![0; BUFFER],
        |buffer, batch| {
            let units = positions[batch.clone()].iter().map(|position| &units[*position]);
            units.map(|unit| unit.fingerprint(limit, buffer, &done)).collect()
        },
        |_, found: Vec<Fingerprint>| {
            fingerprints.extend(found);
            Ok(())
        },
    )?;
    Ok(fingerprints)
}

/// Ranges of `positions` for one thread at a time.
fn batches(units: &[Unit<'_>], positions: &[usize], limit: u64) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (last, position) in positions.iter().enumerate() {
        bytes += units[*position].length.min(limit);
        if bytes >= BATCH_BYTES || last + 1 - start == BATCH_UNITS {
            batches.push(start..last + 1);
            (start, bytes) = (last + 1, 0);
        }
    }
    batches.push(start..positions.len());
    batches
}

impl Unit<'_> {
    fn fingerprint(
        &self,
        limit: u64,
        buffer: &mut [u8],
        done: impl Fn(u64),
    ) -> Result<Fingerprint, Unreadable> {
        let failed = |source| Unreadable { path: self.path.to_owned(), source };
        let mut opened = self.content.open().map_err(failed)?;
        opened
            .seek(SeekFrom::Start(self.offset))
            .map_err(|source| failed(self.content.unreadable(source)))?;
        let mut digest = Sha256::new();
        let mut read = 0;
        let length = self.length.min(limit);
        while read < length {
            let rest = usize::try_from(length - read).unwrap_or(usize::MAX);
            let part = &mut buffer[..rest.min(BUFFER)];
            self.content.fill(&mut opened, self.offset + read, part).map_err(failed)?;
            digest.update(&*part);
            read += part.len() as u64;
            done(part.len() as u64);
        }
        Ok(digest.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_equal_content_and_nothing_else() {
        let mut long = vec![1; 300_000];
        let same = long.clone();
        let mut other_end = long.clone();
        other_end[299_999] = 2;
        let mut other_start = long.clone();
        other_start[0] = 2;
        long.extend_from_slice(b"more");
        let contents: Vec<Content> = [
            same.clone(),
            other_end,
            b"ab".to_vec(),
            other_start,
            same,
            b"ac".to_vec(),
            b"ab".to_vec(),
            long,
        ]
        .map(|bytes| Content::Bytes(bytes.into()))
        .into();
        let mut units: Vec<Unit<'_>> = contents
            .iter()
            .map(|content| Unit { path: Path::new("x"), content, offset: 0, length: content.size() })
            .collect();
        let one = NonZero::<usize>::MIN;
        assert_eq!(find(&units, one, &Progress::default()).unwrap(), [0, 1, 2, 3, 0, 5, 2, 7]);
        // The same range of all long ones: their first bytes do not matter.
        for unit in &mut units {
            unit.offset = 1;
            unit.length = (unit.length - 1).min(299_000);
        }
        assert_eq!(find(&units, one, &Progress::default()).unwrap(), [0, 0, 2, 0, 0, 5, 2, 0]);
    }
}
