//! Writes a tree as an image: compress, lay out, measure, then write front to back.

use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use super::clusters::{self, Clusters, Encoder, Extent, SEGMENT};
use super::crc32c::crc32c;
use super::error::WriteError;
use super::format::{
    BLOCK_USIZE, CHECKSUM_OFFSET, COMPAT_CHECKSUM, COMPAT_MTIME, DataLayout, INCOMPAT_BIG_CLUSTERS,
    INCOMPAT_ZERO_PADDING, SUPERBLOCK_OFFSET, Superblock, map_header,
};
use super::layout::{self, Data, Item};
use super::output::{Image, Measure, Output};
use super::writer_id::WriterId;
use super::{directory, index};
use crate::codec::Codec;
use crate::parallel;
use crate::spool::Spool;
use crate::tree::{Content, Tree};

/// How to write an image. Only `codec` and `timestamp` shape its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How files are compressed.
    pub codec: Codec,
    /// Modification time of everything, in seconds since 1970.
    pub timestamp: u64,
    /// How many threads compress; as many as there are processors if not given.
    pub threads: Option<NonZero<usize>>,
    /// The directory for a temporary file of the size of the image, needed with a codec; that of
    /// the environment (`TMPDIR`) if not given.
    pub scratch: Option<PathBuf>,
}

impl Options {
    /// With this codec and this time for everything.
    pub fn new(codec: Codec, timestamp: u64) -> Self {
        Self { codec, timestamp, threads: None, scratch: None }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the image in bytes, a multiple of 4096.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
    /// What wrote it.
    pub writer: WriterId,
}

/// Writes `tree` to `out` as an EROFS image.
///
/// The same tree, codec and timestamp give the same bytes. The image's UUID is made from its
/// metadata (names, attributes, sizes, cluster indexes, writer id), not from the content of files.
///
/// `out` is written from front to back. After an error it holds the beginning of an image, which
/// the caller must discard: write to a temporary file and rename it when this has succeeded.
pub fn write(tree: &Tree, options: &Options, out: impl Write) -> Result<Written, WriteError> {
    let codec = options.codec.checked().map_err(WriteError::Codec)?;
    let mut items = layout::items(tree)?;
    let spool = match codec {
        Codec::None => None,
        _ => Some(compress(&mut items, codec, options)?),
    };
    let (metadata_blocks, blocks) = layout::place(&mut items)?;
    let plan = Plan { items, metadata_blocks, blocks, codec, timestamp: options.timestamp, spool };

    let writer = WriterId::new(codec);
    let mut measure = Measure::new(BLOCK_USIZE as u64);
    measure.salt(writer.to_string().as_bytes());
    measure.salt(&options.timestamp.to_le_bytes());
    plan.emit(&mut measure)?;
    let uuid = uuid(measure.digest());

    let mut image = Image::new(out);
    image.bytes(&plan.first_block(uuid))?;
    plan.emit(&mut image)?;
    let (size, sha256) = image.finish()?;
    Ok(Written { size, sha256, writer })
}

/// An image before it is written.
struct Plan<'a> {
    items: Vec<Item<'a>>,
    metadata_blocks: u64,
    blocks: u32,
    codec: Codec,
    timestamp: u64,
    spool: Option<Spool>,
}

impl Plan<'_> {
    /// The block with the superblock and the codec's parameters.
    fn first_block(&self, uuid: [u8; 16]) -> [u8; BLOCK_USIZE] {
        let is_clustered = |item: &Item<'_>| matches!(item.data, Data::Clustered { .. });
        // An image in which nothing shrank needs no kernel that knows the codec.
        let algorithm = clusters::algorithm(self.codec).filter(|_| self.items.iter().any(is_clustered));
        let (incompat, algorithms) = match &algorithm {
            Some((number, _)) => (INCOMPAT_ZERO_PADDING | INCOMPAT_BIG_CLUSTERS, 1 << (*number as u8)),
            None => (0, 0),
        };
        let superblock = Superblock {
            compat: COMPAT_CHECKSUM | COMPAT_MTIME,
            incompat,
            root_nid: u16::try_from(self.items[0].nid()).expect("the root lies in block 1"),
            inodes: self.items.len() as u64,
            build_time: self.timestamp,
            blocks: self.blocks,
            uuid,
            algorithms,
        }
        .bytes();
        let mut block = [0; BLOCK_USIZE];
        let parameters = algorithm.map(|(_, parameters)| parameters).unwrap_or_default();
        let contents = [&superblock[..], &parameters].concat();
        block[SUPERBLOCK_OFFSET..][..contents.len()].copy_from_slice(&contents);
        let checksum = crc32c(&block[SUPERBLOCK_OFFSET..]).to_le_bytes();
        block[SUPERBLOCK_OFFSET + CHECKSUM_OFFSET..][..checksum.len()].copy_from_slice(&checksum);
        block
    }

    /// Everything after the first block.
    fn emit(&self, out: &mut impl Output) -> Result<(), WriteError> {
        let mut by_address: Vec<usize> = (0..self.items.len()).collect();
        by_address.sort_by_key(|position| self.items[*position].address);
        for position in by_address {
            out.pad_to(self.items[position].address)?;
            self.emit_inode(position, out)?;
        }
        out.pad_to(self.metadata_blocks * BLOCK_USIZE as u64)?;
        for item in &self.items {
            if let Data::Directory(names) = &item.data {
                let bytes = self.directory(names);
                out.bytes(&bytes[..bytes.len() - in_memory(item.tail())])?;
                out.pad()?;
            }
        }
        for item in &self.items {
            self.emit_file(item, out)?;
        }
        Ok(())
    }

    fn emit_inode(&self, position: usize, out: &mut impl Output) -> Result<(), WriteError> {
        let item = &self.items[position];
        // Only 32-bit programs see it, and they live with duplicates.
        let inode = item.inode(u32::try_from(position + 1).unwrap_or(u32::MAX), self.timestamp);
        match inode.compact() {
            Some(bytes) => out.bytes(&bytes)?,
            None => out.bytes(&inode.extended())?,
        }
        out.bytes(&item.xattrs)?;
        let tail = item.tail();
        match (&item.data, item.layout()) {
            (Data::Special(_), _) => Ok(()),
            (Data::Clustered { extents, .. }, _) => {
                let Some((algorithm, _)) = clusters::algorithm(self.codec) else { return Ok(()) };
                let header = map_header(algorithm);
                out.pad_to(item.address + item.index_offset() - header.len() as u64)?;
                out.bytes(&header)?;
                out.bytes(&index::encode(extents, item.size(), item.first_block, out.position()))
            }
            (_, DataLayout::FlatPlain | DataLayout::CompressedCompact) => Ok(()),
            (Data::Directory(names), DataLayout::FlatInline) => {
                let bytes = self.directory(names);
                out.bytes(&bytes[bytes.len() - in_memory(tail)..])
            }
            (Data::Link(target), DataLayout::FlatInline) => out.bytes(target.as_encoded_bytes()),
            (Data::Flat(content), DataLayout::FlatInline) => {
                out.content(&item.path, content, content.size() - tail..content.size())
            }
        }
    }

    fn emit_file(&self, item: &Item<'_>, out: &mut impl Output) -> Result<(), WriteError> {
        if item.data_blocks() == 0 {
            return Ok(());
        }
        match (&item.data, &self.spool) {
            (Data::Directory(_) | Data::Special(_), _) => return Ok(()),
            (Data::Link(target), _) => out.bytes(target.as_encoded_bytes())?,
            (Data::Flat(content), _) => {
                out.content(&item.path, content, 0..content.size() - item.tail())?;
            }
            (Data::Clustered { spooled, .. }, Some(spool)) => {
                out.spooled(spool, *spooled..*spooled + item.data_blocks() * BLOCK_USIZE as u64)?;
            }
            (Data::Clustered { .. }, None) => {}
        }
        out.pad()
    }

    fn directory(&self, names: &[directory::Name<'_, usize>]) -> Vec<u8> {
        directory::encode(names, |target| self.items[target].nid())
    }
}

fn in_memory(tail: u64) -> usize {
    usize::try_from(tail).expect("a tail is shorter than a block")
}

/// A part of a file, for one thread at a time.
struct Segment {
    /// Position of the file's item.
    item: usize,
    offset: u64,
    length: u64,
}

/// Compresses every file that gets smaller.
fn compress(items: &mut [Item<'_>], codec: Codec, options: &Options) -> Result<Spool, WriteError> {
    let scratch = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let mut spool = Spool::new(&scratch)?;
    let threads = match options.threads {
        Some(threads) => threads,
        None => thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
    };
    let sources: Vec<Option<(PathBuf, &Content)>> = items.iter().map(source).collect();
    let segments: Vec<Segment> = sources.iter().enumerate().flat_map(segments).collect();
    let mut file = Vec::new();
    let mut start = 0;
    parallel::ordered(
        &segments,
        threads,
        || Encoder::new(codec),
        |encoder, segment| encode(encoder, &sources, segment),
        |segment, clusters| {
            if segment.offset == 0 {
                file.clear();
                start = spool.length();
            }
            file.extend_from_slice(&clusters.extents);
            spool.append(&clusters.data)?;
            let item = &mut items[segment.item];
            if segment.offset + segment.length == item.size() {
                settle(item, std::mem::take(&mut file), start, &mut spool);
            }
            Ok(())
        },
    )?;
    Ok(spool)
}

/// The content to compress. What fits into a block cannot take fewer.
fn source<'a>(item: &Item<'a>) -> Option<(PathBuf, &'a Content)> {
    match item.data {
        Data::Flat(content) if content.size() > BLOCK_USIZE as u64 => Some((item.path.clone(), content)),
        _ => None,
    }
}

fn segments((item, source): (usize, &Option<(PathBuf, &Content)>)) -> Vec<Segment> {
    let size = source.as_ref().map_or(0, |(_, content)| content.size());
    (0..size.div_ceil(SEGMENT))
        .map(|number| {
            let offset = number * SEGMENT;
            Segment { item, offset, length: (size - offset).min(SEGMENT) }
        })
        .collect()
}

fn encode(
    encoder: &mut Result<Option<Encoder>, crate::codec::LibraryError>,
    sources: &[Option<(PathBuf, &Content)>],
    segment: &Segment,
) -> Result<Clusters, WriteError> {
    let Some((path, content)) = &sources[segment.item] else { return Ok(Clusters::default()) };
    let length = usize::try_from(segment.length).expect("at most SEGMENT");
    let mut input = vec![0; length];
    content
        .read_at(segment.offset, &mut input)
        .map_err(|source| WriteError::Content { path: path.clone(), source })?;
    let failed = |source| WriteError::Compress { path: path.clone(), source };
    match encoder {
        Ok(Some(encoder)) => encoder.encode(&input).map_err(failed),
        Ok(None) => Ok(Clusters::default()),
        Err(error) => Err(failed(error.clone())),
    }
}

/// Decides whether a file is stored in the clusters it was compressed to.
fn settle(item: &mut Item<'_>, extents: Vec<Extent>, start: u64, spool: &mut Spool) {
    let blocks: u64 = extents.iter().map(|extent| u64::from(extent.blocks)).sum();
    let Data::Flat(content) = item.data else { return };
    match u32::try_from(blocks) {
        Ok(count) if item.is_smaller_in(blocks) => {
            item.data = Data::Clustered { content, extents, spooled: start, blocks: count };
        }
        _ => spool.truncate(start),
    }
}

/// A UUID of the kind whose bits are free to choose (version 8) from a digest.
fn uuid(digest: [u8; 32]) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}
