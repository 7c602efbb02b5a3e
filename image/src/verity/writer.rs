//! Builds the tree of an image.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZero;

use super::error::WriteError;
use super::leaves::{Leaves, Salted};
use super::root_hash::RootHash;
use super::seed::Seed;
use super::shape::Shape;
use super::superblock::Superblock;
use super::{BLOCK, BLOCK_USIZE, DIGEST, SALT_MAX};

/// How much of an image is read at a time, in bytes.
const COPY: usize = 256 << 10;

/// The parameters of a tree, with which trees of the same image differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    salt: Vec<u8>,
    uuid: [u8; 16],
}

impl Parameters {
    /// Parameters with a salt of at most 256 bytes, and the UUID of the tree.
    pub fn new(salt: &[u8], uuid: [u8; 16]) -> Result<Self, WriteError> {
        if salt.len() > SALT_MAX {
            return Err(WriteError::Salt { size: salt.len() });
        }
        Ok(Self { salt: salt.to_vec(), uuid })
    }

    /// Parameters with the salt of 32 bytes and the UUID that `systemd-repart` derives from a seed.
    pub fn from_seed(seed: &Seed) -> Self {
        Self { salt: seed.salt(b"verity-salt").to_vec(), uuid: seed.uuid(b"verity-uuid") }
    }
}

/// Hashes an image that is written to it, and builds its tree.
///
/// Keeps the hashes in memory, 8 MiB for each GiB of image, and a few MiB of the image itself.
#[derive(Debug)]
pub struct Builder {
    parameters: Parameters,
    salted: Salted,
    leaves: Leaves,
}

impl Builder {
    /// Starts with an empty image. Uses one thread per processor by default. The number of threads does not
    /// change the tree.
    pub fn new(parameters: Parameters, threads: Option<NonZero<usize>>) -> Self {
        let salted = Salted::new(&parameters.salt);
        Self { parameters, leaves: Leaves::new(salted.clone(), threads), salted }
    }

    /// Hashes the next bytes of the image.
    pub fn update(&mut self, bytes: &[u8]) {
        self.leaves.update(bytes);
    }

    /// The tree of the whole image.
    pub fn finish(self) -> Result<HashTree, WriteError> {
        let size = self.leaves.size();
        if size == 0 {
            return Err(WriteError::Empty);
        }
        if !size.is_multiple_of(BLOCK) {
            return Err(WriteError::Partial { size });
        }
        let data_blocks = size / BLOCK;
        let shape = Shape::new(0, BLOCK, data_blocks).expect("the image has this many blocks");
        let mut hashes = self.leaves.finish();
        let mut levels = Vec::with_capacity(shape.levels.len());
        for _ in &shape.levels {
            hashes.resize(hashes.len().next_multiple_of(BLOCK_USIZE), 0);
            let above = self.salted.hash_all(&hashes);
            levels.push(std::mem::replace(&mut hashes, above));
        }
        let mut root_hash = [0; DIGEST];
        root_hash.copy_from_slice(&hashes);
        let Parameters { salt, uuid } = self.parameters;
        let block = u32::try_from(BLOCK).expect("4096 is small");
        let superblock = Superblock { uuid, data_block: block, hash_block: block, data_blocks, salt };
        Ok(HashTree { superblock, levels, root_hash: RootHash(root_hash) })
    }
}

impl Write for Builder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A hash tree with its superblock.
#[derive(Clone, Debug)]
pub struct HashTree {
    superblock: Superblock,
    /// The lowest first, each padded to whole blocks.
    levels: Vec<Vec<u8>>,
    root_hash: RootHash,
}

impl HashTree {
    /// The root hash of the image.
    pub fn root_hash(&self) -> RootHash {
        self.root_hash
    }

    /// Its superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Size in bytes with the superblock, a multiple of 4096.
    pub fn size(&self) -> u64 {
        BLOCK + self.levels.iter().map(|level| level.len() as u64).sum::<u64>()
    }

    /// Writes superblock and tree, like `veritysetup format` to a separate file.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&self.superblock.to_block())?;
        self.levels.iter().rev().try_for_each(|level| out.write_all(level))
    }
}

/// A tree that was appended to its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the superblock, the former end of the image: `--hash-offset=` of veritysetup.
    pub hash_offset: u64,
    /// The root hash of the image.
    pub root_hash: RootHash,
}

/// Hashes a whole image and appends its tree.
pub fn append(
    image: &mut (impl Read + Write + Seek),
    parameters: Parameters,
    threads: Option<NonZero<usize>>,
) -> Result<Appended, WriteError> {
    image.seek(SeekFrom::Start(0)).map_err(|source| WriteError::Read { offset: 0, source })?;
    let mut builder = Builder::new(parameters, threads);
    let mut buffer = vec![0; COPY];
    let mut offset = 0;
    loop {
        match image.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                builder.update(&buffer[..read]);
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(WriteError::Read { offset, source }),
        }
    }
    let tree = builder.finish()?;
    // Writers may have another position than readers
    image
        .seek(SeekFrom::Start(offset))
        .and_then(|_| tree.write_to(image))
        .map_err(|source| WriteError::Append { offset, source })?;
    Ok(Appended { hash_offset: offset, root_hash: tree.root_hash() })
}
