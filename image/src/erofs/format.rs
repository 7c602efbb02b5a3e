//! The structures of EROFS on disk, and their encoding as little-endian bytes. No logic.
//!
//! Field names and values follow `fs/erofs/erofs_fs.h` of the kernel.

use crate::format::Format;

/// Size of a block, the unit of addresses. The only size that every kernel can mount.
pub(crate) const BLOCK: u64 = 4096;

/// [`BLOCK`] in memory.
pub(crate) const BLOCK_USIZE: usize = 4096;

/// log2 of the block size.
pub(crate) const BLOCK_BITS: u8 = 12;

/// Offset of the superblock in an image, in bytes.
pub(crate) const SUPERBLOCK_OFFSET: usize = Format::Erofs.superblock_offset();

/// Size of the superblock.
pub(crate) const SUPERBLOCK_SIZE: usize = 128;

/// First four bytes of a superblock.
pub(crate) const MAGIC: u32 = Format::Erofs.magic();

/// Inodes start at multiples of this many bytes. Their number counts these slots.
pub(crate) const SLOT: u64 = 32;

/// `feature_compat`: the superblock carries a CRC-32C.
pub(crate) const COMPAT_CHECKSUM: u32 = 0x1;
/// `feature_compat`: times are modification times.
pub(crate) const COMPAT_MTIME: u32 = 0x2;
/// `feature_incompat`: clusters are padded at their start, not at their end.
pub(crate) const INCOMPAT_ZERO_PADDING: u32 = 0x1;
/// `feature_incompat`: codec parameters follow the superblock, and clusters may have many blocks.
pub(crate) const INCOMPAT_BIG_CLUSTERS: u32 = 0x2;
/// `feature_incompat`: a packed inode contains fragments of other inodes.
pub(crate) const INCOMPAT_FRAGMENTS: u32 = 0x20;

/// Offset of the checksum in the superblock.
pub(crate) const CHECKSUM_OFFSET: usize = 4;

/// The superblock, without its checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superblock {
    pub(crate) compat: u32,
    pub(crate) incompat: u32,
    pub(crate) root_nid: u16,
    pub(crate) inodes: u64,
    pub(crate) build_time: u64,
    pub(crate) blocks: u32,
    /// The block from which places of shared extended attributes are counted.
    pub(crate) xattr_block: u32,
    pub(crate) uuid: [u8; 16],
    /// One bit per algorithm in use.
    pub(crate) algorithms: u16,
    /// The inode with the fragments; zero without.
    pub(crate) packed_nid: u64,
}

impl Superblock {
    pub(crate) fn bytes(&self) -> [u8; SUPERBLOCK_SIZE] {
        let mut out = Fields::new();
        out.u32(MAGIC).u32(0).u32(self.compat).u8(BLOCK_BITS).u8(0).u16(self.root_nid);
        // Times in nanoseconds and the first block of the metadata are zero.
        out.u64(self.inodes).u64(self.build_time).u32(0).u32(self.blocks).u32(0).u32(self.xattr_block);
        out.bytes(&self.uuid).bytes(&[0; 16]).u32(self.incompat).u16(self.algorithms);
        // No other devices, directory blocks of the usual size, no prefixes of attributes.
        out.bytes(&[0; 10]).u64(self.packed_nid);
        out.finish()
    }
}

/// Compression algorithms by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Algorithm {
    Lz4 = 0,
    Zstd = 3,
}

/// Parameters of LZ4, with their length in front.
pub(crate) fn lz4_parameters(max_distance: u16, max_cluster_blocks: u16) -> Vec<u8> {
    let mut out = Fields::new();
    out.u16(14).u16(max_distance).u16(max_cluster_blocks);
    out.finish::<16>().to_vec()
}

/// Parameters of zstd, with their length in front. The window is given in powers of two
/// above a kibibyte.
pub(crate) fn zstd_parameters(window_log_above_10: u8) -> Vec<u8> {
    let mut out = Fields::new();
    out.u16(6).u8(0).u8(window_log_above_10);
    out.finish::<8>().to_vec()
}

/// How the data of an inode is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum DataLayout {
    /// Consecutive blocks.
    FlatPlain = 0,
    /// Consecutive blocks, and an incomplete last block after the inode.
    FlatInline = 2,
    /// Clusters, found through an index of two or four bytes per block.
    CompressedCompact = 3,
}

/// Size of an inode in the compact form, which has no time and 16 bits for owner and links.
pub(crate) const INODE_COMPACT: usize = 32;

/// Size of an inode in the extended form.
pub(crate) const INODE_EXTENDED: usize = 64;

/// An inode in either form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inode {
    pub(crate) layout: DataLayout,
    pub(crate) xattr_count: u16,
    /// Permissions and file type.
    pub(crate) mode: u16,
    pub(crate) links: u32,
    pub(crate) size: u64,
    /// First block, or number of blocks of a compressed file, or device number.
    pub(crate) blocks: u32,
    /// The inode number for 32-bit programs.
    pub(crate) number: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
}

impl Inode {
    /// The compact form, if every value fits into it.
    pub(crate) fn compact(&self) -> Option<[u8; INODE_COMPACT]> {
        let mut out = Fields::new();
        out.u16((self.layout as u16) << 1).u16(self.xattr_count).u16(self.mode);
        out.u16(u16::try_from(self.links).ok()?).u32(u32::try_from(self.size).ok()?).u32(0);
        out.u32(self.blocks).u32(self.number);
        out.u16(u16::try_from(self.uid).ok()?).u16(u16::try_from(self.gid).ok()?);
        Some(out.finish())
    }

    /// The extended form.
    pub(crate) fn extended(&self) -> [u8; INODE_EXTENDED] {
        let mut out = Fields::new();
        out.u16((self.layout as u16) << 1 | 1).u16(self.xattr_count).u16(self.mode).u16(0);
        out.u64(self.size).u32(self.blocks).u32(self.number).u32(self.uid).u32(self.gid);
        out.u64(self.mtime).u32(0).u32(self.links);
        out.finish()
    }
}

/// Size of a directory entry without its name.
pub(crate) const DIRENT: usize = 12;

/// File type in a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Regular = 1,
    Directory = 2,
    Character = 3,
    Block = 4,
    Fifo = 5,
    Symlink = 7,
}

impl FileType {
    /// The type bits of a mode.
    pub(crate) fn mode(self) -> u16 {
        match self {
            Self::Regular => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Character => 0o020_000,
            Self::Block => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Symlink => 0o120_000,
        }
    }
}

/// A directory entry, whose name is at `name_offset` in the same block.
pub(crate) fn dirent(nid: u64, name_offset: u16, file_type: FileType) -> [u8; DIRENT] {
    let mut out = Fields::new();
    out.u64(nid).u16(name_offset).u8(file_type as u8);
    out.finish()
}

/// Size of the header of the inline extended attributes of an inode.
pub(crate) const XATTR_HEADER: usize = 12;

/// Extended attributes are counted in units of this many bytes.
pub(crate) const XATTR_UNIT: usize = 4;

/// The header of the inline extended attributes of an inode with `shared` shared attributes.
pub(crate) fn xattr_header(shared: u8) -> [u8; XATTR_HEADER] {
    let mut out = Fields::new();
    out.u32(0).u8(shared);
    out.finish()
}

/// The header of an extended attribute, before its name and value.
pub(crate) fn xattr_entry(name_length: u8, name_index: u8, value_length: u16) -> [u8; 4] {
    let mut out = Fields::new();
    out.u8(name_length).u8(name_index).u16(value_length);
    out.finish()
}

/// Size of the header of the index of a compressed file.
pub(crate) const MAP_HEADER: usize = 8;

/// The header starts at a multiple of this many bytes.
pub(crate) const MAP_HEADER_ALIGNMENT: u64 = 8;

/// `h_advise`: the index has entries of two bytes.
pub(crate) const ADVISE_COMPACT_2B: u16 = 0x1;
/// `h_advise`: clusters of both kinds may have many blocks. Kernels require both bits together in a compact
/// index.
pub(crate) const ADVISE_BIG_CLUSTERS: u16 = 0x2 | 0x4;

/// `h_advise`: the last extent is in the packed inode.
pub(crate) const ADVISE_FRAGMENT: u16 = 0x20;

/// The header of the index of a compressed file. With `tail`, its last extent is there in the packed inode.
pub(crate) fn map_header(algorithm: Algorithm, tail: Option<u32>) -> [u8; MAP_HEADER] {
    let mut advise = ADVISE_COMPACT_2B | ADVISE_BIG_CLUSTERS;
    if tail.is_some() {
        advise |= ADVISE_FRAGMENT;
    }
    let mut out = Fields::new();
    out.u32(tail.unwrap_or(0)).u16(advise).u8(algorithm as u8);
    out.finish()
}

/// The header of a file that is completely in the packed inode, at `offset`, and has no index.
pub(crate) fn fragment_header(offset: u64) -> [u8; MAP_HEADER] {
    (offset | 1 << 63).to_le_bytes()
}

/// The type of an index entry, which describes one block of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BlockKind {
    /// An uncompressed extent starts in the block.
    Plain = 0,
    /// A compressed extent starts in the block.
    Head = 1,
    /// The block is inside an extent.
    NonHead = 2,
}

/// Set in the entry of the second block of an extent, which contains the number of blocks of the cluster.
pub(crate) const CLUSTER_BLOCKS: u32 = 1 << 11;

/// Encodes fields in sequence, little-endian.
struct Fields(Vec<u8>);

impl Fields {
    fn new() -> Self {
        Self(Vec::with_capacity(SUPERBLOCK_SIZE))
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The fields so far, padded with zeros.
    fn finish<const SIZE: usize>(&self) -> [u8; SIZE] {
        let mut out = [0; SIZE];
        out[..self.0.len()].copy_from_slice(&self.0);
        out
    }
}
