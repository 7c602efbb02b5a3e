//! Compresses the files of a tree into the spool, and decides how each of them is stored.
//!
//! Files are split into segments, which threads compress independently of each other. The results are used in
//! the order of the files, so that the number of threads does not change the image.

use std::num::NonZero;

use sha2::{Digest, Sha256};

use super::clusters::{self, Clusters, Encoder, Extent, TAIL, for_packed};
use super::error::WriteError;
use super::features::Features;
use super::layout::{Clustered, Data, Item};
use super::packed::Packed;
use crate::codec::{Codec, LibraryError};
use crate::erofs::format::BLOCK_USIZE;
use crate::parallel;
use crate::progress::{Progress, Stage};
use crate::spool::Spool;
use crate::tree::{Content, Node};

/// How many files may have their tail in the packed inode, so that all tails begin below 4 GiB: a compact
/// index has no room for larger offsets.
const TAILS: u64 = (1 << 32) / TAIL as u64;

/// The minimum total size of all small files for which there is a packed inode, in bytes.
const LEAST_SMALL: u64 = 64 * 1024;

/// A part of a file, which one thread compresses.
struct Segment<'a> {
    /// Position of the file's item.
    item: usize,
    content: &'a Content,
    offset: u64,
    length: u64,
    /// Whether its tail goes to the packed inode.
    leaves_tail: bool,
}

impl Segment<'_> {
    fn is_last(&self) -> bool {
        self.offset + self.length == self.content.size()
    }
}

/// How threads compress.
#[derive(Clone, Copy)]
struct Work<'a> {
    codec: Codec,
    threads: NonZero<usize>,
    progress: &'a Progress,
}

/// The result of a segment.
struct Outcome {
    clusters: Clusters,
    /// Length and digest of the tail that was left.
    tail: Option<(u64, [u8; 32])>,
}

/// Compresses every file that gets smaller, and returns a digest of all clusters. `node` is the node of the
/// packed inode, which becomes the last item if it is needed.
pub(super) fn compress<'a>(
    items: &mut Vec<Item<'a>>,
    node: &'a Node,
    codec: Codec,
    features: Features,
    threads: NonZero<usize>,
    progress: &Progress,
    spool: &mut Spool,
) -> Result<[u8; 32], WriteError> {
    let mut digest = Sha256::new();
    let mut packed = Packed::default();
    let small = if features.fragments { small_files(items) } else { Vec::new() };
    let segments = segments(items, codec, features, &small);
    progress.begin(Stage::Compressing, segments.iter().map(|segment| segment.length).sum());
    let work = Work { codec, threads, progress };
    compress_files(items, &segments, work, spool, &mut packed, &mut digest)?;
    for position in small {
        let Data::Flat(content) = items[position].data else { continue };
        let offset = packed.add(position, content, 0);
        items[position].data = Data::Fragment { size: content.size(), offset };
    }
    if packed.length() > 0 {
        progress.begin(Stage::Packing, packed.length());
        let data = pack(&packed, items, work, spool, &mut digest)?;
        items.push(Item::new(node, data));
    }
    for position in 0..items.len() {
        if let Some(first) = items[position].same_as
            && let data @ (Data::Clustered(_) | Data::Fragment { .. }) = &items[first].data
        {
            items[position].data = data.clone();
        }
    }
    Ok(digest.finalize().into())
}

/// Compresses the files that are large enough for clusters of their own.
fn compress_files<'a>(
    items: &mut [Item<'a>],
    segments: &[Segment<'a>],
    work: Work<'_>,
    spool: &mut Spool,
    packed: &mut Packed<'a>,
    digest: &mut Sha256,
) -> Result<(), WriteError> {
    let mut settled = Vec::new();
    let mut extents: Vec<Extent> = Vec::new();
    let mut start = spool.length();
    parallel::ordered(
        segments,
        work.threads,
        || Encoder::new(work.codec),
        |encoder, segment| {
            let path = || items[segment.item].path.clone();
            let mut input = buffer(segment.length);
            let read = segment.content.read_at(segment.offset, &mut input);
            read.map_err(|source| WriteError::Content { path: path(), source })?;
            let clusters = encode(encoder, &input, segment.leaves_tail)
                .map_err(|source| WriteError::Compress { path: path(), source })?;
            let tail = &input[input.len() - clusters.left..];
            work.progress.add(segment.length);
            let tail = (!tail.is_empty()).then(|| (tail.len() as u64, Sha256::digest(tail).into()));
            Ok::<_, WriteError>(Outcome { clusters, tail })
        },
        |segment, Outcome { clusters, tail }| {
            extents.extend_from_slice(&clusters.extents);
            digest.update(clusters.digest);
            spool.append(&clusters.data)?;
            if !segment.is_last() {
                return Ok(());
            }
            let extents = std::mem::take(&mut extents);
            let blocks: u64 = extents.iter().map(|extent| u64::from(extent.blocks)).sum();
            let length = tail.map_or(0, |(length, _)| length);
            match u32::try_from(blocks) {
                Ok(count) if items[segment.item].is_smaller_in(blocks, length) => {
                    let tail = tail.map(|(length, digest)| {
                        let offset = segment.content.size() - length;
                        packed.add_tail(segment.item, segment.content, offset, digest)
                    });
                    let clustered = Clustered {
                        size: segment.content.size(),
                        extents: extents.into(),
                        spooled: start,
                        blocks: count,
                        tail: tail.map(|start| u32::try_from(start).expect("bounded by TAILS")),
                    };
                    settled.push((segment.item, Data::Clustered(clustered)));
                }
                _ => spool.truncate(start),
            }
            start = spool.length();
            Ok(())
        },
    )?;
    for (position, data) in settled {
        items[position].data = data;
    }
    Ok(())
}

/// The segments of all files that are compressed separately, not in the packed inode as those in `packed`.
fn segments<'a>(items: &[Item<'a>], codec: Codec, features: Features, packed: &[usize]) -> Vec<Segment<'a>> {
    let step = clusters::segment(codec);
    let mut segments = Vec::new();
    let mut tails = 0;
    for (item, content) in files(items) {
        let size = content.size();
        // What fits into one block cannot get smaller.
        if size <= BLOCK_USIZE as u64 || packed.binary_search(&item).is_ok() {
            continue;
        }
        let leaves_tail = features.fragments && size > TAIL as u64 && tails < TAILS;
        tails += u64::from(leaves_tail);
        for offset in (0..size).step_by(step) {
            let length = (size - offset).min(step as u64);
            let leaves_tail = leaves_tail && offset + length == size;
            segments.push(Segment { item, content, offset, length, leaves_tail });
        }
    }
    segments
}

/// The files without an equal earlier one, with their positions.
fn files<'i, 'a>(items: &'i [Item<'a>]) -> impl Iterator<Item = (usize, &'a Content)> + 'i {
    items.iter().enumerate().filter_map(|(position, item)| match item.data {
        Data::Flat(content) if item.same_as.is_none() => Some((position, content)),
        _ => None,
    })
}

/// Positions of the files that go completely to the packed inode; empty if their total size is too small.
/// They stay in the order of the tree: sorting by suffix made images no smaller, and reads of a directory
/// slower.
fn small_files(items: &[Item<'_>]) -> Vec<usize> {
    let is_small = |(position, content): &(usize, &Content)| {
        content.size() <= TAIL as u64 && !items[*position].is_best_inline()
    };
    let size: u64 = files(items).filter(is_small).map(|(_, content)| content.size()).sum();
    if size < LEAST_SMALL {
        return Vec::new();
    }
    files(items).filter(is_small).map(|(position, _)| position).collect()
}

/// Compresses the packed inode, which is stored in clusters even if they are not smaller.
fn pack<'a>(
    packed: &Packed<'_>,
    items: &[Item<'_>],
    work: Work<'_>,
    spool: &mut Spool,
    digest: &mut Sha256,
) -> Result<Data<'a>, WriteError> {
    let size = packed.length();
    let step = clusters::segment(work.codec);
    let starts: Vec<u64> = (0..size).step_by(step).collect();
    let mut extents: Vec<Extent> = Vec::new();
    let spooled = spool.length();
    parallel::ordered(
        &starts,
        work.threads,
        || Encoder::new(for_packed(work.codec)),
        |encoder, start| {
            let mut input = buffer((size - start).min(step as u64));
            packed.read(*start, &mut input, items)?;
            work.progress.add(input.len() as u64);
            encode(encoder, &input, false)
                .map_err(|source| WriteError::Compress { path: packed.path(*start, items), source })
        },
        |_, clusters| {
            extents.extend_from_slice(&clusters.extents);
            digest.update(clusters.digest);
            Ok(spool.append(&clusters.data)?)
        },
    )?;
    let blocks = extents.iter().map(|extent| u64::from(extent.blocks)).sum();
    let blocks = u32::try_from(blocks).map_err(|_| WriteError::TooLarge { blocks })?;
    Ok(Data::Clustered(Clustered { size, extents: extents.into(), spooled, blocks, tail: None }))
}

fn buffer(length: u64) -> Vec<u8> {
    vec![0; usize::try_from(length).expect("at most a segment")]
}

fn encode(
    encoder: &mut Result<Option<Encoder>, LibraryError>,
    input: &[u8],
    leaves_tail: bool,
) -> Result<Clusters, LibraryError> {
    match encoder {
        Ok(Some(encoder)) => {
            let mut clusters = encoder.encode(input, leaves_tail)?;
            clusters.digest = Sha256::digest(&clusters.data).into();
            Ok(clusters)
        }
        Ok(None) => Ok(Clusters::default()),
        Err(error) => Err(error.clone()),
    }
}
