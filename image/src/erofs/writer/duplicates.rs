//! Finds files of equal content, so that an image holds it once.
//!
//! Only files that share their size with another are read and hashed.

use std::collections::HashMap;
use std::num::NonZero;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::error::WriteError;
use super::layout::{Data, Item};
use crate::parallel;
use crate::progress::{Progress, Stage};
use crate::tree::Content;

/// How much of a file is in memory at once while it is hashed.
const BUFFER: usize = 256 * 1024;

/// How many bytes of small files are hashed in one go.
const BATCH: u64 = 1024 * 1024;

type Fingerprint = [u8; 32];

/// Marks every file that an earlier one equals, among those that `counts`.
pub(super) fn mark(
    items: &mut [Item<'_>],
    threads: NonZero<usize>,
    progress: &Progress,
    counts: impl Fn(&Item<'_>) -> bool,
) -> Result<(), WriteError> {
    let candidates = candidates(items, counts);
    let batches = batches(items, &candidates);
    let total = candidates.iter().map(|position| items[*position].size()).sum();
    progress.begin(Stage::Comparing, total);
    let mut seen: HashMap<(u64, Fingerprint), usize> = HashMap::new();
    let mut equal = Vec::new();
    parallel::ordered(
        &batches,
        threads,
        || vec![0; BUFFER],
        |buffer, batch| {
            let files = candidates[batch.clone()].iter();
            files
                .map(|position| fingerprint(&items[*position], buffer, progress))
                .collect::<Result<Vec<_>, _>>()
        },
        |batch, fingerprints| {
            for (position, fingerprint) in candidates[batch.clone()].iter().zip(fingerprints) {
                let first = *seen.entry((items[*position].size(), fingerprint)).or_insert(*position);
                if first != *position {
                    equal.push((*position, first));
                }
            }
            Ok(())
        },
    )?;
    for (position, first) in equal {
        items[position].same_as = Some(first);
    }
    Ok(())
}

/// Positions of the files that may equal another, in their order.
fn candidates(items: &[Item<'_>], counts: impl Fn(&Item<'_>) -> bool) -> Vec<usize> {
    let files = || items.iter().enumerate().filter(|(_, item)| content(item).is_some() && counts(item));
    let mut sizes: HashMap<u64, u32> = HashMap::new();
    files().for_each(|(_, item)| *sizes.entry(item.size()).or_default() += 1);
    files().filter(|(_, item)| sizes[&item.size()] > 1).map(|(position, _)| position).collect()
}

/// Runs of candidates for one thread at a time.
fn batches(items: &[Item<'_>], candidates: &[usize]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (end, position) in candidates.iter().enumerate() {
        bytes += items[*position].size();
        if bytes >= BATCH {
            batches.push(start..end + 1);
            (start, bytes) = (end + 1, 0);
        }
    }
    batches.push(start..candidates.len());
    batches
}

fn content<'a>(item: &Item<'a>) -> Option<&'a Content> {
    match item.data {
        Data::Flat(content) => Some(content),
        _ => None,
    }
}

fn fingerprint(item: &Item<'_>, buffer: &mut [u8], progress: &Progress) -> Result<Fingerprint, WriteError> {
    let mut digest = Sha256::new();
    if let Some(content) = content(item) {
        let failed = |source| WriteError::Content { path: item.path.clone(), source };
        let mut opened = content.open().map_err(failed)?;
        let mut offset = 0;
        while offset < content.size() {
            let rest = usize::try_from(content.size() - offset).unwrap_or(usize::MAX);
            let part = &mut buffer[..rest.min(BUFFER)];
            content.fill(&mut opened, offset, part).map_err(failed)?;
            digest.update(&*part);
            offset += part.len() as u64;
            progress.add(part.len() as u64);
        }
    }
    Ok(digest.finalize().into())
}
