//! Writes an image around a file system that is written once, from front to back.
//!
//! The table at the start needs the root hash, which is known only at the end, so the table is written last.
//! Every byte that is hashed is the byte that is written, even if the file system is created at the same
//! time.

use std::error::Error;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZero;

use super::READ_ONLY;
use super::error::WriteError;
use super::partition_type::{Architecture, Designator, PartitionType, Role};
use super::signature::{PARTITION_SIZE, Signature};
use crate::gpt::{self, Guid, Layout, NewPartition, Sector};
use crate::verity::{BLOCK, Builder, HashTree, Parameters, RootHash, Seed};

/// Size in bytes of what [`Writer::copy`] reads at once.
const COPY: usize = 256 << 10;

/// [`BLOCK`] in memory.
const BLOCK_USIZE: usize = 4096;

/// How to write an image. All options except `threads` affect its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The architecture of the image.
    pub architecture: Architecture,
    /// Whether the file system is a root, as for a system extension, or `/usr`.
    pub designator: Designator,
    /// Size of a sector.
    pub sector: Sector,
    /// The seed for salt and UUIDs, as in `systemd-repart --seed=`. By default, salt and UUID of the tree are
    /// derived from the first block of the file system, which contains its UUID, and the UUIDs of disk and
    /// signature from the root hash: the same file system gives the same image.
    pub seed: Option<Seed>,
    /// The number of threads that hash; by default one per processor.
    pub threads: Option<NonZero<usize>>,
}

impl Options {
    /// Options for a system extension with sectors of 512 bytes.
    pub fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            designator: Designator::Root,
            sector: Sector::Bytes512,
            seed: None,
            threads: None,
        }
    }
}

/// Describes the written image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes.
    pub size: u64,
    /// Offset of the file system in bytes.
    pub filesystem: u64,
    /// The root hash of the file system.
    pub root_hash: RootHash,
}

/// Writes an image. The caller writes the file system to it.
///
/// The output is written from front to back, and its first 20 or 24 KiB again at the end. After an error it
/// contains an incomplete image, which the caller must discard: write to a temporary file and rename it after
/// success.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    options: Options,
    /// Offset of the file system.
    start: u64,
    /// Bytes of it so far, without padding.
    size: u64,
    /// The first block, from which the salt is derived.
    first: Vec<u8>,
    builder: Option<Builder>,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins an image at the start of `out`.
    pub fn new(mut out: W, options: Options) -> Result<Self, WriteError> {
        let start = gpt::first_place(options.sector);
        let gap = vec![0; usize::try_from(start).expect("the head is small")];
        out.seek(SeekFrom::Start(0))
            .and_then(|_| out.write_all(&gap))
            .map_err(|source| WriteError::Output { offset: 0, source })?;
        Ok(Self { out, options, start, size: 0, first: Vec::new(), builder: None })
    }

    /// Writes a file system, or a part of it.
    pub fn copy(&mut self, filesystem: &mut impl Read) -> Result<(), WriteError> {
        let mut buffer = vec![0; COPY];
        loop {
            match filesystem.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    let offset = self.start + self.size;
                    self.write_all(&buffer[..read])
                        .map_err(|source| WriteError::Output { offset, source })?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(WriteError::Read { offset: self.size, source }),
            }
        }
    }

    /// Finishes an image without a signature.
    pub fn finish(self) -> Result<Written, WriteError> {
        let (written, _) = self.end(|_| Ok(None))?;
        Ok(written)
    }

    /// Finishes an image with the signature that `sign` returns for the root hash.
    ///
    /// With the feature `pkcs7`, `sign` can be `|root_hash| Signature::new(&signer, root_hash)`.
    pub fn finish_signed<E: Into<Box<dyn Error + Send + Sync>>>(
        self,
        sign: impl FnOnce(&RootHash) -> Result<Signature, E>,
    ) -> Result<(Written, Signature), WriteError> {
        let (written, signature) = self.end(|root_hash| {
            let signature = sign(root_hash).map_err(|error| WriteError::Sign(error.into()))?;
            if signature.root_hash != *root_hash {
                return Err(WriteError::Sign("the signature is for another root hash".into()));
            }
            Ok(Some(signature))
        })?;
        Ok((written, signature.expect("a signature was made")))
    }

    fn end(
        mut self,
        sign: impl FnOnce(&RootHash) -> Result<Option<Signature>, WriteError>,
    ) -> Result<(Written, Option<Signature>), WriteError> {
        let tree = self.tree()?;
        let root_hash = tree.root_hash();
        let signature = sign(&root_hash)?;
        let partition = signature.as_ref().map(Signature::to_partition).transpose()?;
        let layout = self.layout(&tree, partition.is_some())?;

        let end = self.start + self.size;
        let failed = |source| WriteError::Output { offset: end, source };
        tree.write_to(&mut self.out).map_err(failed)?;
        self.out.write_all(&partition.unwrap_or_default()).map_err(failed)?;
        self.out.write_all(&layout.tail()).map_err(failed)?;
        self.out
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.out.write_all(&layout.head()))
            .and_then(|()| self.out.flush())
            .map_err(|source| WriteError::Output { offset: 0, source })?;
        Ok((Written { size: layout.table().size(), filesystem: self.start, root_hash }, signature))
    }

    /// Pads the last block and builds the tree.
    fn tree(&mut self) -> Result<HashTree, WriteError> {
        let offset = self.start + self.size;
        let missing = self.size.next_multiple_of(BLOCK) - self.size;
        let zeros = &[0; BLOCK_USIZE][..usize::try_from(missing).expect("less than a block")];
        self.write_all(zeros).map_err(|source| WriteError::Output { offset, source })?;
        match self.builder.take() {
            Some(builder) => builder.finish().map_err(WriteError::Verity),
            None => Err(WriteError::Verity(crate::verity::WriteError::Empty)),
        }
    }

    fn layout(&self, tree: &HashTree, is_signed: bool) -> Result<Layout, WriteError> {
        let (options, root_hash) = (&self.options, tree.root_hash());
        let seed = options.seed.unwrap_or(Seed(root_hash.first_half()));
        let mut partitions = vec![
            NewPartition { id: Guid(root_hash.first_half()), ..partition(options, Role::Data, self.size) },
            NewPartition {
                id: Guid(root_hash.second_half()),
                ..partition(options, Role::Verity, tree.size())
            },
        ];
        if is_signed {
            let signature = partition(options, Role::Signature, PARTITION_SIZE);
            partitions.push(NewPartition { id: Guid(seed.uuid(&signature.kind.0)), ..signature });
        }
        Layout::new(options.sector, Guid(seed.uuid(b"disk-uuid")), partitions).map_err(WriteError::Layout)
    }

    fn builder(&mut self) -> &mut Builder {
        let (options, first) = (&self.options, &self.first);
        self.builder.get_or_insert_with(|| {
            let seed = options.seed.unwrap_or_else(|| Seed::of_first_block(first));
            let mut builder = Builder::new(Parameters::from_seed(&seed), options.threads);
            builder.update(first);
            builder
        })
    }
}

impl<W: Write + Seek> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.size += written as u64;
        let (first, rest) = bytes[..written].split_at(written.min(BLOCK_USIZE - self.first.len()));
        self.first.extend_from_slice(first);
        if self.first.len() == BLOCK_USIZE {
            self.builder().update(rest);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn partition(options: &Options, role: Role, size: u64) -> NewPartition {
    let kind = PartitionType { architecture: options.architecture, designator: options.designator, role };
    NewPartition { kind: kind.guid(), id: Guid::ZERO, size, flags: READ_ONLY, name: kind.to_string() }
}
