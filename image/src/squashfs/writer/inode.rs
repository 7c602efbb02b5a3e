//! Encodes inodes, in the basic form where all values fit.

use super::directory::Index;
use crate::squashfs::format::{DIRECTORY_EXTRA, EXTENDED, InodeType, NONE_32, Place, Tail};

/// An inode.
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

/// The data of an inode, by its type.
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
        /// Offset of the first block in the image.
        start: u64,
        /// Length of each block in the image, with [`BLOCK_STORED`](crate::squashfs::format::BLOCK_STORED).
        blocks: &'a [u32],
        /// Bytes of zeros that have no block.
        sparse: u64,
        tail: Option<Tail>,
    },
    Symlink(&'a [u8]),
    Block(u32),
    Character(u32),
    Fifo,
}

impl Inode<'_> {
    /// The inode as stored in the table.
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
        let has_stored_xattrs = matches!(self.data, Data::Directory { .. } | Data::File { .. });
        if extended && !has_stored_xattrs {
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

/// A number that fits into 32 bits.
fn low_32(number: u64) -> u32 {
    u32::try_from(number).expect("larger numbers use the extended form, and table sizes are checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(links: u32, xattrs: Option<u32>, data: Data<'_>) -> (u8, usize) {
        let inode = Inode { mode: 0o644, uid: 0, gid: 0, time: 0, number: 1, links, xattrs, data };
        let bytes = inode.bytes();
        (bytes[0], bytes.len())
    }

    #[test]
    fn an_inode_is_extended_if_the_basic_form_has_no_room() {
        let file = |size, start, sparse| Data::File { size, start, blocks: &[1, 2], sparse, tail: None };
        let large = 1 << 32;
        assert_eq!(length(1, None, file(large - 1, large - 1, 0)), (2, 32 + 8));
        for (links, xattrs, data) in [
            (2, None, file(1, 1, 0)),
            (1, Some(0), file(1, 1, 0)),
            (1, None, file(large, 1, 0)),
            (1, None, file(1, large, 0)),
            (1, None, file(1, 1, 1)),
        ] {
            assert_eq!(length(links, xattrs, data), (9, 56 + 8));
        }
        let directory =
            |length| Data::Directory { listing: Place::default(), length, parent: 1, indexes: &[] };
        assert_eq!(length(2, None, directory(65_532)), (1, 32));
        assert_eq!(length(2, None, directory(65_533)), (8, 40));
        assert_eq!(length(2, Some(0), directory(0)), (8, 40));
        for (data, number, short) in [
            (Data::Symlink(b"to"), 3, 24 + 2),
            (Data::Block(1), 4, 24),
            (Data::Character(1), 5, 24),
            (Data::Fifo, 6, 20),
        ] {
            assert_eq!(length(1, None, data), (number, short));
            assert_eq!(length(1, Some(7), data), (number + 7, short + 4));
        }
    }
}
