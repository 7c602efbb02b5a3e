//! The superblock of a tree: 512 bytes, with little-endian integers.
//!
//! ```text
//!   0   8  "verity\0\0"
//!   8   4  version, 1
//!  12   4  hash type, 1: the salt is hashed before the block (0, of Chrome OS: after it)
//!  16  16  UUID
//!  32  32  hash algorithm, padded with zeros
//!  64   4  size of a data block
//!  68   4  size of a hash block
//!  72   8  number of data blocks
//!  80   2  size of the salt
//!  88 256  salt
//! ```

use super::error::VerifyError;
use super::{BLOCK_USIZE, SALT_MAX};

/// Size of the superblock in bytes.
pub(super) const SUPERBLOCK_SIZE: usize = 512;

/// The start of a superblock.
const MAGIC: &[u8; 8] = b"verity\0\0";

/// The only version.
const VERSION: u32 = 1;

/// The hash type: the salt is hashed before the block.
const HASH_TYPE: u32 = 1;

/// The hash algorithm, padded with zeros.
const ALGORITHM: &[u8; 32] = b"sha256\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Sizes of blocks in bytes that veritysetup supports; they must be powers of two.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 512..=512 << 10;

/// The superblock of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The tree's UUID.
    pub uuid: [u8; 16],
    /// Size of a block of the image in bytes.
    pub data_block: u32,
    /// Size of a block of the tree in bytes.
    pub hash_block: u32,
    /// The number of blocks of the image.
    pub data_blocks: u64,
    /// The salt, which is hashed before each block.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// The number of bytes of the image that the tree covers.
    pub fn data_size(&self) -> u64 {
        // Cannot overflow: `parse` checks it, and the writer counts real blocks
        u64::from(self.data_block) * self.data_blocks
    }

    /// The first block of a tree: the superblock, padded with zeros.
    pub(super) fn to_block(&self) -> [u8; BLOCK_USIZE] {
        let mut block = [0; BLOCK_USIZE];
        let mut put = |offset: usize, bytes: &[u8]| block[offset..][..bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &HASH_TYPE.to_le_bytes());
        put(16, &self.uuid);
        put(32, ALGORITHM);
        put(64, &self.data_block.to_le_bytes());
        put(68, &self.hash_block.to_le_bytes());
        put(72, &self.data_blocks.to_le_bytes());
        let salt_size = u16::try_from(self.salt.len()).expect("a salt has at most 256 bytes");
        put(80, &salt_size.to_le_bytes());
        put(88, &self.salt);
        block
    }

    /// Parses the superblock at `offset` of its file.
    pub(super) fn parse(bytes: &[u8; SUPERBLOCK_SIZE], offset: u64) -> Result<Self, VerifyError> {
        let field = Field(bytes);
        let refuse = |at: u64, reason: String| VerifyError::Superblock { offset: offset + at, reason };
        if !bytes.starts_with(MAGIC) {
            return Err(refuse(0, "no verity superblock".into()));
        }
        if field.u32(8) != VERSION {
            return Err(refuse(8, format!("unknown verity version {}", field.u32(8))));
        }
        if field.u32(12) != HASH_TYPE {
            return Err(refuse(12, format!("verity hash type {} is not supported, only 1", field.u32(12))));
        }
        if bytes[32..64] != *ALGORITHM {
            let name: String = String::from_utf8_lossy(&bytes[32..64]).trim_end_matches('\0').into();
            return Err(refuse(32, format!("the hash algorithm {name:?} is not supported, only sha256")));
        }
        for (at, what) in [(64, "data"), (68, "hash")] {
            let size = field.u32(at);
            if !size.is_power_of_two() || !BLOCK_SIZES.contains(&size) {
                let reason = format!("the {what} block size {size} is not a power of two from 512 to 524288");
                return Err(refuse(at as u64, reason));
            }
        }
        let (data_block, data_blocks) = (field.u32(64), field.u64(72));
        if data_blocks == 0 || data_blocks.checked_mul(data_block.into()).is_none() {
            return Err(refuse(72, format!("invalid number of blocks {data_blocks}")));
        }
        let salt_size = usize::from(field.u16(80));
        let Some(salt) = bytes[88..88 + SALT_MAX].get(..salt_size) else {
            return Err(refuse(80, format!("a salt of {salt_size} bytes is longer than 256")));
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        Ok(Self { uuid, data_block, hash_block: field.u32(68), data_blocks, salt: salt.to_vec() })
    }
}

/// Little-endian fields of the superblock.
struct Field<'a>(&'a [u8; SUPERBLOCK_SIZE]);

impl Field<'_> {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[offset..offset + N]);
        bytes
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.bytes(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }
}
