//! Derives salts and UUIDs without meaning from a seed: HMAC-SHA-256 of a word, as in `systemd-repart
//! --seed=`.

use sha2::{Digest, Sha256};

use super::BLOCK_USIZE;

/// Size in bytes of a block of SHA-256, to which HMAC pads its key.
const HMAC_BLOCK: usize = 64;

/// The seed for the salts and UUIDs of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl Seed {
    /// The default seed of an image, from its first 4096 bytes, or fewer if it is shorter. They contain the
    /// UUID of a file system.
    pub fn of_first_block(image: &[u8]) -> Self {
        let digest = Sha256::digest(&image[..image.len().min(BLOCK_USIZE)]);
        let mut seed = [0; 16];
        seed.copy_from_slice(&digest[..16]);
        Self(seed)
    }

    /// 32 bytes for `word`.
    pub fn salt(&self, word: &[u8]) -> [u8; 32] {
        let pad = |byte: u8| {
            let mut block = [byte; HMAC_BLOCK];
            block.iter_mut().zip(self.0).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(word).finalize();
        Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
    }

    /// A UUID (version 4) for `word`.
    pub fn uuid(&self, word: &[u8]) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.salt(word)[..16]);
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        uuid
    }
}
