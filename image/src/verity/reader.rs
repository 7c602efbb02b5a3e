//! Verifies an image against a root hash, from the root down to the requested blocks.
//!
//! One block of each level is cached, so that reading an image from front to back reads every block of the
//! tree once, with the memory of a few blocks.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::DIGEST;
use super::error::VerifyError;
use super::leaves::Salted;
use super::root_hash::RootHash;
use super::shape::Shape;
use super::superblock::{SUPERBLOCK_SIZE, Superblock};

/// How much of an image is read at a time in bytes, or one block if that is larger.
const READ: u32 = 256 << 10;

/// Verifies blocks of an image with its tree and root hash.
#[derive(Debug)]
pub struct Verifier<H> {
    hashes: H,
    superblock: Superblock,
    shape: Shape,
    salted: Salted,
    root_hash: RootHash,
    /// For each level, from the lowest up, the last block that was verified.
    checked: Vec<Option<(u64, Vec<u8>)>>,
}

impl<H: Read + Seek> Verifier<H> {
    /// Opens the tree whose superblock is at `offset` of `hashes`.
    ///
    /// Nothing is verified yet, not even the superblock.
    pub fn open(mut hashes: H, offset: u64, root_hash: RootHash) -> Result<Self, VerifyError> {
        let length =
            hashes.seek(SeekFrom::End(0)).map_err(|source| VerifyError::ReadHash { offset, source })?;
        let too_short = |end: u64| VerifyError::TooShort { length, end };
        match offset.checked_add(SUPERBLOCK_SIZE as u64) {
            Some(end) if end <= length => {}
            end => return Err(too_short(end.unwrap_or(u64::MAX))),
        }
        let mut bytes = [0; SUPERBLOCK_SIZE];
        hashes
            .seek(SeekFrom::Start(offset))
            .and_then(|_| hashes.read_exact(&mut bytes))
            .map_err(|source| VerifyError::ReadHash { offset, source })?;
        let superblock = Superblock::parse(&bytes, offset)?;
        let shape = Shape::new(offset, superblock.hash_block.into(), superblock.data_blocks)
            .ok_or_else(|| too_short(u64::MAX))?;
        if shape.end > length && !shape.levels.is_empty() {
            return Err(too_short(shape.end));
        }
        let salted = Salted::new(&superblock.salt);
        let checked = shape.levels.iter().map(|_| None).collect();
        Ok(Self { hashes, superblock, shape, salted, root_hash, checked })
    }

    /// The superblock, which is verified once any block is.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Verifies the whole image, whose length must be what the tree covers.
    pub fn verify(&mut self, image: &mut (impl Read + Seek)) -> Result<(), VerifyError> {
        let covered = self.superblock.data_size();
        let length =
            image.seek(SeekFrom::End(0)).map_err(|source| VerifyError::ReadData { offset: 0, source })?;
        if length != covered {
            return Err(VerifyError::Length { length, covered });
        }
        self.verify_range(image, 0..covered)
    }

    /// Verifies the blocks of the image in a range of bytes.
    pub fn verify_range(
        &mut self,
        image: &mut (impl Read + Seek),
        range: Range<u64>,
    ) -> Result<(), VerifyError> {
        let covered = self.superblock.data_size();
        if range.end > covered {
            return Err(VerifyError::Range { offset: range.end, covered });
        }
        if range.is_empty() {
            return Ok(());
        }
        let block = u64::from(self.superblock.data_block);
        let (mut next, end) = (range.start / block, range.end.div_ceil(block));
        let at_once = u64::from(READ.max(self.superblock.data_block)) / block;
        image
            .seek(SeekFrom::Start(next * block))
            .map_err(|source| VerifyError::ReadData { offset: next * block, source })?;
        let mut buffer = Vec::new();
        while next < end {
            let size = in_memory(at_once.min(end - next) * block);
            buffer.resize(size, 0);
            image
                .read_exact(&mut buffer)
                .map_err(|source| VerifyError::ReadData { offset: next * block, source })?;
            for data in buffer.chunks_exact(in_memory(block)) {
                self.verify_block(next, data)?;
                next += 1;
            }
        }
        Ok(())
    }

    /// Verifies one block of the image. Its number must be below the number of blocks.
    pub(super) fn verify_block(&mut self, number: u64, data: &[u8]) -> Result<(), VerifyError> {
        let expected = self.expected(0, number)?;
        if self.salted.hash(data) == expected {
            Ok(())
        } else {
            Err(VerifyError::Data { offset: number * u64::from(self.superblock.data_block) })
        }
    }

    /// The hash of a block in the level above it. Level 0 is the image.
    fn expected(&mut self, level: usize, number: u64) -> Result<[u8; DIGEST], VerifyError> {
        if level == self.shape.levels.len() {
            return Ok(self.root_hash.0);
        }
        let per_block = self.shape.per_block();
        let start = in_memory(number % per_block) * DIGEST;
        let hashes = self.hash_block(level, number / per_block)?;
        let mut hash = [0; DIGEST];
        hash.copy_from_slice(&hashes[start..start + DIGEST]);
        Ok(hash)
    }

    /// A verified block of the tree, `index` levels above the lowest.
    fn hash_block(&mut self, index: usize, number: u64) -> Result<&[u8], VerifyError> {
        let is_cached = matches!(&self.checked[index], Some((kept, _)) if *kept == number);
        if !is_cached {
            let block = self.read_hash_block(index, number)?;
            self.checked[index] = Some((number, block));
        }
        let (_, block) = self.checked[index].as_ref().expect("it was just stored");
        Ok(block)
    }

    fn read_hash_block(&mut self, index: usize, number: u64) -> Result<Vec<u8>, VerifyError> {
        let level = self.shape.levels[index];
        let offset = level.offset + number * self.shape.hash_block;
        let expected = self.expected(index + 1, number)?;
        let mut block = vec![0; in_memory(self.shape.hash_block)];
        self.hashes
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.hashes.read_exact(&mut block))
            .map_err(|source| VerifyError::ReadHash { offset, source })?;
        if self.salted.hash(&block) != expected {
            let is_top = index + 1 == self.shape.levels.len();
            return Err(VerifyError::Hash { level: index + 1, offset, is_top });
        }
        // Without this a superblock could claim a shorter image under the same root hash
        let used = in_memory((level.hashes - number * self.shape.per_block()).min(self.shape.per_block()));
        if block[used * DIGEST..].iter().any(|byte| *byte != 0) {
            return Err(VerifyError::Spare { level: index + 1, offset: offset + (used * DIGEST) as u64 });
        }
        Ok(block)
    }
}

/// The size in memory of at most a few blocks.
fn in_memory(size: u64) -> usize {
    usize::try_from(size).expect("a block has at most 512 KiB")
}
