//! What kind of image is this? Looks at a few fixed places and nothing else.

use std::io::{self, Read, Seek, SeekFrom};

use crate::crc::crc32c;
use crate::erofs::{MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};

/// Where an EROFS superblock lies.
const SUPERBLOCK: u64 = SUPERBLOCK_OFFSET as u64;

/// The first bytes of a squashfs image.
const SQUASHFS_MAGIC: &[u8] = b"hsqs";

/// The first bytes of the second sector of a partitioned disk, whose size may be either.
const GPT_MAGIC: &[u8] = b"EFI PART";

/// Sizes of a sector that disks with a partition table have.
const SECTORS: [u64; 2] = [512, 4096];

/// The largest block an EROFS image may claim, as a power of two: 64 KiB.
const LARGEST_BLOCK_BITS: u8 = 16;

/// Set in an EROFS superblock that carries a checksum.
const HAS_CHECKSUM: u32 = 1;

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An EROFS filesystem.
    Erofs(Superblock),
    /// A squashfs filesystem.
    Squashfs,
    /// A disk with a GUID partition table.
    Gpt {
        /// Size of its sectors in bytes.
        sector: u64,
    },
    /// None of these.
    Unknown,
}

/// What the superblock of an EROFS image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Size of a block in bytes.
    pub block_size: u64,
    /// Size of the image in bytes by its own account. A file that is shorter is incomplete.
    pub size: u64,
    /// Modification time of what has none of its own, in seconds since 1970.
    pub timestamp: u64,
    /// The filesystem's UUID.
    pub uuid: [u8; 16],
    /// Features that a kernel must know to mount it.
    pub features: u32,
    /// What the checksum says.
    pub checksum: Checksum,
}

/// What the checksum of a superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// There is none.
    Absent,
    /// It is right.
    Valid,
    /// It is wrong, or the block it covers is cut short.
    Wrong,
}

/// Why an image could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the image at offset {offset}")]
pub struct ProbeError {
    /// Where it was to be read.
    pub offset: u64,
    /// Why not.
    pub source: io::Error,
}

/// Finds out what `image` is. Whatever it holds, the answer costs a few reads.
pub fn probe(image: &mut (impl Read + Seek)) -> Result<Kind, ProbeError> {
    if read(image, 0, SQUASHFS_MAGIC.len())? == SQUASHFS_MAGIC {
        return Ok(Kind::Squashfs);
    }
    let superblock = read(image, SUPERBLOCK, SUPERBLOCK_SIZE)?;
    if let Some(kind) = erofs(image, &superblock)? {
        return Ok(Kind::Erofs(kind));
    }
    for sector in SECTORS {
        if read(image, sector, GPT_MAGIC.len())? == GPT_MAGIC {
            return Ok(Kind::Gpt { sector });
        }
    }
    Ok(Kind::Unknown)
}

fn erofs(image: &mut (impl Read + Seek), bytes: &[u8]) -> Result<Option<Superblock>, ProbeError> {
    let field = Field(bytes);
    if bytes.len() < SUPERBLOCK_SIZE || field.u32(0) != MAGIC {
        return Ok(None);
    }
    let block_bits = bytes[12];
    if !(9..=LARGEST_BLOCK_BITS).contains(&block_bits) {
        return Ok(None);
    }
    let block_size = 1 << block_bits;
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[48..64]);
    let checksum = if field.u32(8) & HAS_CHECKSUM == 0 {
        Checksum::Absent
    } else {
        checksum(image, block_size, field.u32(4))?
    };
    Ok(Some(Superblock {
        block_size,
        size: u64::from(field.u32(36)) * block_size,
        timestamp: field.u64(24),
        uuid,
        features: field.u32(80),
        checksum,
    }))
}

/// The checksum covers the block from the superblock on, with zeros in its own place.
fn checksum(image: &mut (impl Read + Seek), block: u64, expected: u32) -> Result<Checksum, ProbeError> {
    let length = if block > SUPERBLOCK { block - SUPERBLOCK } else { block };
    let length = usize::try_from(length).expect("the caller has checked the size of a block");
    let mut bytes = read(image, SUPERBLOCK, length)?;
    if bytes.len() < length {
        return Ok(Checksum::Wrong);
    }
    bytes[4..8].fill(0);
    Ok(if crc32c(&bytes) == expected { Checksum::Valid } else { Checksum::Wrong })
}

/// Up to `length` bytes from `offset` on; fewer at the end.
fn read(image: &mut (impl Read + Seek), offset: u64, length: usize) -> Result<Vec<u8>, ProbeError> {
    let mut bytes = Vec::with_capacity(length);
    image
        .seek(SeekFrom::Start(offset))
        .and_then(|_| image.take(length as u64).read_to_end(&mut bytes))
        .map_err(|source| ProbeError { offset, source })?;
    Ok(bytes)
}

/// Little-endian fields of bytes that are known to be long enough.
struct Field<'a>(&'a [u8]);

impl Field<'_> {
    fn u32(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[offset..offset + 4]);
        u32::from_le_bytes(bytes)
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from(self.u32(offset)) | u64::from(self.u32(offset + 4)) << 32
    }
}
