//! Splits a segment of a file into extents, each of which is compressed into a cluster of whole blocks or
//! stored uncompressed, one block at a time.
//!
//! LZ4 can fill an output of fixed size, so its clusters are 64 KiB and full. Zstandard cannot:
//! an input of fixed size is compressed and flushed, and then a few small steps are added to the same frame,
//! so that the last block of the cluster is nearly full. That costs one pass; a search for the input that
//! fills an output costs ten.

use crate::codec::{Codec, END, LibraryError, Lz4, WINDOW_LOG, Zstd};
use crate::erofs::format::{Algorithm, BLOCK_USIZE, lz4_parameters, zstd_parameters};

/// Compressed size of a full LZ4 cluster. Larger clusters save little, and cost more for every random read.
pub(super) const LZ4_CLUSTER: usize = LZ4_CLUSTER_BLOCKS as usize * BLOCK_USIZE;

/// [`LZ4_CLUSTER`] in blocks.
const LZ4_CLUSTER_BLOCKS: u16 = 16;

/// The input that a Zstandard cluster is first tried with: one window.
pub(super) const ZSTD_CHUNK: usize = 256 * 1024;

/// Free space in the last block of a Zstandard cluster that is not worth another step.
const ZSTD_SLACK: usize = 128;

/// The number of steps that fill the last block of a Zstandard cluster.
const ZSTD_STEPS: usize = 3;

/// The maximum size of a decompressed LZ4 cluster: as many zeros as fit into two blocks. A reader
/// decompresses everything before the bytes it wants, and distances in the index must be below 2048 blocks.
const LZ4_EXTENT: usize = 508 * BLOCK_USIZE;

/// The same for Zstandard, which is slower to read: a fifth of a segment, in whole blocks.
const ZSTD_EXTENT: usize = 205 * BLOCK_USIZE;

/// Files are compressed in segments, independently of each other, so that threads can share the work. For LZ4
/// they are long, because the last cluster of each is not full.
const LZ4_SEGMENT: usize = 16 * 1024 * 1024;

/// The same for Zstandard. Changing either changes images, as for every constant above.
const ZSTD_SEGMENT: usize = 4 * 1024 * 1024;

/// If fragments may be used, files of at most this size are completely in the packed inode, and so are the
/// ends of larger ones that have at most this size.
pub(super) const TAIL: usize = 256 * 1024;

/// The lowest level of Zstandard for the packed inode. Small files are mostly text: a lower level would save
/// little time and need much more space.
const ZSTD_PACKED: u8 = 6;

/// How the packed inode of an image with this codec is compressed.
pub(super) fn for_packed(codec: Codec) -> Codec {
    match codec {
        Codec::Zstd { level } => Codec::Zstd { level: level.max(ZSTD_PACKED) },
        other => other,
    }
}

/// The length of the segments in which files are compressed.
pub(super) fn segment(codec: Codec) -> usize {
    match codec {
        Codec::Zstd { .. } => ZSTD_SEGMENT,
        _ => LZ4_SEGMENT,
    }
}

/// A run of bytes of a file, in consecutive blocks of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of the file.
    pub(super) length: u32,
    /// Blocks of the image.
    pub(super) blocks: u16,
    pub(super) form: Form,
}

/// How an extent is stored in its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Uncompressed, at most one block.
    Stored,
    /// Compressed, at the end of its blocks.
    Compressed,
}

/// A compressed segment of a file.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    pub(super) extents: Vec<Extent>,
    /// The blocks of all extents.
    pub(super) data: Vec<u8>,
    /// SHA-256 of `data`, set by the caller.
    pub(super) digest: [u8; 32],
    /// How many bytes at the end of the input are left to the packed inode.
    pub(super) left: usize,
}

/// A compressor for one thread, with its buffers.
pub(super) struct Encoder {
    method: Method,
    best: Vec<u8>,
}

enum Method {
    Lz4(Lz4),
    Zstd(Zstd),
}

/// The result of an attempt at a cluster.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// This much input was compressed to this much output, in `best`.
    Smaller { read: usize, written: usize },
    /// This much input takes as many blocks compressed as uncompressed.
    NotSmaller { read: usize },
}

impl Encoder {
    /// The compressor of a codec; `None` without compression.
    pub(super) fn new(codec: Codec) -> Result<Option<Self>, LibraryError> {
        let (method, room) = match codec {
            Codec::None => return Ok(None),
            Codec::Lz4 => (Method::Lz4(Lz4::Fast), LZ4_CLUSTER),
            Codec::Lz4hc { level } => (Method::Lz4(Lz4::Strong(level)), LZ4_CLUSTER),
            Codec::Zstd { level } => (Method::Zstd(Zstd::new(level)?), ZSTD_EXTENT),
        };
        Ok(Some(Self { method, best: vec![0; room] }))
    }

    /// Splits and compresses `input`. With `leaves_tail`, it leaves the last bytes, at most [`TAIL`].
    pub(super) fn encode(&mut self, input: &[u8], leaves_tail: bool) -> Result<Clusters, LibraryError> {
        let mut clusters = Clusters::default();
        let mut rest = input;
        loop {
            if leaves_tail && rest.len() <= TAIL {
                clusters.left = rest.len();
                return Ok(clusters);
            }
            if rest.len() <= BLOCK_USIZE {
                break;
            }
            match self.attempt(rest)? {
                Attempt::Smaller { read, written } => {
                    clusters.compressed(read, &self.best[..written]);
                    rest = &rest[read..];
                }
                Attempt::NotSmaller { read } => {
                    // Whole blocks only, so that the next extent starts at the same offset in its block: two
                    // extents cannot start in one block of the file.
                    let whole = (read / BLOCK_USIZE).max(1) * BLOCK_USIZE;
                    let (stored, after) = rest.split_at(whole.min(rest.len()));
                    stored.chunks(BLOCK_USIZE).for_each(|block| clusters.stored(block));
                    rest = after;
                }
            }
        }
        if !rest.is_empty() {
            clusters.stored(rest);
        }
        Ok(clusters)
    }

    fn attempt(&mut self, input: &[u8]) -> Result<Attempt, LibraryError> {
        match &mut self.method {
            Method::Lz4(lz4) => {
                let input = &input[..input.len().min(LZ4_EXTENT)];
                let (read, written) = lz4.fill(input, &mut self.best)?;
                if written.div_ceil(BLOCK_USIZE) < read.div_ceil(BLOCK_USIZE) {
                    return Ok(Attempt::Smaller { read, written });
                }
                Ok(Attempt::NotSmaller { read })
            }
            Method::Zstd(zstd) => fill(zstd, input, &mut self.best),
        }
    }
}

/// Compresses a chunk of `input`, and then as much more as fits into the last block of its cluster. It does
/// so in steps, because the ratio of the next bytes is not known in advance.
fn fill(zstd: &mut Zstd, input: &[u8], output: &mut [u8]) -> Result<Attempt, LibraryError> {
    let mut read = input.len().min(ZSTD_CHUNK);
    let room = (read.div_ceil(BLOCK_USIZE) - 1) * BLOCK_USIZE;
    if read == input.len() {
        let written = zstd.compress(input, &mut output[..room])?;
        return Ok(written.map_or(Attempt::NotSmaller { read }, |written| Attempt::Smaller { read, written }));
    }
    zstd.begin()?;
    let Some(mut written) = zstd.extend(&input[..read], &mut output[..room - END.len()])? else {
        return Ok(Attempt::NotSmaller { read });
    };
    let room = (written + END.len()).next_multiple_of(BLOCK_USIZE) - END.len();
    for _ in 0..ZSTD_STEPS {
        // As much as fits at the ratio so far, less a quarter as a margin.
        let more = (room - written) * read / written / 4 * 3;
        let end = (read + more).min(input.len()).min(ZSTD_EXTENT);
        if room - written < ZSTD_SLACK || end == read {
            break;
        }
        let Some(filled) = zstd.extend(&input[read..end], &mut output[written..room])? else { break };
        (read, written) = (end, written + filled);
    }
    output[written..][..END.len()].copy_from_slice(&END);
    Ok(Attempt::Smaller { read, written: written + END.len() })
}

impl Clusters {
    fn stored(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(BLOCK_USIZE), 0);
        self.extent(bytes.len(), 1, Form::Stored);
    }

    fn compressed(&mut self, length: usize, bytes: &[u8]) {
        let size = bytes.len().next_multiple_of(BLOCK_USIZE);
        // Readers skip leading zeros; no codec starts with a zero byte.
        self.data.resize(self.data.len() + size - bytes.len(), 0);
        self.data.extend_from_slice(bytes);
        self.extent(length, size / BLOCK_USIZE, Form::Compressed);
    }

    fn extent(&mut self, length: usize, blocks: usize, form: Form) {
        let length = u32::try_from(length).expect("the size of an extent is bounded");
        let blocks = u16::try_from(blocks).expect("the size of an extent is bounded");
        self.extents.push(Extent { length, blocks, form });
    }
}

/// The number of the algorithm in the image, and the parameters that follow the superblock.
pub(super) fn algorithm(codec: Codec) -> Option<(Algorithm, Vec<u8>)> {
    match codec {
        Codec::None => None,
        Codec::Lz4 | Codec::Lz4hc { .. } => {
            // The largest distance of the format.
            Some((Algorithm::Lz4, lz4_parameters(u16::MAX, LZ4_CLUSTER_BLOCKS)))
        }
        Codec::Zstd { .. } => Some((Algorithm::Zstd, zstd_parameters(WINDOW_LOG - 10))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], codec: &str) -> Clusters {
        let clusters = Encoder::new(codec.parse().unwrap()).unwrap().unwrap().encode(input, false).unwrap();
        let (mut start, mut blocks, mut last_block) = (0, 0, None);
        for extent in &clusters.extents {
            let length = extent.length as usize;
            let block = Some(start / BLOCK_USIZE);
            assert!(last_block < block, "two extents start in one block");
            match extent.form {
                Form::Stored => assert!(length <= BLOCK_USIZE && extent.blocks == 1),
                Form::Compressed => {
                    let stored = length.div_ceil(BLOCK_USIZE);
                    assert!(length <= LZ4_EXTENT.max(ZSTD_EXTENT) && usize::from(extent.blocks) < stored);
                    let at = blocks * BLOCK_USIZE;
                    assert!(clusters.data[at..at + BLOCK_USIZE].iter().any(|byte| *byte != 0));
                }
            }
            (start, last_block) = (start + length, block);
            blocks += usize::from(extent.blocks);
        }
        assert_eq!((start, blocks * BLOCK_USIZE), (input.len(), clusters.data.len()));
        clusters
    }

    #[test]
    fn extents_cover_their_input_and_save_blocks_or_are_uncompressed() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        for length in [1, 4095, 4096, 4097, 8191, 8192, 8193, 20_000, 300_000, 900_000, 2_200_000] {
            let random: Vec<u8> = (0..length).map(|_| noise()).collect();
            let mixed: Vec<u8> =
                (0..length).map(|at| if at / 70_001 % 2 == 0 { 7 } else { noise() }).collect();
            for codec in ["lz4", "lz4hc:3", "lz4hc:12", "zstd:1", "zstd:9"] {
                check(&vec![0; length], codec);
                check(&mixed, codec);
                let stored = check(&random, codec);
                assert!(stored.extents.iter().all(|extent| extent.form == Form::Stored));
            }
        }
    }

    #[test]
    fn the_largest_extent_of_zeros_takes_one_or_two_blocks() {
        for (codec, length, blocks) in
            [("lz4", LZ4_EXTENT, 2), ("lz4hc", LZ4_EXTENT, 2), ("zstd", ZSTD_EXTENT, 1)]
        {
            let clusters = check(&vec![0; length], codec);
            assert_eq!((clusters.extents.len(), clusters.data.len()), (1, blocks * BLOCK_USIZE), "{codec}");
        }
    }
}
