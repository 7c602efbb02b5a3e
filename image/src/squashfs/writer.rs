//! Writes a tree as an image: find duplicates, compress, build the tables, then write front to back.

mod directory;
mod error;
mod id;
mod inode;
mod layout;
mod metadata;
mod output;
mod tables;
mod xattr;

use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

pub use error::WriteError;
pub use id::WriterId;

use self::layout::{Contents, Data, Item, Job, Piece, Stored};
use self::tables::{Fragment, Tables};
use super::codec::{Codec, Encoder};
use super::format::{
    BLOCK_LOG_MAX, BLOCK_LOG_MIN, BLOCK_STORED, METADATA_STORED, SUPERBLOCK, Superblock, flags,
};
use crate::codec::LibraryError;
use crate::parallel;
use crate::progress::{Progress, Stage};
use crate::spool::Spool;
use crate::tree::Tree;

/// The default block size in bytes, which mksquashfs uses, too.
const BLOCK_SIZE: u32 = 128 * 1024;

/// How to write an image. Only `codec`, `block_size` and `timestamp` affect its bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// How blocks are compressed.
    pub codec: Codec,
    /// Size of the blocks that files are cut into, in bytes: a power of two, 4096 to 1048576.
    pub block_size: u32,
    /// Modification time of everything, in seconds since 1970.
    pub timestamp: u64,
    /// The number of threads that compress; by default one per processor.
    pub threads: Option<NonZero<usize>>,
    /// The directory for a temporary file of the size of the image; by default `$TMPDIR`.
    pub scratch: Option<PathBuf>,
    /// Counts the bytes done, for display by another thread.
    pub progress: Progress,
}

impl Options {
    /// Options with this codec, this time for all files, and blocks of 128 KiB.
    pub fn new(codec: Codec, timestamp: u64) -> Self {
        Self {
            codec,
            block_size: BLOCK_SIZE,
            timestamp,
            threads: None,
            scratch: None,
            progress: Progress::default(),
        }
    }

    fn block_log(&self) -> Result<u8, WriteError> {
        (BLOCK_LOG_MIN..=BLOCK_LOG_MAX)
            .find(|log| 1 << log == self.block_size)
            .ok_or(WriteError::BlockSize { size: self.block_size })
    }
}

/// Describes the written image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes, a multiple of 4096.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
    /// The id of the writer.
    pub writer: WriterId,
}

/// Writes `tree` to `out` as a squashfs image.
///
/// The same tree, codec, block size and timestamp give the same bytes.
///
/// `out` is written from front to back. After an error it contains the start of an image, which the caller
/// must discard: write to a temporary file and rename it after success.
pub fn write(tree: &Tree, options: &Options, out: impl Write) -> Result<Written, WriteError> {
    let codec = options.codec.checked().map_err(WriteError::Codec)?;
    let block_log = options.block_log()?;
    let timestamp = options.timestamp;
    let time = u32::try_from(timestamp).map_err(|_| WriteError::Timestamp { timestamp })?;
    let threads = match options.threads {
        Some(threads) => threads,
        None => thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
    };

    let parameters = parameters(codec);
    let start = (SUPERBLOCK + parameters.len()) as u64;
    let items = layout::items(tree);
    let progress = &options.progress;
    let contents = layout::contents(&items, options.block_size.into(), threads, progress)?;
    let scratch = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let packing = Packing { items: &items, codec, block_log, start, progress };
    let Packed { stored, fragments, spool } = packing.run(contents, threads, Spool::new(&scratch)?)?;

    let end = start + spool.length();
    let mut encoder = Encoder::new(codec, block_log).map_err(WriteError::Tables)?;
    let tables = tables::make(&items, &stored, &fragments, time, end, &mut encoder)?;
    let superblock = superblock(codec, block_log, time, &fragments, &tables, end);

    let head = [&superblock.bytes()[..], &parameters].concat();
    let (size, sha256) = output::write(&head, &spool, &tables.bytes, progress, out)?;
    Ok(Written { size, sha256, writer: WriterId::new(codec, block_log) })
}

/// The codec's parameters as a metadata block; empty if they are the defaults.
fn parameters(codec: Codec) -> Vec<u8> {
    let parameters = codec.parameters();
    if parameters.is_empty() {
        return parameters;
    }
    let length = u16::try_from(parameters.len()).expect("a few bytes") | METADATA_STORED;
    [&length.to_le_bytes()[..], &parameters].concat()
}

fn superblock(
    codec: Codec,
    block_log: u8,
    time: u32,
    fragments: &[Fragment],
    tables: &Tables,
    end: u64,
) -> Superblock {
    let mut flags = flags::TAILS | flags::DEDUPLICATED | flags::EXPORT;
    if codec == Codec::None {
        flags |= flags::STORED;
    }
    if !codec.parameters().is_empty() {
        flags |= flags::PARAMETERS;
    }
    Superblock {
        inodes: tables.inodes,
        time,
        block_log,
        fragments: u32::try_from(fragments.len()).expect("counted when they were filled"),
        compression: codec.compression() as u16,
        flags,
        ids: tables.ids,
        root: tables.root,
        length: end + tables.bytes.len() as u64,
        id_table: tables.id_table,
        xattr_table: tables.xattr_table,
        inode_table: tables.inode_table,
        directory_table: tables.directory_table,
        fragment_table: tables.fragment_table,
        export_table: tables.export_table,
    }
}

/// Compresses the content of all files.
struct Packing<'a> {
    items: &'a [Item<'a>],
    codec: Codec,
    block_log: u8,
    /// Offset of the first block in the image.
    start: u64,
    progress: &'a Progress,
}

/// The compressed content.
struct Packed {
    stored: Vec<Stored>,
    fragments: Vec<Fragment>,
    spool: Spool,
}

/// The state of a thread.
struct Worker {
    encoder: Result<Encoder, LibraryError>,
    input: Vec<u8>,
}

/// The result of one job.
#[derive(Default)]
struct Blocks {
    data: Vec<u8>,
    /// Length of each block, with the flag of uncompressed ones; zero for blocks of zeros.
    lengths: Vec<u32>,
    /// Bytes of zeros that have no block.
    sparse: u64,
}

impl Packing<'_> {
    fn run(
        &self,
        contents: Contents,
        threads: NonZero<usize>,
        mut spool: Spool,
    ) -> Result<Packed, WriteError> {
        let Contents { mut stored, jobs } = contents;
        let mut fragments = Vec::new();
        let total = jobs.iter().flat_map(Job::pieces).map(|piece| piece.length).sum();
        self.progress.begin(Stage::Compressing, total);
        parallel::ordered(
            &jobs,
            threads,
            || Worker { encoder: Encoder::new(self.codec, self.block_log), input: Vec::new() },
            |worker, job| self.pack(worker, job),
            |job, mut blocks| {
                let start = self.start + spool.length();
                match job {
                    Job::Blocks(piece) => {
                        let file = &mut stored[piece.item];
                        if piece.offset == 0 {
                            file.start = start;
                        }
                        file.blocks.append(&mut blocks.lengths);
                        file.sparse += blocks.sparse;
                    }
                    Job::Fragment(_) => {
                        fragments
                            .extend(blocks.lengths.iter().map(|length| Fragment { start, length: *length }));
                    }
                }
                Ok(spool.append(&blocks.data)?)
            },
        )?;
        Ok(Packed { stored, fragments, spool })
    }

    fn pack(&self, worker: &mut Worker, job: &Job) -> Result<Blocks, WriteError> {
        let mut blocks = Blocks::default();
        let pieces = job.pieces();
        worker.input.clear();
        for piece in pieces {
            self.read(piece, &mut worker.input)?;
        }
        let path = || pieces.first().map(|piece| self.items[piece.item].path.clone()).unwrap_or_default();
        let failed = |source| WriteError::Compress { path: path(), source };
        let encoder = worker.encoder.as_mut().map_err(|error| failed(error.clone()))?;
        for block in worker.input.chunks(1 << self.block_log) {
            // Not for fragments: files refer to them.
            if matches!(job, Job::Blocks(_)) && block.iter().all(|byte| *byte == 0) {
                blocks.sparse += block.len() as u64;
                blocks.lengths.push(0);
                continue;
            }
            let before = blocks.data.len();
            let smaller = encoder.append(block, &mut blocks.data).map_err(failed)?;
            let length = u32::try_from(blocks.data.len() - before).expect("no longer than a block");
            blocks.lengths.push(if smaller { length } else { length | BLOCK_STORED });
        }
        self.progress.add(worker.input.len() as u64);
        Ok(blocks)
    }

    fn read(&self, piece: &Piece, input: &mut Vec<u8>) -> Result<(), WriteError> {
        let item = &self.items[piece.item];
        let Data::File(content) = item.data else { return Ok(()) };
        let start = input.len();
        input.resize(start + usize::try_from(piece.length).expect("at most a segment"), 0);
        content
            .read_at(piece.offset, &mut input[start..])
            .map_err(|source| WriteError::Content { path: item.path.clone(), source })
    }
}
