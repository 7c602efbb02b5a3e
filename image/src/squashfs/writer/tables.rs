//! Writes the tables after the data: inodes, directories, fragments, export table, owners, attributes.

use std::collections::HashMap;

use super::directory::{self, Name};
use super::error::WriteError;
use super::inode::{self, Inode};
use super::layout::{self, Data, Item, Stored};
use super::metadata::Table;
use super::xattr::Sets;
use crate::squashfs::codec::Encoder;
use crate::squashfs::format::{InodeType, NONE, Place};
use crate::tree::{Device, Special};

/// The encoded tables, and their fields of the superblock.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) bytes: Vec<u8>,
    pub(super) inodes: u32,
    pub(super) ids: u16,
    pub(super) root: Place,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
    pub(super) id_table: u64,
    pub(super) xattr_table: u64,
}

/// A written fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) start: u64,
    /// Its length, with the flag if it is not compressed.
    pub(super) length: u32,
}

/// Encodes all tables, which begin at offset `start` of the image.
pub(super) fn make(
    items: &[Item<'_>],
    stored: &[Stored],
    fragments: &[Fragment],
    time: u32,
    start: u64,
    encoder: &mut Encoder,
) -> Result<Tables, WriteError> {
    let mut owners = Owners::default();
    let mut sets = Sets::default();
    let order = layout::order(items);
    let inodes = u32::try_from(order.len()).ok().filter(|count| *count < u32::MAX);
    let inodes = inodes.ok_or(WriteError::TooMany { what: "files", limit: u32::MAX.into() })?;
    let mut numbers = vec![0; items.len()];
    for (number, position) in (1..).zip(&order) {
        numbers[*position] = number;
    }

    let mut places = vec![Place::default(); items.len()];
    let (mut inode_table, mut directories, mut export) = (Table::default(), Table::default(), Vec::new());
    for position in order {
        let item = &items[position];
        let metadata = &item.node.metadata;
        let listing;
        let data = match &item.data {
            Data::Directory(names) => {
                let names: Vec<_> = names
                    .iter()
                    .map(|(name, target)| Name {
                        name,
                        inode: places[*target],
                        number: numbers[*target],
                        inode_type: inode_type(&items[*target]),
                    })
                    .collect();
                listing = directory::write(&names, &mut directories, encoder)?;
                inode::Data::Directory {
                    listing: listing.place,
                    length: listing.length,
                    parent: numbers[item.parent],
                    indexes: &listing.indexes,
                }
            }
            Data::File(content) => {
                let own = &stored[position];
                let stored = own.same_as.map_or(own, |first| &stored[first]);
                inode::Data::File {
                    size: content.size(),
                    start: stored.start,
                    blocks: &stored.blocks,
                    sparse: stored.sparse,
                    tail: stored.tail,
                }
            }
            Data::Link(target) => inode::Data::Symlink(target.as_encoded_bytes()),
            Data::Special(special) => device(*special),
        };
        let bytes = Inode {
            mode: metadata.mode,
            uid: owners.position(metadata.uid)?,
            gid: owners.position(metadata.gid)?,
            time,
            number: numbers[position],
            links: item.links,
            xattrs: sets.number(&item.path, &metadata.xattrs, encoder)?,
            data,
        }
        .bytes();
        places[position] = inode_table.place();
        export.extend_from_slice(&places[position].bits().to_le_bytes());
        inode_table.append(&bytes, encoder)?;
    }

    let mut image = Image { bytes: Vec::new(), start };
    let inode_table = image.table(inode_table, encoder)?.0;
    let directory_table = image.table(directories, encoder)?.0;
    let mut entries = Vec::with_capacity(fragments.len() * 16);
    for fragment in fragments {
        entries.extend_from_slice(&fragment.start.to_le_bytes());
        entries.extend_from_slice(&u64::from(fragment.length).to_le_bytes());
    }
    let fragment_table = image.lookup(&entries, &[], encoder)?;
    let export_table = image.lookup(&export, &[], encoder)?;
    let id_table = image.lookup(&owners.bytes(), &[], encoder)?;
    let xattr_table = match sets.finish() {
        (0, ..) => NONE,
        (count, table, ids) => {
            let start = image.table(table, encoder)?.0.to_le_bytes();
            let header = [&start[..], &u64::from(count).to_le_bytes()].concat();
            image.lookup(&ids, &header, encoder)?
        }
    };
    Ok(Tables {
        bytes: image.bytes,
        inodes,
        ids: owners.count(),
        root: places[0],
        inode_table,
        directory_table,
        fragment_table,
        export_table,
        id_table,
        xattr_table,
    })
}

fn inode_type(item: &Item<'_>) -> InodeType {
    match item.data {
        Data::Directory(_) => InodeType::Directory,
        Data::File(_) => InodeType::File,
        Data::Link(_) => InodeType::Symlink,
        Data::Special(special) => device(special).inode_type(),
    }
}

fn device(special: Special) -> inode::Data<'static> {
    let encoded = |device: Device| device.encode().expect("a tree contains only valid numbers");
    match special {
        Special::Character(device) => inode::Data::Character(encoded(device)),
        Special::Block(device) => inode::Data::Block(encoded(device)),
        Special::Fifo => inode::Data::Fifo,
    }
}

/// The end of the image, under construction.
struct Image {
    bytes: Vec<u8>,
    start: u64,
}

impl Image {
    fn position(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Appends a table; returns its offset and those of its blocks.
    fn table(&mut self, table: Table, encoder: &mut Encoder) -> Result<(u64, Vec<u64>), WriteError> {
        let start = self.position();
        let (bytes, blocks) = table.finish(encoder)?;
        self.bytes.extend_from_slice(&bytes);
        Ok((start, blocks.into_iter().map(|block| start + block).collect()))
    }

    /// Appends a table of entries of one size, then `header` and the positions of its blocks. Returns the
    /// offset of the header.
    fn lookup(&mut self, entries: &[u8], header: &[u8], encoder: &mut Encoder) -> Result<u64, WriteError> {
        let mut table = Table::default();
        table.append(entries, encoder)?;
        let (_, blocks) = self.table(table, encoder)?;
        let position = self.position();
        self.bytes.extend_from_slice(header);
        self.bytes.extend(blocks.into_iter().flat_map(u64::to_le_bytes));
        Ok(position)
    }
}

/// Users and groups, in the order of their first use.
#[derive(Default)]
struct Owners {
    ids: Vec<u32>,
    positions: HashMap<u32, u16>,
}

impl Owners {
    fn position(&mut self, id: u32) -> Result<u16, WriteError> {
        if let Some(position) = self.positions.get(&id) {
            return Ok(*position);
        }
        let position = u16::try_from(self.ids.len()).ok().filter(|position| *position < u16::MAX);
        let position = position.ok_or(WriteError::TooMany { what: "owners", limit: u16::MAX.into() })?;
        self.ids.push(id);
        self.positions.insert(id, position);
        Ok(position)
    }

    fn count(&self) -> u16 {
        u16::try_from(self.ids.len()).expect("counted when they were added")
    }

    fn bytes(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| id.to_le_bytes()).collect()
    }
}
