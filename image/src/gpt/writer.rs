//! Places partitions, and encodes the table around them.

use super::error::LayoutError;
use super::format::{ENTRIES, ENTRY_SIZE, Entry, HEADER_SIZE, Header, NAME_UNITS, protective_mbr};
use super::guid::Guid;
use super::table::{Partition, Sector, Table};
use crate::crc::crc32;

/// Partitions and the image end at multiples of this many bytes, like those of systemd-repart.
const ALIGNMENT: u64 = 4096;

/// Size of all entries in bytes.
const ENTRIES_SIZE: usize = (ENTRIES * ENTRY_SIZE) as usize;

/// A partition without a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartition {
    /// The type of the partition.
    pub kind: Guid,
    /// The GUID of the partition.
    pub id: Guid,
    /// Size in bytes.
    pub size: u64,
    /// The attribute bits.
    pub flags: u64,
    /// Its label, at most 36 UTF-16 code units.
    pub name: String,
}

/// Partitions in sequence, in an image of the minimum size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    table: Table,
}

impl Layout {
    /// Places the partitions in their order.
    pub fn new(sector: Sector, disk: Guid, new: Vec<NewPartition>) -> Result<Self, LayoutError> {
        if new.len() > ENTRIES as usize {
            return Err(LayoutError::TooMany { partitions: new.len() });
        }
        let mut end = first_place(sector);
        let mut partitions = Vec::with_capacity(new.len());
        for NewPartition { kind, id, size, flags, name } in new {
            if name.encode_utf16().count() > NAME_UNITS {
                return Err(LayoutError::Name { name });
            }
            if size == 0 || !size.is_multiple_of(ALIGNMENT) {
                return Err(LayoutError::Size { name, size });
            }
            let offset = end;
            end = offset.checked_add(size).filter(|end| *end < u64::MAX / 2).ok_or(LayoutError::TooLarge)?;
            partitions.push(Partition { kind, id, offset, size, flags, name });
        }
        // Whole blocks, so that the file can be read with O_DIRECT
        let size = (end + (sector.entries() + 1) * sector.size()).next_multiple_of(ALIGNMENT);
        Ok(Self { table: Table { sector, disk, partitions, sectors: size / sector.size() } })
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Everything before the first partition: protective MBR, primary header, entries, and zeros.
    pub fn head(&self) -> Vec<u8> {
        let Table { sector, sectors, .. } = self.table;
        let mut head = protective_mbr(sectors).to_vec();
        pad(&mut head, sector.size());
        head.extend(self.header(1, sectors - 1, 2));
        pad(&mut head, sector.size());
        head.extend(self.entries());
        pad(&mut head, first_place(sector));
        head
    }

    /// Everything after the last partition: zeros, the entries again, and the backup header.
    pub fn tail(&self) -> Vec<u8> {
        let Table { sector, sectors, ref partitions, .. } = self.table;
        let entries = sectors - 1 - sector.entries();
        let end = partitions.last().map_or(first_place(sector), Partition::end);
        let gap = entries * sector.size() - end;
        let mut tail = vec![0; usize::try_from(gap).expect("less than a block is left")];
        let mut copy = self.entries();
        pad(&mut copy, sector.size());
        tail.extend(copy);
        tail.extend(self.header(sectors - 1, 1, entries));
        tail.resize(tail.len() + in_memory(sector.size()) - HEADER_SIZE, 0);
        tail
    }

    fn header(&self, this: u64, other: u64, entries: u64) -> [u8; HEADER_SIZE] {
        let Table { sector, sectors, disk, .. } = self.table;
        Header {
            this,
            other,
            first_usable: 2 + sector.entries(),
            last_usable: sectors - sector.entries() - 2,
            disk,
            entries,
            count: ENTRIES,
            entry_size: ENTRY_SIZE,
            entries_crc: crc32(&self.entries()),
        }
        .to_bytes()
    }

    fn entries(&self) -> Vec<u8> {
        let sector = self.table.sector.size();
        let mut entries = Vec::with_capacity(ENTRIES_SIZE);
        for partition in &self.table.partitions {
            let entry = Entry {
                kind: partition.kind,
                id: partition.id,
                first: partition.offset / sector,
                last: partition.end() / sector - 1,
                flags: partition.flags,
                name: partition.name.clone(),
            };
            entries.extend(entry.to_bytes());
        }
        entries.resize(ENTRIES_SIZE, 0);
        entries
    }
}

/// Offset of the first partition, in bytes.
pub(crate) fn first_place(sector: Sector) -> u64 {
    ((2 + sector.entries()) * sector.size()).next_multiple_of(ALIGNMENT)
}

/// Pads with zeros to a multiple of `size`.
fn pad(bytes: &mut Vec<u8>, size: u64) {
    bytes.resize(bytes.len().next_multiple_of(in_memory(size)), 0);
}

fn in_memory(size: u64) -> usize {
    usize::try_from(size).expect("heads and tails are small")
}
