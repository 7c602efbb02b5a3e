//! Which files, and which tails of files, have the same content. Candidates have the same length,
//! then the same digest of their first bytes, then of all; what is taken as equal was compared.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::num::NonZero;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::WriteError;
use crate::parallel;
use crate::progress::Progress;
use crate::tree::Content;

/// How much of a unit is read to tell most of those apart that have the same length, in bytes.
const HEAD: u64 = 4096;

/// How much of a file is in memory at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// How many units a thread takes at a time. Most are small, and taking them has its price too.
const BATCH: usize = 64;

/// A range of the content of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    pub(super) path: &'a Path,
    pub(super) content: &'a Content,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// For each unit the position of the first one that it is equal to, which for most is its own.
pub(super) fn find(
    units: &[Unit<'_>],
    threads: NonZero<usize>,
    progress: &Progress,
) -> Result<Vec<usize>, WriteError> {
    let same_length = shared((0..units.len()).map(|position| (position, units[position].length)));
    let heads = digests(units, &same_length, HEAD, threads, |_| {})?;
    let key = |(position, head): (&usize, &[u8; 32])| (*position, (units[*position].length, *head));
    let same_head = shared(same_length.iter().zip(&heads).map(key));
    // What is known to be equal to nothing by now is done.
    let left: u64 = same_head.iter().map(|position| units[*position].length).sum();
    progress.add(units.iter().map(|unit| unit.length).sum::<u64>() - left);
    // A short unit was read as a whole already.
    let wholes = digests(units, &same_head, u64::MAX, threads, |bytes| progress.add(bytes))?;

    let mut first: Vec<usize> = (0..units.len()).collect();
    let mut known: HashMap<(u64, [u8; 32]), usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (position, whole) in same_head.iter().zip(&wholes) {
        match known.entry((units[*position].length, *whole)) {
            Entry::Vacant(entry) => {
                entry.insert(*position);
            }
            Entry::Occupied(entry) => pairs.push((*position, *entry.get())),
        }
    }
    let batches: Vec<&[(usize, usize)]> = pairs.chunks(BATCH).collect();
    parallel::ordered(
        &batches,
        threads,
        Buffers::new,
        |buffers, batch| {
            let equal = |(one, other): &(usize, usize)| units[*one].is_equal_to(&units[*other], buffers);
            batch.iter().map(equal).collect::<Result<Vec<bool>, _>>()
        },
        |batch, equal| {
            // Another content with the same digest is stored like any other.
            let found = batch.iter().zip(equal).filter(|(_, is_equal)| *is_equal);
            found.for_each(|((position, equal), _)| first[*position] = *equal);
            Ok(())
        },
    )?;
    Ok(first)
}

/// What two units are read into.
struct Buffers(Vec<u8>, Vec<u8>);

impl Buffers {
    fn new() -> Self {
        Self(vec![0; CHUNK], vec![0; CHUNK])
    }
}

/// The positions, in order, whose key another one has too.
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
fn digests(
    units: &[Unit<'_>],
    positions: &[usize],
    limit: u64,
    threads: NonZero<usize>,
    done: impl Fn(u64) + Sync,
) -> Result<Vec<[u8; 32]>, WriteError> {
    let batches: Vec<&[usize]> = positions.chunks(BATCH).collect();
    let mut digests = Vec::with_capacity(positions.len());
    parallel::ordered(
        &batches,
        threads,
        || vec![0; CHUNK],
        |buffer, batch| batch.iter().map(|position| units[*position].digest(limit, buffer, &done)).collect(),
        |_, found: Vec<[u8; 32]>| {
            digests.extend(found);
            Ok(())
        },
    )?;
    Ok(digests)
}

impl Unit<'_> {
    fn digest(&self, limit: u64, buffer: &mut [u8], done: impl Fn(u64)) -> Result<[u8; 32], WriteError> {
        let mut digest = Sha256::new();
        let mut read = 0;
        let length = self.length.min(limit);
        while read < length {
            let part = self.read(read, length, buffer)?;
            digest.update(&*part);
            read += part.len() as u64;
            done(part.len() as u64);
        }
        Ok(digest.finalize().into())
    }

    fn is_equal_to(&self, other: &Unit<'_>, buffers: &mut Buffers) -> Result<bool, WriteError> {
        let Buffers(ours, theirs) = buffers;
        let mut done = 0;
        while done < self.length {
            let part = self.read(done, self.length, ours)?;
            if part != other.read(done, other.length, theirs)? {
                return Ok(false);
            }
            done += part.len() as u64;
        }
        Ok(true)
    }

    /// As much as `buffer` takes of what lies between `from` and `end`.
    fn read<'b>(&self, from: u64, end: u64, buffer: &'b mut [u8]) -> Result<&'b mut [u8], WriteError> {
        let length = usize::try_from(end - from).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..length];
        self.content
            .read_at(self.offset + from, part)
            .map_err(|source| WriteError::Content { path: self.path.to_owned(), source })?;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_found_and_nothing_else() {
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
