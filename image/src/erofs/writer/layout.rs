//! Lays out an image: its inodes, and the addresses of each inode and its data. Pure arithmetic over a tree
//! and the extents of its compressed files.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::clusters::Extent;
use super::directory::{self, Name};
use super::error::WriteError;
use super::index;
use super::xattr::{self, Area, Xattrs};
use crate::duplicates::{self, Unit};
use crate::erofs::format::{
    BLOCK, DataLayout, FileType, INODE_COMPACT, INODE_EXTENDED, Inode, MAP_HEADER, MAP_HEADER_ALIGNMENT, SLOT,
};
use crate::progress::{Progress, Stage};
use crate::tree::{Content, Kind, Node, NodeId, Special, Tree};

/// A future inode with its data.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// Its first name.
    pub(super) path: PathBuf,
    pub(super) node: &'a Node,
    pub(super) links: u32,
    pub(super) xattrs: Xattrs,
    pub(super) data: Data<'a>,
    /// Byte offset of the inode.
    pub(super) address: u64,
    /// First block of its data, if it has any.
    pub(super) first_block: u32,
    /// The position of an earlier file with the same content.
    pub(super) same_as: Option<usize>,
    /// Whether its blocks are those of the earlier file.
    pub(super) shares_blocks: bool,
}

/// The data of an inode.
#[derive(Clone, Debug)]
pub(super) enum Data<'a> {
    /// Names with the positions of their items, including `.` and `..`.
    Directory(Vec<Name<'a, usize>>),
    Link(&'a OsStr),
    Special(Special),
    /// An uncompressed file.
    Flat(&'a Content),
    /// A file in clusters.
    Clustered(Clustered),
    /// A file that is completely in the packed inode.
    Fragment {
        size: u64,
        offset: u64,
    },
}

/// A file in clusters, which are in the spool.
#[derive(Clone, Debug)]
pub(super) struct Clustered {
    /// Length of the file in bytes.
    pub(super) size: u64,
    pub(super) extents: Arc<[Extent]>,
    /// Offset of the clusters in the spool.
    pub(super) spooled: u64,
    /// Their number of blocks.
    pub(super) blocks: u32,
    /// Offset of the tail in the packed inode, if it is there.
    pub(super) tail: Option<u32>,
}

/// Every inode of a tree, in the order of its entries, and the attributes they share.
pub(super) fn items(tree: &Tree) -> Result<(Vec<Item<'_>>, Area), WriteError> {
    let mut xattrs = Vec::new();
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut positions: HashMap<NodeId, usize> = HashMap::new();
    let mut parents = Vec::new();
    for entry in tree.entries() {
        if let Some(position) = positions.get(&entry.id) {
            items[*position].links += 1;
            continue;
        }
        let data = match &entry.node.kind {
            Kind::Directory(_) => Data::Directory(Vec::new()),
            Kind::Symlink(target) => Data::Link(target),
            Kind::File(content) => Data::Flat(content),
            Kind::Special(special) => Data::Special(*special),
        };
        positions.insert(entry.id, items.len());
        parents.push(entry.parent);
        xattrs.push(xattr::entries(&entry.path, &entry.node.metadata.xattrs)?);
        items.push(Item { path: entry.path, ..Item::new(entry.node, data) });
    }
    let area = Area::new(&xattrs);
    for (item, entries) in items.iter_mut().zip(xattrs) {
        item.xattrs = area.split(entries);
    }
    for (position, parent) in parents.into_iter().enumerate() {
        let Kind::Directory(entries) = &items[position].node.kind else { continue };
        let name = |name: &'static [u8], target| Name { name, target, file_type: FileType::Directory };
        let mut names = vec![name(b".", position), name(b"..", positions[&parent])];
        names.extend(entries.iter().map(|(name, id)| {
            let target = positions[id];
            Name { name: name.as_bytes(), target, file_type: file_type(&items[target].data) }
        }));
        names.sort_by_key(|name| name.name);
        // Its own `.` and the `..` of each subdirectory are links, too.
        let is_directory = |name: &Name<'_, usize>| u32::from(name.file_type == FileType::Directory);
        items[position].links = names.iter().map(is_directory).sum();
        items[position].data = Data::Directory(names);
    }
    Ok((items, area))
}

/// Records for every file that `counts` the position of the first one with the same content.
pub(super) fn find_duplicates(
    items: &mut [Item<'_>],
    threads: NonZero<usize>,
    progress: &Progress,
    counts: impl Fn(&Item<'_>) -> bool,
) -> Result<(), WriteError> {
    let mut positions = Vec::new();
    let mut units = Vec::new();
    for (position, item) in items.iter().enumerate() {
        if let Data::Flat(content) = item.data
            && counts(item)
        {
            positions.push(position);
            units.push(Unit { path: &item.path, content, offset: 0, length: content.size() });
        }
    }
    progress.begin(Stage::Comparing, units.iter().map(|unit| unit.length).sum());
    let firsts = duplicates::find(&units, threads, progress)?;
    for (position, first) in positions.iter().zip(firsts) {
        let first = positions[first];
        items[*position].same_as = (first != *position).then_some(first);
    }
    Ok(())
}

/// The places of the parts of an image that are not inodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Byte offset of the shared attributes.
    pub(super) area: u64,
    /// The number of blocks of superblock and metadata.
    pub(super) metadata: u64,
    /// The number of blocks of the image.
    pub(super) blocks: u32,
}

/// Assigns addresses to all items, from `start` on, which is in the first block. The root is the first item.
pub(super) fn place(items: &mut [Item<'_>], area: &Area, start: u64) -> Result<Places, WriteError> {
    let mut space = Space::new(start);
    let mut shared = 0;
    for (position, item) in items.iter_mut().enumerate() {
        item.address = space.allocate(item.metadata_size());
        // After the root, whose number must be small.
        if position == 0 && !area.bytes().is_empty() {
            shared = space.allocate(area.bytes().len() as u64);
        }
    }
    let metadata = space.next;
    let mut blocks = metadata;
    let is_directory = |item: &Item<'_>| matches!(item.data, Data::Directory(_));
    for directories in [true, false] {
        for position in 0..items.len() {
            let count = items[position].data_blocks();
            if is_directory(&items[position]) != directories || count == 0 {
                continue;
            }
            // A file with an inline tail lacks a block that a file with more attributes needs.
            let same = items[position].same_as.map(|first| &items[first]);
            if let Some(first) = same.filter(|first| first.data_blocks() >= count) {
                items[position].first_block = first.first_block;
                items[position].shares_blocks = true;
                continue;
            }
            let first = u32::try_from(blocks).map_err(|_| WriteError::TooLarge { blocks })?;
            items[position].first_block = first;
            blocks += count;
        }
    }
    let blocks = u32::try_from(blocks).map_err(|_| WriteError::TooLarge { blocks })?;
    Ok(Places { area: shared, metadata, blocks })
}

fn file_type(data: &Data<'_>) -> FileType {
    match data {
        Data::Directory(_) => FileType::Directory,
        Data::Link(_) => FileType::Symlink,
        Data::Flat(_) | Data::Clustered(_) | Data::Fragment { .. } => FileType::Regular,
        Data::Special(Special::Character(_)) => FileType::Character,
        Data::Special(Special::Block(_)) => FileType::Block,
        Data::Special(Special::Fifo) => FileType::Fifo,
    }
}

/// The device number, which an inode without data has in the field for its first block.
fn device_number(special: Special) -> u32 {
    match special {
        Special::Character(device) | Special::Block(device) => {
            device.encode().expect("a tree contains only valid numbers")
        }
        Special::Fifo => 0,
    }
}

impl<'a> Item<'a> {
    /// An inode without a name.
    pub(super) fn new(node: &'a Node, data: Data<'a>) -> Self {
        Self {
            path: PathBuf::new(),
            node,
            links: 1,
            xattrs: Xattrs::default(),
            data,
            address: 0,
            first_block: 0,
            same_as: None,
            shares_blocks: false,
        }
    }
}

impl Item<'_> {
    /// Length of the data in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.data {
            Data::Directory(names) => directory::size(names),
            Data::Link(target) => target.len() as u64,
            Data::Flat(content) => content.size(),
            Data::Clustered(Clustered { size, .. }) | Data::Fragment { size, .. } => *size,
            Data::Special(_) => 0,
        }
    }

    /// The number of the inode.
    pub(super) fn nid(&self) -> u64 {
        self.address / SLOT
    }

    /// How its data is stored.
    pub(super) fn layout(&self) -> DataLayout {
        match self.data {
            Data::Clustered(_) | Data::Fragment { .. } => DataLayout::CompressedCompact,
            _ if self.tail() > 0 => DataLayout::FlatInline,
            _ => DataLayout::FlatPlain,
        }
    }

    /// How many bytes of its data are inline, after the inode in the same block.
    pub(super) fn tail(&self) -> u64 {
        let tail = self.size() % BLOCK;
        match self.data {
            Data::Clustered(_) | Data::Fragment { .. } => 0,
            _ if self.head() + tail <= BLOCK => tail,
            _ => 0,
        }
    }

    /// The number of its data blocks.
    pub(super) fn data_blocks(&self) -> u64 {
        match self.data {
            Data::Clustered(Clustered { blocks, .. }) => u64::from(blocks),
            Data::Fragment { .. } => 0,
            _ => (self.size() - self.tail()).div_ceil(BLOCK),
        }
    }

    /// The inode on disk.
    pub(super) fn inode(&self, number: u32, mtime: u64) -> Inode {
        self.inode_with(self.layout(), number, mtime)
    }

    fn inode_with(&self, layout: DataLayout, number: u32, mtime: u64) -> Inode {
        let metadata = &self.node.metadata;
        Inode {
            layout,
            xattr_count: self.xattrs.count(),
            mode: metadata.mode | file_type(&self.data).mode(),
            links: self.links,
            size: self.size(),
            blocks: match self.data {
                Data::Clustered(Clustered { blocks, .. }) => blocks,
                Data::Fragment { .. } => 0,
                Data::Special(special) => device_number(special),
                _ => self.first_block,
            },
            number,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime,
        }
    }

    /// Offset of its index from the start of the inode; only compressed files have one.
    pub(super) fn index_offset(&self) -> u64 {
        self.head().next_multiple_of(MAP_HEADER_ALIGNMENT) + MAP_HEADER as u64
    }

    /// Length of the inode and its extended attributes.
    fn head(&self) -> u64 {
        // The layout depends on this, but does not affect whether the compact form fits.
        let inode = match self.inode_with(DataLayout::FlatPlain, 0, 0).compact() {
            Some(_) => INODE_COMPACT,
            None => INODE_EXTENDED,
        };
        (inode + self.xattrs.len()) as u64
    }

    fn metadata_size(&self) -> u64 {
        match self.data {
            Data::Clustered(_) => self.index_offset() + index::size(self.size(), self.index_offset()),
            Data::Fragment { .. } => self.index_offset(),
            _ => self.head() + self.tail(),
        }
    }

    /// Whether clusters with this many blocks, and a tail with this many bytes in the packed inode, take less
    /// space than the uncompressed file.
    pub(super) fn is_smaller_in(&self, blocks: u64, tail: u64) -> bool {
        let index = self.index_offset() - self.head() + index::size(self.size(), self.index_offset());
        blocks * BLOCK + index + tail < self.data_blocks() * BLOCK + self.tail()
    }

    /// Whether its inline data takes no more space than a reference to the packed inode.
    pub(super) fn is_best_inline(&self) -> bool {
        let inline = self.head() + self.size();
        inline.next_multiple_of(SLOT) <= self.index_offset().next_multiple_of(SLOT)
    }
}

/// Allocates space in the blocks of metadata.
struct Space {
    /// The first unused block.
    next: u64,
    /// Free bytes at the end of blocks, with the block.
    partial: BTreeSet<(u64, u64)>,
}

impl Space {
    /// The space from `start` on, which is in the first block.
    fn new(start: u64) -> Self {
        let mut space = Self { next: 1, partial: BTreeSet::new() };
        space.keep(BLOCK - start.next_multiple_of(SLOT), 0);
        space
    }

    /// Allocates `size` bytes: in the block with the smallest sufficient gap, or in new blocks. What fits
    /// into a block does not cross one.
    fn allocate(&mut self, size: u64) -> u64 {
        let size = size.next_multiple_of(SLOT);
        if let Some((left, block)) = self.partial.range((size, 0)..).next().copied() {
            self.partial.remove(&(left, block));
            self.keep(left - size, block);
            return (block + 1) * BLOCK - left;
        }
        let first = self.next;
        self.next += size.div_ceil(BLOCK);
        self.keep((self.next - first) * BLOCK - size, self.next - 1);
        first * BLOCK
    }

    fn keep(&mut self, left: u64, block: u64) {
        if left > 0 {
            self.partial.insert((left, block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_fills_gaps_and_does_not_cross_blocks() {
        let mut space = Space::new(1170);
        assert_eq!(space.allocate(3000), 4096);
        assert_eq!(space.allocate(2900), 1184);
        assert_eq!(space.allocate(2000), 8192);
        assert_eq!(space.allocate(1000), 4096 + 3008);
        assert_eq!(space.allocate(9000), 12_288);
        assert_eq!(space.allocate(3000), 12_288 + 9024);
        assert_eq!(space.allocate(2080), 8192 + 2016);
        assert_eq!(space.next, 6);
        let mut seed = 1u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = (seed >> 33) % 4096 + 1;
            let start = space.allocate(size);
            assert_eq!(start % SLOT, 0);
            assert_eq!(start / BLOCK, (start + size - 1) / BLOCK, "{size} bytes at {start}");
        }
    }
}
