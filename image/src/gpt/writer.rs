//! The bytes around the partitions.

use super::crc32::crc32;
use super::format::{ENTRIES, ENTRY_SIZE, Entry, Header, protective_mbr};
use super::table::Table;

/// Size of all entries in bytes.
const ENTRIES_SIZE: usize = (ENTRIES * ENTRY_SIZE) as usize;

impl Table {
    /// Everything before the first partition: protective MBR, primary header, entries, and zeros up
    /// to where the first partition begins.
    pub fn head(&self) -> Vec<u8> {
        let sector = self.sector.size();
        let (first, last) = (1, self.sectors - 1);
        let mut head = protective_mbr(self.sectors).to_vec();
        pad(&mut head, sector);
        head.extend(self.header(first, last, 2));
        pad(&mut head, sector);
        head.extend(self.entries());
        pad(&mut head, sector);
        let end = self.partitions.first().map_or(0, |partition| partition.offset);
        pad(&mut head, end.max(1));
        head
    }

    /// Everything behind the last partition: the entries again, and the backup header.
    pub fn tail(&self) -> Vec<u8> {
        let sector = self.sector.size();
        let (first, last) = (1, self.sectors - 1);
        let mut tail = self.entries();
        pad(&mut tail, sector);
        tail.extend(self.header(last, first, last - self.sector.entries()));
        pad(&mut tail, sector);
        tail
    }

    fn header(&self, this: u64, other: u64, entries: u64) -> [u8; super::format::HEADER_SIZE] {
        Header {
            this,
            other,
            first_usable: 2 + self.sector.entries(),
            last_usable: self.sectors - self.sector.entries() - 2,
            disk: self.disk,
            entries,
            count: ENTRIES,
            entry_size: ENTRY_SIZE,
            entries_crc: crc32(&self.entries()),
        }
        .to_bytes()
    }

    fn entries(&self) -> Vec<u8> {
        let sector = self.sector.size();
        let mut entries = Vec::with_capacity(ENTRIES_SIZE);
        for partition in &self.partitions {
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

/// Fills up with zeros to a multiple of `size`.
fn pad(bytes: &mut Vec<u8>, size: u64) {
    let size = usize::try_from(size).expect("heads and tails are small");
    bytes.resize(bytes.len().next_multiple_of(size), 0);
}
