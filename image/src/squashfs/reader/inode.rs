//! Reads inodes, and the owners that they refer to by number.

use std::ffi::OsString;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStringExt;

use super::blocks::{Blocks, Cursor, get_16, get_32, get_64};
use super::{Fault, Reader};
use crate::entry::{TARGET_MAX, permissions};
use crate::squashfs::format::{DIRECTORY_EXTRA, EXTENDED, InodeType, NONE_32, Place, Tail};

/// An inode of an image.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) mode: u16,
    /// Position in the table of owners.
    pub(super) uid: u16,
    /// Position in the table of owners.
    pub(super) gid: u16,
    pub(super) time: u32,
    pub(super) links: u32,
    /// Position in the table of extended attributes.
    pub(super) xattrs: Option<u32>,
    pub(super) kind: Kind,
}

/// The type of an inode, with its data.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Directory {
        listing: Place,
        /// Length of the listing in bytes.
        length: u32,
    },
    File(File),
    Symlink(OsString),
    Block(u32),
    Character(u32),
    Fifo,
    Socket,
}

/// The data of a regular file in its inode.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) size: u64,
    /// Offset of the first block.
    pub(super) start: u64,
    pub(super) tail: Option<Tail>,
    /// The position of the block lengths.
    pub(super) lengths: Cursor,
}

impl Kind {
    pub(super) fn inode_type(&self) -> InodeType {
        match self {
            Self::Directory { .. } => InodeType::Directory,
            Self::File(_) => InodeType::File,
            Self::Symlink(_) => InodeType::Symlink,
            Self::Block(_) => InodeType::Block,
            Self::Character(_) => InodeType::Character,
            Self::Fifo => InodeType::Fifo,
            Self::Socket => InodeType::Socket,
        }
    }
}

impl<R: Read + Seek + Send> Reader<R> {
    pub(super) fn inode(&self, blocks: &mut Blocks<R>, place: Place) -> Result<Inode, Fault> {
        let superblock = &self.superblock;
        let mut cursor = blocks.cursor(superblock.inode_table, superblock.directory_table, place)?;
        let offset = cursor.position();
        let head: [u8; 16] = blocks.array(&mut cursor)?;
        let number = get_16(&head, 0);
        let extended = number > EXTENDED;
        let inode_type = InodeType::from_number(if extended { number - EXTENDED } else { number });
        let inode_type = inode_type.ok_or(Fault::Damaged { offset, what: "an inode has an unknown type" })?;
        let mut inode = Inode {
            mode: permissions(get_16(&head, 2).into()),
            uid: get_16(&head, 4),
            gid: get_16(&head, 6),
            time: get_32(&head, 8),
            links: 1,
            xattrs: None,
            kind: Kind::Fifo,
        };
        let xattrs = |number| Some(number).filter(|number| *number != NONE_32);
        inode.kind = match (inode_type, extended) {
            (InodeType::Directory, false) => {
                let rest: [u8; 16] = blocks.array(&mut cursor)?;
                inode.links = get_32(&rest, 4);
                directory(get_32(&rest, 0), get_16(&rest, 10), get_16(&rest, 8).into())
            }
            (InodeType::Directory, true) => {
                let rest: [u8; 24] = blocks.array(&mut cursor)?;
                inode.links = get_32(&rest, 0);
                inode.xattrs = xattrs(get_32(&rest, 20));
                directory(get_32(&rest, 8), get_16(&rest, 18), get_32(&rest, 4))
            }
            (InodeType::File, false) => {
                let rest: [u8; 16] = blocks.array(&mut cursor)?;
                let tail = tail(get_32(&rest, 4), get_32(&rest, 8));
                let (start, size) = (get_32(&rest, 0).into(), get_32(&rest, 12).into());
                Kind::File(File { size, start, tail, lengths: cursor })
            }
            (InodeType::File, true) => {
                let rest: [u8; 40] = blocks.array(&mut cursor)?;
                inode.links = get_32(&rest, 24);
                inode.xattrs = xattrs(get_32(&rest, 36));
                let tail = tail(get_32(&rest, 28), get_32(&rest, 32));
                Kind::File(File { size: get_64(&rest, 8), start: get_64(&rest, 0), tail, lengths: cursor })
            }
            (InodeType::Symlink, _) => {
                let rest: [u8; 8] = blocks.array(&mut cursor)?;
                inode.links = get_32(&rest, 0);
                let length = usize::try_from(get_32(&rest, 4)).unwrap_or(usize::MAX);
                if !(1..=TARGET_MAX).contains(&length) {
                    return Err(Fault::Damaged {
                        offset,
                        what: "the target of a symbolic link has an invalid length",
                    });
                }
                let target = blocks.bytes(&mut cursor, length)?;
                if target.contains(&0) {
                    return Err(Fault::Damaged {
                        offset,
                        what: "the target of a symbolic link contains a NUL",
                    });
                }
                Kind::Symlink(OsString::from_vec(target))
            }
            (InodeType::Block | InodeType::Character, _) => {
                let rest: [u8; 8] = blocks.array(&mut cursor)?;
                inode.links = get_32(&rest, 0);
                let device = get_32(&rest, 4);
                if inode_type == InodeType::Block { Kind::Block(device) } else { Kind::Character(device) }
            }
            (InodeType::Fifo | InodeType::Socket, _) => {
                inode.links = u32::from_le_bytes(blocks.array(&mut cursor)?);
                if inode_type == InodeType::Fifo { Kind::Fifo } else { Kind::Socket }
            }
        };
        if extended && !matches!(inode.kind, Kind::Directory { .. } | Kind::File(_)) {
            inode.xattrs = xattrs(u32::from_le_bytes(blocks.array(&mut cursor)?));
        }
        Ok(inode)
    }

    /// The user or group at a position in the owner table.
    pub(super) fn owner(&self, blocks: &mut Blocks<R>, position: u16) -> Result<u32, Fault> {
        if position >= self.superblock.ids {
            let offset = self.superblock.id_table;
            return Err(Fault::Damaged { offset, what: "an inode has an owner that is not in the table" });
        }
        let mut cursor = blocks.entry(self.superblock.id_table, position.into(), 4)?;
        Ok(u32::from_le_bytes(blocks.array(&mut cursor)?))
    }
}

fn directory(block: u32, offset: u16, size: u32) -> Kind {
    let listing = Place { block: block.into(), offset };
    Kind::Directory { listing, length: size.saturating_sub(DIRECTORY_EXTRA) }
}

fn tail(fragment: u32, offset: u32) -> Option<Tail> {
    (fragment != NONE_32).then_some(Tail { fragment, offset })
}
