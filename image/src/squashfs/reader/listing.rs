//! Reads the names in a directory.

use std::io::{Read, Seek};

use super::blocks::{Blocks, get_16, get_32};
use super::inode::{Inode, Kind};
use super::{Fault, Reader};
use crate::entry::NAME_MAX;
use crate::squashfs::format::{DIRECTORY_ENTRY, DIRECTORY_HEADER, DIRECTORY_RUN, InodeType, Place};

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) name: Vec<u8>,
    pub(super) inode: Place,
    pub(super) inode_type: InodeType,
}

impl<R: Read + Seek + Send> Reader<R> {
    /// The sorted names in a directory; empty for other inodes.
    pub(super) fn names(&self, blocks: &mut Blocks<R>, inode: &Inode) -> Result<Vec<Name>, Fault> {
        let Kind::Directory { listing, length } = inode.kind else { return Ok(Vec::new()) };
        let mut names: Vec<Name> = Vec::new();
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(names);
        }
        let mut cursor = blocks.cursor(self.superblock.directory_table, self.superblock.length, listing)?;
        while left > 0 {
            let offset = cursor.position();
            let damaged = |what| Fault::Damaged { offset, what };
            let too_short = || damaged("a directory ends inside a name");
            let header: [u8; DIRECTORY_HEADER] = blocks.array(&mut cursor)?;
            left = left.checked_sub(DIRECTORY_HEADER).ok_or_else(too_short)?;
            let count = usize::try_from(get_32(&header, 0)).unwrap_or(usize::MAX).saturating_add(1);
            if count > DIRECTORY_RUN {
                return Err(damaged("a directory has too many names after one header"));
            }
            let block = get_32(&header, 4).into();
            for _ in 0..count {
                let entry: [u8; DIRECTORY_ENTRY] = blocks.array(&mut cursor)?;
                let length = usize::from(get_16(&entry, 6)) + 1;
                if length > NAME_MAX {
                    return Err(damaged("a name is longer than 255 bytes"));
                }
                left = left.checked_sub(DIRECTORY_ENTRY + length).ok_or_else(too_short)?;
                blocks.keep(size_of::<Name>() + length)?;
                let name = blocks.bytes(&mut cursor, length)?;
                if name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
                    return Err(damaged("a directory contains an invalid name"));
                }
                if names.last().is_some_and(|last| last.name >= name) {
                    return Err(damaged("the names in a directory are not sorted or not unique"));
                }
                let inode_type = InodeType::from_number(get_16(&entry, 4));
                let inode_type = inode_type.ok_or_else(|| damaged("a name has an unknown type"))?;
                names.push(Name { name, inode: Place { block, offset: get_16(&entry, 0) }, inode_type });
            }
        }
        Ok(names)
    }
}
