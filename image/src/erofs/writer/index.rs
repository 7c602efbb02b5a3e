//! Encodes the compact index of a compressed file: for each block of the file, the start of its extent.
//!
//! Entries come in packs that share one block address: 16 entries of 14 bits in 32 bytes, and,
//! before and after those, 2 entries of 16 bits in 8 bytes. The wide packs must lie at multiples
//! of 32 bytes, so the address of the index decides how many narrow ones come first.
//!
//! The format also has indexes of eight bytes per block. They are needed only for tails beyond 4 GiB of the
//! packed inode, for clusters that several files share, and for extents of more than 2047 blocks, which this
//! writer never creates.

use super::clusters::{Extent, Form};
use crate::erofs::format::{BLOCK, BLOCK_BITS, BlockKind, CLUSTER_BLOCKS};

/// Bytes of a pack of two entries.
const NARROW: u64 = 8;
/// Entries in it.
const NARROW_ENTRIES: u64 = 2;
/// Bytes of a pack of sixteen entries.
const WIDE: u64 = 32;
/// Entries in it.
const WIDE_ENTRIES: u64 = 16;
/// Size of the block address at the end of every pack, in bytes.
const ADDRESS: u64 = 4;

/// The packs of an index, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packs {
    narrow_before: u64,
    wide: u64,
    narrow_after: u64,
}

impl Packs {
    /// The packs for a file of `size` bytes with its index at `offset`, a multiple of 8.
    fn new(size: u64, offset: u64) -> Self {
        let entries = size.div_ceil(BLOCK);
        let before = (offset.next_multiple_of(WIDE) - offset) / NARROW;
        if before * NARROW_ENTRIES >= entries {
            return Self { narrow_before: entries.div_ceil(NARROW_ENTRIES), wide: 0, narrow_after: 0 };
        }
        let entries = entries - before * NARROW_ENTRIES;
        let wide = entries / WIDE_ENTRIES;
        let after = (entries - wide * WIDE_ENTRIES).div_ceil(NARROW_ENTRIES);
        Self { narrow_before: before, wide, narrow_after: after }
    }
}

/// The size of the index of a file, in bytes.
pub(super) fn size(file: u64, offset: u64) -> u64 {
    let packs = Packs::new(file, offset);
    (packs.narrow_before + packs.narrow_after) * NARROW + packs.wide * WIDE
}

/// The index of a file whose extents start at `first_block`, to be written at `offset`. If the extents do not
/// cover the file, its tail is in the packed inode.
pub(super) fn encode(extents: &[Extent], file: u64, first_block: u32, offset: u64) -> Vec<u8> {
    let entries = entries(extents, file, first_block);
    let packs = Packs::new(file, offset);
    let mut out = Vec::new();
    let mut rest = entries.as_slice();
    for (count, bytes, capacity) in [
        (packs.narrow_before, NARROW, NARROW_ENTRIES),
        (packs.wide, WIDE, WIDE_ENTRIES),
        (packs.narrow_after, NARROW, NARROW_ENTRIES),
    ] {
        for _ in 0..count {
            let capacity_here = usize::try_from(capacity).expect("a pack has at most 16 entries");
            let (pack, after) = rest.split_at(rest.len().min(capacity_here));
            write_pack(&mut out, pack, bytes, capacity);
            rest = after;
        }
    }
    out
}

/// The index entry of one block of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// An extent starts in this block of the file, at this offset.
    Start { kind: BlockKind, offset: u32, address: u32 },
    /// The block after a start, with the number of blocks of the cluster.
    Second { blocks: u32, to_next: u32 },
    /// A later block, with the distances to the start and to the next start.
    Later { from_start: u32, to_next: u32 },
}

fn entries(extents: &[Extent], file: u64, first_block: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut start = 0;
    let mut address = first_block;
    let clustered: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
    let tail = u32::try_from(file - clustered).expect("a tail in the packed inode is at most TAIL");
    let tail = (tail > 0).then_some(Extent { length: tail, blocks: 0, form: Form::Compressed });
    for extent in extents.iter().copied().chain(tail) {
        let kind = match extent.form {
            Form::Stored => BlockKind::Plain,
            Form::Compressed => BlockKind::Head,
        };
        let end = start + u64::from(extent.length);
        entries.push(Entry::Start { kind, offset: in_block(start), address });
        let (first, last) = (start / BLOCK, end / BLOCK);
        for block in first + 1..last {
            let distance = |from, to| u32::try_from(to - from).expect("an extent has fewer than 2048 blocks");
            let to_next = distance(block, last);
            entries.push(if block == first + 1 {
                Entry::Second { blocks: u32::from(extent.blocks), to_next }
            } else {
                Entry::Later { from_start: distance(first, block), to_next }
            });
        }
        start = end;
        address += u32::from(extent.blocks);
    }
    // A last entry ends the last extent if it ends in a block where no extent starts.
    if (entries.len() as u64) < file.div_ceil(BLOCK) {
        entries.push(Entry::Start { kind: BlockKind::Plain, offset: in_block(file), address });
    }
    entries
}

fn in_block(offset: u64) -> u32 {
    u32::try_from(offset % BLOCK).expect("below a block")
}

fn write_pack(out: &mut Vec<u8>, pack: &[Entry], bytes: u64, capacity: u64) {
    let width = (bytes - ADDRESS) * 8 / capacity;
    let mut bits: u64 = 0;
    let mut pending = 0;
    let end = out.len() + usize::try_from(bytes - ADDRESS).expect("a pack has at most 32 bytes");
    for (position, entry) in pack.iter().enumerate() {
        // The last entry of a pack has the distance to the next start, so that readers need not load the
        // next.
        let is_last = position as u64 + 1 == capacity;
        bits |= u64::from(value(*entry, is_last)) << pending;
        pending += width;
        while pending >= 8 {
            let [low, ..] = bits.to_le_bytes();
            out.push(low);
            bits >>= 8;
            pending -= 8;
        }
    }
    out.resize(end, 0);
    out.extend_from_slice(&base(pack).to_le_bytes());
}

fn value(entry: Entry, is_last: bool) -> u32 {
    let (kind, low) = match entry {
        Entry::Start { kind, offset, .. } => (kind, offset),
        Entry::Second { blocks, .. } => (BlockKind::NonHead, blocks | CLUSTER_BLOCKS),
        Entry::Later { to_next, .. } if is_last => (BlockKind::NonHead, to_next),
        Entry::Later { from_start, .. } => (BlockKind::NonHead, from_start),
    };
    (kind as u32) << BLOCK_BITS | low
}

/// The address from which readers count the clusters of a pack: that of the first cluster that starts in it,
/// less the blocks of an earlier cluster whose count is in the first entry.
fn base(pack: &[Entry]) -> u32 {
    let before = match pack.first() {
        Some(Entry::Second { blocks, .. }) => *blocks,
        _ => 0,
    };
    let first = pack.iter().find_map(|entry| match entry {
        Entry::Start { address, .. } => Some(*address),
        _ => None,
    });
    first.map_or(0, |address| address - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(length: u32, blocks: u16) -> Extent {
        Extent { length, blocks, form: Form::Compressed }
    }

    #[test]
    fn an_index_has_the_computed_size() {
        for blocks in 1..100u16 {
            for offset in (0..64).step_by(8) {
                let stored = Extent { length: 4096, blocks: 1, form: Form::Stored };
                let extents = vec![stored; usize::from(blocks)];
                let file = u64::from(blocks) * 4096;
                let index = encode(&extents, file, 9, offset);
                assert_eq!(index.len() as u64, size(file, offset), "{blocks} blocks at {offset}");
            }
        }
    }

    #[test]
    fn the_second_block_counts_the_blocks_of_the_cluster() {
        let list = entries(&[compressed(20_000, 2), compressed(5_000, 1)], 25_000, 100);
        assert_eq!(
            list,
            [
                Entry::Start { kind: BlockKind::Head, offset: 0, address: 100 },
                Entry::Second { blocks: 2, to_next: 3 },
                Entry::Later { from_start: 2, to_next: 2 },
                Entry::Later { from_start: 3, to_next: 1 },
                Entry::Start { kind: BlockKind::Head, offset: 3616, address: 102 },
                Entry::Second { blocks: 1, to_next: 1 },
                Entry::Start { kind: BlockKind::Plain, offset: 424, address: 103 },
            ]
        );
    }

    #[test]
    fn an_uncompressed_tail_within_a_block_has_no_terminator() {
        let tail = Extent { length: 100, blocks: 1, form: Form::Stored };
        let list = entries(&[compressed(8_192, 1), tail], 8_292, 1);
        assert_eq!(list.len(), 3);
        assert_eq!(list[2], Entry::Start { kind: BlockKind::Plain, offset: 0, address: 2 });
    }
}
