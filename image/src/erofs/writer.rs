//! Writes a tree as an image: compress, lay out, measure, then write front to back.

mod clusters;
mod compress;
mod directory;
mod error;
mod features;
mod id;
mod index;
mod layout;
mod output;
mod packed;
mod xattr;

use std::io::Write;
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;

pub use error::WriteError;
pub use id::WriterId;

use self::compress::compress;
use self::features::Features;
use self::layout::{Clustered, Data, Item, Places};
use self::output::{Head, Image, Measure, Output};
use self::xattr::Area;
use super::format::{
    Algorithm, BLOCK, BLOCK_USIZE, CHECKSUM_OFFSET, COMPAT_CHECKSUM, COMPAT_MTIME, DataLayout,
    INCOMPAT_BIG_CLUSTERS, INCOMPAT_FRAGMENTS, INCOMPAT_ZERO_PADDING, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    Superblock, XATTR_UNIT, fragment_header, map_header,
};
use crate::Kernel;
use crate::codec::Codec;
use crate::crc::crc32c;
use crate::progress::{Progress, Stage};
use crate::spool::Spool;
use crate::tree::Tree;

/// How to write an image. Only `codec`, `kernel` and `timestamp` affect its bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// How files are compressed.
    pub codec: Codec,
    /// The oldest kernel that must be able to read it. A newer one allows smaller images.
    pub kernel: Kernel,
    /// Modification time of everything, in seconds since 1970.
    pub timestamp: u64,
    /// The number of threads that compress; by default one per processor.
    pub threads: Option<NonZero<usize>>,
    /// The directory for a temporary file of the size of the image, which codecs need; by default `$TMPDIR`.
    pub scratch: Option<PathBuf>,
    /// Counts the bytes done, for display by another thread.
    pub progress: Progress,
}

impl Options {
    /// Options with this codec, for every kernel that supports it, and this time for all files.
    pub fn new(codec: Codec, timestamp: u64) -> Self {
        Self {
            codec,
            kernel: codec.kernel().into(),
            timestamp,
            threads: None,
            scratch: None,
            progress: Progress::default(),
        }
    }

    fn threads(&self) -> NonZero<usize> {
        let available = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        self.threads.unwrap_or_else(available)
    }

    fn scratch(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
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

/// Writes `tree` to `out` as an EROFS image.
///
/// The same tree and options give the same bytes, with any number of threads. The UUID is derived from the
/// content of the image and the writer id.
///
/// `out` is written from front to back. After an error it contains the start of an image, which the caller
/// must discard: write to a temporary file and rename it after success.
pub fn write(tree: &Tree, options: &Options, out: impl Write) -> Result<Written, WriteError> {
    let codec = options.codec.checked().map_err(WriteError::Codec)?;
    if options.kernel < codec.kernel().into() {
        return Err(WriteError::Kernel { codec, kernel: options.kernel });
    }
    let features = Features::new(options.kernel, codec);
    let (threads, progress) = (options.threads(), &options.progress);
    let node = packed::node();
    let (mut items, area) = layout::items(tree)?;
    layout::find_duplicates(&mut items, threads, progress, |item| {
        item.data_blocks() > 0 || features.fragments && !item.is_best_inline()
    })?;
    let mut compressed = [0; 32];
    let spool = match codec {
        Codec::None => None,
        _ => {
            let mut spool = Spool::new(&options.scratch())?;
            compressed = compress(&mut items, &node, codec, features, threads, progress, &mut spool)?;
            Some(spool)
        }
    };
    let algorithm = algorithm(&items, codec);
    let places = layout::place(&mut items, &area, superblock_end(algorithm.as_ref()))?;
    let packed = items.iter().rposition(|item| std::ptr::eq(item.node, &raw const node));
    let timestamp = options.timestamp;
    let plan = Plan { items, packed, area, places, algorithm, timestamp, spool };

    let writer = WriterId::new(codec, options.kernel);
    let rest = u64::from(plan.places.blocks) * BLOCK - BLOCK;
    progress.begin(Stage::Measuring, rest);
    let mut measure = Measure::new(BLOCK, progress);
    measure.salt(writer.to_string().as_bytes());
    measure.salt(&options.timestamp.to_le_bytes());
    measure.salt(&compressed);
    measure.salt(&plan.first_block([0; 16])?);
    plan.emit(&mut measure)?;
    let uuid = uuid(measure.digest());

    progress.begin(Stage::Writing, BLOCK + rest);
    let mut image = Image::new(out, progress);
    image.bytes(&plan.first_block(uuid)?)?;
    plan.emit(&mut image)?;
    let (size, sha256) = image.finish()?;
    Ok(Written { size, sha256, writer })
}

/// The plan of an image.
struct Plan<'a> {
    items: Vec<Item<'a>>,
    /// Position of the packed inode.
    packed: Option<usize>,
    area: Area,
    places: Places,
    /// How the clusters are compressed, if there are any.
    algorithm: Option<(Algorithm, Vec<u8>)>,
    timestamp: u64,
    spool: Option<Spool>,
}

impl Plan<'_> {
    /// The block with the superblock, the codec's parameters, and as much of the metadata as fits.
    fn first_block(&self, uuid: [u8; 16]) -> Result<Vec<u8>, WriteError> {
        let (mut incompat, algorithms) = match &self.algorithm {
            Some((number, _)) => (INCOMPAT_ZERO_PADDING | INCOMPAT_BIG_CLUSTERS, 1 << (*number as u8)),
            None => (0, 0),
        };
        if self.packed.is_some() {
            incompat |= INCOMPAT_FRAGMENTS;
        }
        let superblock = Superblock {
            compat: COMPAT_CHECKSUM | COMPAT_MTIME,
            incompat,
            root_nid: u16::try_from(self.items[0].nid()).expect("the root is in one of the first two blocks"),
            inodes: self.items.len() as u64,
            build_time: self.timestamp,
            blocks: self.places.blocks,
            xattr_block: self.area_start().0,
            uuid,
            algorithms,
            packed_nid: self.packed.map_or(0, |position| self.items[position].nid()),
        }
        .bytes();
        let mut head = Head::default();
        head.pad_to(SUPERBLOCK_OFFSET as u64)?;
        head.bytes(&superblock)?;
        if let Some((_, parameters)) = &self.algorithm {
            head.bytes(parameters)?;
        }
        self.emit_metadata(0..BLOCK, &mut head)?;
        head.pad()?;
        let mut block = head.bytes;
        let checksum = crc32c(&block[SUPERBLOCK_OFFSET..]).to_le_bytes();
        block[SUPERBLOCK_OFFSET + CHECKSUM_OFFSET..][..checksum.len()].copy_from_slice(&checksum);
        Ok(block)
    }

    /// Everything after the first block.
    fn emit(&self, out: &mut impl Output) -> Result<(), WriteError> {
        let metadata = self.places.metadata * BLOCK;
        self.emit_metadata(BLOCK..metadata, out)?;
        out.pad_to(metadata)?;
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

    /// The inodes and the shared attributes that begin in `range`.
    fn emit_metadata(&self, range: Range<u64>, out: &mut impl Output) -> Result<(), WriteError> {
        let addresses = self.items.iter().map(|item| item.address);
        let mut by_address: Vec<_> = addresses.enumerate().map(|(at, address)| (address, Some(at))).collect();
        if !self.area.bytes().is_empty() {
            by_address.push((self.places.area, None));
        }
        by_address.retain(|(address, _)| range.contains(address));
        by_address.sort_unstable();
        for (address, position) in by_address {
            out.pad_to(address)?;
            match position {
                Some(position) => self.emit_inode(position, out)?,
                None => out.bytes(self.area.bytes())?,
            }
        }
        Ok(())
    }

    fn emit_inode(&self, position: usize, out: &mut impl Output) -> Result<(), WriteError> {
        let item = &self.items[position];
        // The number is for 32-bit programs, which tolerate duplicates.
        let inode = item.inode(u32::try_from(position + 1).unwrap_or(u32::MAX), self.timestamp);
        match inode.compact() {
            Some(bytes) => out.bytes(&bytes)?,
            None => out.bytes(&inode.extended())?,
        }
        out.bytes(&item.xattrs.bytes(self.area_start().1))?;
        let tail = item.tail();
        match (&item.data, item.layout()) {
            (Data::Special(_), _) => Ok(()),
            (Data::Clustered(Clustered { extents, tail, .. }), _) => {
                let Some((algorithm, _)) = &self.algorithm else { return Ok(()) };
                let header = map_header(*algorithm, *tail);
                out.pad_to(item.address + item.index_offset() - header.len() as u64)?;
                out.bytes(&header)?;
                out.bytes(&index::encode(extents, item.size(), item.first_block, out.position()))
            }
            (Data::Fragment { offset, .. }, _) => {
                let header = fragment_header(*offset);
                out.pad_to(item.address + item.index_offset() - header.len() as u64)?;
                out.bytes(&header)
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
        if item.data_blocks() == 0 || item.shares_blocks {
            return Ok(());
        }
        match (&item.data, &self.spool) {
            (Data::Directory(_) | Data::Special(_) | Data::Fragment { .. }, _) => return Ok(()),
            (Data::Link(target), _) => out.bytes(target.as_encoded_bytes())?,
            (Data::Flat(content), _) => {
                out.content(&item.path, content, 0..content.size() - item.tail())?;
            }
            (Data::Clustered(Clustered { spooled, .. }), Some(spool)) => {
                out.spooled(spool, *spooled..*spooled + item.data_blocks() * BLOCK_USIZE as u64)?;
            }
            (Data::Clustered(_), None) => {}
        }
        out.pad()
    }

    /// The start of the shared attributes: block, and offset in their units.
    fn area_start(&self) -> (u32, u32) {
        let part = |value: u64| u32::try_from(value).expect("a part of an address that fits");
        let Places { area, .. } = self.places;
        (part(area / BLOCK), part(area % BLOCK / XATTR_UNIT as u64))
    }

    fn directory(&self, names: &[directory::Name<'_, usize>]) -> Vec<u8> {
        directory::encode(names, |target| self.items[target].nid())
    }
}

/// How the clusters are compressed. An image without compressed files does not require support of the codec.
fn algorithm(items: &[Item<'_>], codec: Codec) -> Option<(Algorithm, Vec<u8>)> {
    let is_clustered = |item: &Item<'_>| matches!(item.data, Data::Clustered(_));
    clusters::algorithm(codec).filter(|_| items.iter().any(is_clustered))
}

/// The end of the superblock and the codec's parameters.
fn superblock_end(algorithm: Option<&(Algorithm, Vec<u8>)>) -> u64 {
    let parameters = algorithm.map_or(0, |(_, parameters)| parameters.len());
    (SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE + parameters) as u64
}

fn in_memory(tail: u64) -> usize {
    usize::try_from(tail).expect("a tail is shorter than a block")
}

/// A UUID with custom bits (version 8) from a digest.
fn uuid(digest: [u8; 32]) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}
