//! Computes the number of blocks of each level of a tree, and their offsets.

use super::DIGEST;
use super::superblock::SUPERBLOCK_SIZE;

/// The levels of a tree, from the one over the image's blocks to the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Size of a hash block in bytes.
    pub(super) hash_block: u64,
    /// The lowest level first.
    pub(super) levels: Vec<Level>,
    /// End of the tree in its file.
    pub(super) end: u64,
}

/// One level of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Offset of its first block in the file.
    pub(super) offset: u64,
    /// Its number of blocks.
    pub(super) blocks: u64,
    /// Its number of hashes, which is the number of blocks of the level below.
    pub(super) hashes: u64,
}

impl Shape {
    /// The tree over `data_blocks` blocks whose superblock is at `superblock`; `None` if it exceeds the
    /// maximum size of a file.
    pub(super) fn new(superblock: u64, hash_block: u64, data_blocks: u64) -> Option<Self> {
        let per_block = hash_block / DIGEST as u64;
        let mut levels = Vec::new();
        let mut below = data_blocks;
        while below > 1 {
            let blocks = below.div_ceil(per_block);
            levels.push(Level { offset: 0, blocks, hashes: below });
            below = blocks;
        }
        // On disk, the top is first, in the first whole block after the superblock
        let mut end = superblock.checked_add(SUPERBLOCK_SIZE as u64)?.checked_next_multiple_of(hash_block)?;
        for level in levels.iter_mut().rev() {
            level.offset = end;
            end = end.checked_add(level.blocks.checked_mul(hash_block)?)?;
        }
        Some(Self { hash_block, levels, end })
    }

    /// The number of hashes in a full hash block.
    pub(super) fn per_block(&self) -> u64 {
        self.hash_block / DIGEST as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(data_blocks: u64) -> Vec<u64> {
        let shape = Shape::new(0, 4096, data_blocks).unwrap();
        shape.levels.iter().map(|level| level.blocks).collect()
    }

    #[test]
    fn levels_grow_at_powers_of_128() {
        assert!(blocks(1).is_empty());
        assert_eq!(blocks(2), [1]);
        assert_eq!(blocks(128), [1]);
        assert_eq!(blocks(129), [2, 1]);
        assert_eq!(blocks(128 * 128), [128, 1]);
        assert_eq!(blocks(128 * 128 + 1), [129, 2, 1]);
    }

    #[test]
    fn the_top_level_is_first() {
        let shape = Shape::new(8192, 4096, 129).unwrap();
        assert_eq!(shape.levels[1].offset, 12288);
        assert_eq!(shape.levels[0].offset, 16384);
        assert_eq!(shape.end, 24576);
    }

    #[test]
    fn trees_larger_than_any_file_are_rejected() {
        assert_eq!(Shape::new(0, 512, u64::MAX), None);
        assert_eq!(Shape::new(u64::MAX, 4096, 1), None);
    }
}
