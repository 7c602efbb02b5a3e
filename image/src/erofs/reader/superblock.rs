//! Reads the fields of a superblock that describe the image as a whole, and verifies its checksum, which
//! `erofs-rs` does not tell.

use std::io::{self, Read, Seek, SeekFrom};

use crate::crc::crc32c;
use crate::erofs::format::{CHECKSUM_OFFSET, COMPAT_CHECKSUM, MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};

/// The smallest block of an image, as a power of two in bytes: 512.
const BLOCK_BITS_MIN: u8 = 9;

/// The largest block of an image, as a power of two in bytes: 64 KiB.
const BLOCK_BITS_MAX: u8 = 16;

/// Offset of the block size in the superblock, in bytes.
const BLOCK_BITS_OFFSET: usize = 12;

/// The fields of a superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Size of a block in bytes.
    pub(crate) block_size: u64,
    /// Size of the image in bytes. A shorter file is truncated.
    pub(crate) size: u64,
    /// The number of inodes.
    pub(crate) inodes: u64,
    /// The block with the first inode.
    pub(crate) metadata_block: u32,
    /// Modification time of inodes that have none, in seconds since 1970.
    pub(crate) timestamp: u64,
    pub(crate) uuid: [u8; 16],
    /// `feature_incompat`: features that a kernel must know to mount the image.
    pub(crate) features: u32,
    /// Bits of the algorithms, or in older images the maximum distance of lz4.
    pub(crate) algorithms: u16,
    /// How many other devices hold content.
    pub(crate) devices: u16,
    pub(crate) checksum: Checksum,
}

/// Whether the checksum of a superblock is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The superblock has none.
    Absent,
    /// It is correct.
    Valid,
    /// It is wrong, or the block that it covers is truncated.
    Wrong,
}

/// Why a superblock could not be read.
#[derive(Debug)]
pub(crate) enum SuperblockError {
    /// A field is invalid.
    Invalid {
        /// Its offset in the image, in bytes.
        offset: u64,
        defect: &'static str,
    },
    /// The image could not be read.
    Read { offset: u64, source: io::Error },
}

impl Superblock {
    pub(crate) fn read(image: &mut (impl Read + Seek)) -> Result<Self, SuperblockError> {
        let bytes = read(image, SUPERBLOCK_SIZE)?;
        let invalid = |field: usize, defect| {
            Err(SuperblockError::Invalid { offset: (SUPERBLOCK_OFFSET + field) as u64, defect })
        };
        let Ok(bytes) = <[u8; SUPERBLOCK_SIZE]>::try_from(bytes) else {
            return invalid(0, "the image ends inside it");
        };
        let fields = Fields(&bytes);
        if fields.u32(0) != MAGIC {
            return invalid(0, "its magic number is wrong");
        }
        let block_bits = bytes[BLOCK_BITS_OFFSET];
        if !(BLOCK_BITS_MIN..=BLOCK_BITS_MAX).contains(&block_bits) {
            return invalid(BLOCK_BITS_OFFSET, "its block size is not between 512 and 65536 bytes");
        }
        let block_size = 1 << block_bits;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[48..64]);
        let checksum = match fields.u32(8) & COMPAT_CHECKSUM {
            0 => Checksum::Absent,
            _ => checksum(image, block_size, fields.u32(CHECKSUM_OFFSET))?,
        };
        Ok(Self {
            block_size,
            size: u64::from(fields.u32(36)) * block_size,
            inodes: fields.u64(16),
            metadata_block: fields.u32(40),
            timestamp: fields.u64(24),
            uuid,
            features: fields.u32(80),
            algorithms: fields.u16(84),
            devices: fields.u16(86),
            checksum,
        })
    }
}

/// The checksum covers the block from the superblock on, with zeros in its own place.
fn checksum(
    image: &mut (impl Read + Seek),
    block_size: u64,
    expected: u32,
) -> Result<Checksum, SuperblockError> {
    let before = SUPERBLOCK_OFFSET as u64;
    let length = if block_size > before { block_size - before } else { block_size };
    let length = usize::try_from(length).expect("the caller has checked the block size");
    let mut bytes = read(image, length)?;
    if bytes.len() < length {
        return Ok(Checksum::Wrong);
    }
    bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4].fill(0);
    Ok(if crc32c(&bytes) == expected { Checksum::Valid } else { Checksum::Wrong })
}

/// Up to `length` bytes from the superblock on; fewer at the end of the image.
fn read(image: &mut (impl Read + Seek), length: usize) -> Result<Vec<u8>, SuperblockError> {
    let offset = SUPERBLOCK_OFFSET as u64;
    let mut bytes = Vec::with_capacity(length);
    image
        .seek(SeekFrom::Start(offset))
        .and_then(|_| image.take(length as u64).read_to_end(&mut bytes))
        .map_err(|source| SuperblockError::Read { offset, source })?;
    Ok(bytes)
}

/// Little-endian fields of a superblock.
struct Fields<'a>(&'a [u8; SUPERBLOCK_SIZE]);

impl Fields<'_> {
    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.0[offset], self.0[offset + 1]])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from(self.u16(offset)) | u32::from(self.u16(offset + 2)) << 16
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from(self.u32(offset)) | u64::from(self.u32(offset + 4)) << 32
    }
}
