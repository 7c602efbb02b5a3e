//! The bytes of an inode, in the short form where all of it fits.

use super::directory::Index;
use super::format::{DIRECTORY_EXTRA, EXTENDED, InodeType, NONE_32, Place};

/// What every inode has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode<'a> {
    pub(super) mode: u16,
    /// Position in the table of owners.
    pub(super) uid: u16,
    /// Position in the table of owners.
    pub(super) gid: u16,
    pub(super) time: u32,
    pub(super) number: u32,
    pub(super) links: u32,
    /// Position in the table of extended attributes.
    pub(super) xattrs: Option<u32>,
    pub(super) data: Data<'a>,
}

/// What an inode has according to its type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data<'a> {
    Directory {
        listing: Place,
        /// Length of the listing in bytes.
        length: u32,
        parent: u32,
        indexes: &'a [Index<'a>],
    },
    File {
        size: u64,
        /// Where the first block begins in the image.
        start: u64,
        /// Length of each block in the image, with [`BLOCK_STORED`](super::format::BLOCK_STORED).
        blocks: &'a [u32],
        /// How many bytes are zeros without a block.
        sparse: u64,
        tail: Option<Tail>,
    },
    Symlink(&'a [u8]),
    Block(u32),
    Character(u32),
    Fifo,
}

/// A part of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) fragment: u32,
    pub(super) offset: u32,
}

impl Inode<'_> {
    /// The inode as it stands in the table.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let extended = if self.is_extended() { EXTENDED } else { 0 };
        for field in [self.data.inode_type() as u16 + extended, self.mode, self.uid, self.gid] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        put_32(&mut out, &[self.time, self.number]);
        let extended = extended > 0;
        let xattrs = self.xattrs.unwrap_or(NONE_32);
        match self.data {
            Data::Directory { listing, length, parent, indexes } => {
                let size = length + DIRECTORY_EXTRA;
                let block = low_32(listing.block);
                if extended {
                    put_32(&mut out, &[self.links, size, block, parent]);
                    let count = u16::try_from(indexes.len()).unwrap_or(u16::MAX);
                    out.extend_from_slice(&count.to_le_bytes());
                    out.extend_from_slice(&listing.offset.to_le_bytes());
                    put_32(&mut out, &[xattrs]);
                    for index in &indexes[..count.into()] {
                        index.put(&mut out);
                    }
                } else {
                    put_32(&mut out, &[block, self.links]);
                    let size = u16::try_from(size).expect("a longer listing has an extended inode");
                    out.extend_from_slice(&size.to_le_bytes());
                    out.extend_from_slice(&listing.offset.to_le_bytes());
                    put_32(&mut out, &[parent]);
                }
            }
            Data::File { size, start, blocks, sparse, tail } => {
                let (fragment, offset) = tail.map_or((NONE_32, 0), |tail| (tail.fragment, tail.offset));
                if extended {
                    for field in [start, size, sparse] {
                        out.extend_from_slice(&field.to_le_bytes());
                    }
                    put_32(&mut out, &[self.links, fragment, offset, xattrs]);
                } else {
                    put_32(&mut out, &[low_32(start), fragment, offset, low_32(size)]);
                }
                put_32(&mut out, blocks);
            }
            Data::Symlink(target) => {
                put_32(&mut out, &[self.links, low_32(target.len() as u64)]);
                out.extend_from_slice(target);
            }
            Data::Block(device) | Data::Character(device) => put_32(&mut out, &[self.links, device]),
            Data::Fifo => put_32(&mut out, &[self.links]),
        }
        let has_its_own_place = matches!(self.data, Data::Directory { .. } | Data::File { .. });
        if extended && !has_its_own_place {
            put_32(&mut out, &[xattrs]);
        }
        out
    }

    fn is_extended(&self) -> bool {
        self.xattrs.is_some()
            || match self.data {
                Data::Directory { length, indexes, .. } => {
                    !indexes.is_empty() || length + DIRECTORY_EXTRA > u16::MAX.into()
                }
                Data::File { size, start, sparse, .. } => {
                    self.links > 1 || sparse > 0 || size > u32::MAX.into() || start > u32::MAX.into()
                }
                _ => false,
            }
    }
}

impl Data<'_> {
    pub(super) fn inode_type(&self) -> InodeType {
        match self {
            Self::Directory { .. } => InodeType::Directory,
            Self::File { .. } => InodeType::File,
            Self::Symlink(_) => InodeType::Symlink,
            Self::Block(_) => InodeType::Block,
            Self::Character(_) => InodeType::Character,
            Self::Fifo => InodeType::Fifo,
        }
    }
}

fn put_32(out: &mut Vec<u8>, fields: &[u32]) {
    for field in fields {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

/// A number that is known to fit.
fn low_32(number: u64) -> u32 {
    u32::try_from(number).expect("the extended form is for larger ones, and tables are checked")
}
