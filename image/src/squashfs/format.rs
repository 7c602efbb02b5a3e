//! The structures of squashfs on disk, all little-endian, from the kernel's `squashfs_fs.h`.

use crate::format::Format;

/// First bytes of an image.
pub(super) const MAGIC: u32 = Format::Squashfs.magic();

/// Length of the superblock in bytes.
pub(super) const SUPERBLOCK: usize = 96;

/// Size of a metadata block before it is compressed, in bytes.
pub(super) const METADATA: usize = 8192;

/// Smallest block of a file in bytes, as a power of two: 4 KiB.
pub(super) const BLOCK_LOG_MIN: u8 = 12;

/// Largest block of a file in bytes, as a power of two: 1 MiB.
pub(super) const BLOCK_LOG_MAX: u8 = 20;

/// Set in the length of a metadata block that is not compressed.
pub(super) const METADATA_STORED: u16 = 1 << 15;

/// Set in the length of a block or fragment that is not compressed.
pub(super) const BLOCK_STORED: u32 = 1 << 24;

/// The position of a table that does not exist.
pub(super) const NONE: u64 = u64::MAX;

/// The number for "no tail in a fragment" and "no extended attributes".
pub(super) const NONE_32: u32 = u32::MAX;

/// The maximum number of names after one header in a directory.
pub(super) const DIRECTORY_RUN: usize = 256;

/// Length of the header before a run of names in a directory, in bytes.
pub(super) const DIRECTORY_HEADER: usize = 12;

/// Length of a directory entry without its name, in bytes.
pub(super) const DIRECTORY_ENTRY: usize = 8;

/// The size of a directory exceeds the length of its listing by this: the kernel counts `.` and `..`.
pub(super) const DIRECTORY_EXTRA: u32 = 3;

/// Set in the type of an extended attribute whose value is stored out of line.
pub(super) const XATTR_OUT_OF_LINE: u16 = 1 << 8;

/// The prefixes that extended attributes can have, in the order of their numbers.
pub(super) const XATTR_PREFIXES: [&str; 3] = ["user.", "trusted.", "security."];

/// Bits of the superblock's flags.
pub(super) mod flags {
    /// Nothing in the image is compressed.
    pub(in crate::squashfs) const STORED: u16 = 1 | 1 << 1 | 1 << 3 | 1 << 8 | 1 << 11;
    /// Tails of large files are in fragments too.
    pub(in crate::squashfs) const TAILS: u16 = 1 << 5;
    /// Files with the same content share it.
    pub(in crate::squashfs) const DEDUPLICATED: u16 = 1 << 6;
    /// There is an export table.
    pub(in crate::squashfs) const EXPORT: u16 = 1 << 7;
    /// The codec's parameters follow the superblock.
    pub(in crate::squashfs) const PARAMETERS: u16 = 1 << 10;
}

/// How blocks are compressed. There are also 2, an LZMA that no kernel supports, and 3, LZO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip = 1,
    Xz = 4,
    Lz4 = 5,
    Zstd = 6,
}

/// The type of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InodeType {
    Directory = 1,
    File = 2,
    Symlink = 3,
    Block = 4,
    Character = 5,
    Fifo = 6,
    Socket = 7,
}

/// Added to the number of an inode's type in the extended form.
pub(super) const EXTENDED: u16 = 7;

/// A place in a table: the position of a compressed block, and the offset in the decompressed block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// From the beginning of the table.
    pub(super) block: u64,
    /// Below [`METADATA`].
    pub(super) offset: u16,
}

/// The place of the end of a file, or of a small file, in a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Position in the table of fragments.
    pub(super) fragment: u32,
    /// Offset in the unpacked fragment.
    pub(super) offset: u32,
}

/// The superblock, at the start of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) time: u32,
    pub(super) block_log: u8,
    pub(super) fragments: u32,
    pub(super) compression: u16,
    pub(super) flags: u16,
    pub(super) ids: u16,
    pub(super) root: Place,
    /// Length of the image without padding.
    pub(super) length: u64,
    pub(super) id_table: u64,
    pub(super) xattr_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
}

impl Compression {
    pub(super) fn from_number(number: u16) -> Option<Self> {
        [Self::Gzip, Self::Xz, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|compression| *compression as u16 == number)
    }
}

impl InodeType {
    pub(super) fn from_number(number: u16) -> Option<Self> {
        use InodeType::{Block, Character, Directory, Fifo, File, Socket, Symlink};
        [Directory, File, Symlink, Block, Character, Fifo, Socket]
            .into_iter()
            .find(|kind| *kind as u16 == number)
    }
}

impl Place {
    pub(super) fn from_bits(bits: u64) -> Self {
        let offset = u16::try_from(bits & 0xffff).expect("the mask leaves 16 bits");
        Self { block: bits >> 16, offset }
    }

    pub(super) fn bits(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }
}

impl Superblock {
    pub(super) fn bytes(&self) -> [u8; SUPERBLOCK] {
        let mut out = Vec::with_capacity(SUPERBLOCK);
        for field in [MAGIC, self.inodes, self.time, 1 << self.block_log, self.fragments] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.compression, self.block_log.into(), self.flags, self.ids, 4, 0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [
            self.root.bits(),
            self.length,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.try_into().expect("the fields have 96 bytes together")
    }
}
