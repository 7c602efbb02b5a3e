//! Reads extended attributes.

use std::io::{Read, Seek};

use super::blocks::{Blocks, Cursor, get_16, get_32, get_64};
use super::inode::Inode;
use super::{Fault, Reader};
use crate::entry::Xattrs;
use crate::squashfs::format::{NONE, Place, XATTR_OUT_OF_LINE, XATTR_PREFIXES};

/// The longest name in bytes that the kernel supports.
const NAME_MAX: usize = 255;

/// The longest value in bytes that the kernel returns.
const VALUE_MAX: usize = 65_536;

/// Length in bytes of the header before the block positions of the table.
const HEADER: u64 = 16;

impl<R: Read + Seek + Send> Reader<R> {
    pub(super) fn attributes(&self, blocks: &mut Blocks<R>, inode: &Inode) -> Result<Xattrs, Fault> {
        let mut xattrs = Xattrs::new();
        let Some(number) = inode.xattrs else { return Ok(xattrs) };
        let offset = self.superblock.xattr_table;
        let damaged = |what| Fault::Damaged { offset, what };
        if offset == NONE {
            return Err(Fault::Damaged {
                offset: 56,
                what: "an inode has attributes, but there is no table of them",
            });
        }
        let mut header = [0; 16];
        blocks.read(offset, &mut header)?;
        let (table, count) = (get_64(&header, 0), get_32(&header, 8));
        if number >= count {
            return Err(damaged("an inode has attributes that are not in the table"));
        }
        let mut cursor = blocks.entry(offset.saturating_add(HEADER), number, 16)?;
        let id: [u8; 16] = blocks.array(&mut cursor)?;
        let place = Place::from_bits(get_64(&id, 0));
        let mut cursor = blocks.cursor(table, offset, place)?;
        for _ in 0..get_32(&id, 8) {
            let entry: [u8; 4] = blocks.array(&mut cursor)?;
            let (kind, length) = (get_16(&entry, 0), usize::from(get_16(&entry, 2)));
            let prefix = XATTR_PREFIXES.get(usize::from(kind & !XATTR_OUT_OF_LINE));
            let prefix = prefix.ok_or_else(|| damaged("the name of an attribute has an unknown prefix"))?;
            if length == 0 || prefix.len() + length > NAME_MAX {
                return Err(damaged("the name of an attribute has an invalid length"));
            }
            blocks.keep(prefix.len() + length)?;
            let name = [prefix.as_bytes(), &blocks.bytes(&mut cursor, length)?].concat();
            let mut value = self.value(blocks, &mut cursor)?;
            if kind & XATTR_OUT_OF_LINE != 0 {
                let place = value.try_into().map_err(|_| damaged("an attribute has an invalid reference"))?;
                let place = Place::from_bits(u64::from_le_bytes(place));
                value = self.value(blocks, &mut blocks.cursor(table, offset, place)?)?;
            }
            if name.contains(&0) || xattrs.insert(name, value).is_some() {
                return Err(damaged("the name of an attribute is invalid or occurs twice"));
            }
        }
        Ok(xattrs)
    }

    fn value(&self, blocks: &mut Blocks<R>, cursor: &mut Cursor) -> Result<Vec<u8>, Fault> {
        let length = usize::try_from(u32::from_le_bytes(blocks.array(cursor)?)).unwrap_or(usize::MAX);
        if length > VALUE_MAX {
            let what = "an attribute is longer than 64 KiB";
            return Err(Fault::Damaged { offset: cursor.position(), what });
        }
        blocks.keep(length)?;
        blocks.bytes(cursor, length)
    }
}
