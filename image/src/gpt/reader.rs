//! Reads both copies of a table, without trusting them.

use std::io::{Read, Seek, SeekFrom};

use super::error::ReadError;
use super::format::{
    ENTRIES, ENTRY_SIZE, Entry, HEADER_SIZE, Header, MAGIC, REVISION, header_crc, is_protective,
};
use super::table::{Partition, Sector, Table};
use crate::crc::crc32;

impl Table {
    /// Reads the table of an image, with a few reads and 32 KiB of memory.
    ///
    /// Both copies must be valid and equal: an image is not a disk that needs recovery, and programs that use
    /// one copy or the other must not see different partitions.
    pub fn read(image: &mut (impl Read + Seek)) -> Result<Self, ReadError> {
        let length = image.seek(SeekFrom::End(0)).map_err(|source| ReadError::Read { offset: 0, source })?;
        let mut image = Image { image, length };
        let sector = image.sector()?;
        let mbr: [u8; 512] = image.bytes(0, "the MBR")?;
        if !is_protective(&mbr) {
            return Err(invalid(0, "there is no protective MBR"));
        }
        let primary = image.header(sector, 1)?;
        let backup = image.header(sector, primary.other)?;
        let expected = Header { this: primary.other, other: 1, entries: backup.entries, ..primary };
        if backup != expected {
            return Err(invalid(
                primary.other * sector.size(),
                "the backup header does not match the primary",
            ));
        }
        let entries = image.entries(sector, &primary)?;
        // The checksums are equal, so both copies of the entries are
        image.entries(sector, &backup)?;
        let partitions = partitions(sector, &primary, &entries)?;
        Ok(Self { sector, disk: primary.disk, partitions, sectors: primary.other + 1 })
    }
}

/// An image and its length.
struct Image<'a, R> {
    image: &'a mut R,
    length: u64,
}

impl<R: Read + Seek> Image<'_, R> {
    fn sector(&mut self) -> Result<Sector, ReadError> {
        for sector in Sector::ALL {
            if self.length >= sector.size() + MAGIC.len() as u64
                && self.bytes::<8>(sector.size(), "the header")? == *MAGIC
            {
                return Ok(sector);
            }
        }
        Err(ReadError::Absent)
    }

    /// Reads and checks the header in a sector of the image.
    fn header(&mut self, sector: Sector, number: u64) -> Result<Header, ReadError> {
        let what = if number == 1 { "the primary header" } else { "the backup header" };
        let offset = number.checked_mul(sector.size()).ok_or(ReadError::TooShort {
            length: self.length,
            what,
            offset: u64::MAX,
        })?;
        // The whole sector must be in the image
        if offset.checked_add(sector.size()).is_none_or(|end| end > self.length) {
            return Err(ReadError::TooShort { length: self.length, what, offset });
        }
        let bytes: [u8; HEADER_SIZE] = self.bytes(offset, what)?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..8] != *MAGIC {
            return Err(invalid(offset, format!("{what} is missing")));
        }
        if u32_at(8) != REVISION {
            return Err(invalid(offset + 8, format!("revision {:#x} is unknown", u32_at(8))));
        }
        if u32_at(12) as usize != HEADER_SIZE {
            let reason = format!("a header of {} bytes is not supported, only {HEADER_SIZE}", u32_at(12));
            return Err(invalid(offset + 12, reason));
        }
        if u32_at(16) != header_crc(&bytes) {
            return Err(invalid(offset + 16, format!("the checksum of {what} is wrong")));
        }
        let header = Header::parse(&bytes);
        if header.this != number {
            return Err(invalid(offset + 24, format!("{what} claims to be in sector {}", header.this)));
        }
        if header.count == 0 || header.count > ENTRIES {
            let reason = format!("{} entries are not supported, only 1 to {ENTRIES}", header.count);
            return Err(invalid(offset + 80, reason));
        }
        if header.entry_size != ENTRY_SIZE {
            let reason =
                format!("entries of {} bytes are not supported, only {ENTRY_SIZE}", header.entry_size);
            return Err(invalid(offset + 84, reason));
        }
        let is_ordered = if number == 1 {
            // Headers and entries must not overlap the partitions
            let entries_end = header.entries.saturating_add(entry_sectors(sector, &header));
            header.entries >= 2 && entries_end <= header.first_usable && header.last_usable < header.other
        } else {
            let entries_end = header.entries.saturating_add(entry_sectors(sector, &header));
            header.entries > header.last_usable && entries_end <= header.this
        };
        if !is_ordered || header.first_usable > header.last_usable.saturating_add(1) {
            return Err(invalid(offset + 24, format!("{what}, entries and partitions overlap")));
        }
        Ok(header)
    }

    /// The bytes of all entries.
    fn entries(&mut self, sector: Sector, header: &Header) -> Result<Vec<u8>, ReadError> {
        let mut entries = vec![0; (header.count * ENTRY_SIZE) as usize];
        let offset = header.entries.saturating_mul(sector.size());
        self.read(offset, "the entries", &mut entries)?;
        if crc32(&entries) != header.entries_crc {
            return Err(invalid(offset, "the checksum of the entries is wrong"));
        }
        Ok(entries)
    }

    fn bytes<const N: usize>(&mut self, offset: u64, what: &'static str) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.read(offset, what, &mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, offset: u64, what: &'static str, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Err(ReadError::TooShort { length: self.length, what, offset });
        }
        self.image
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.image.read_exact(buffer))
            .map_err(|source| ReadError::Read { offset, source })
    }
}

fn entry_sectors(sector: Sector, header: &Header) -> u64 {
    u64::from(header.count * ENTRY_SIZE).div_ceil(sector.size())
}

/// The partitions, which must not overlap and must be in the usable range.
fn partitions(sector: Sector, header: &Header, entries: &[u8]) -> Result<Vec<Partition>, ReadError> {
    let (entries, _) = entries.as_chunks::<{ ENTRY_SIZE as usize }>();
    let offset_of = |number: usize| header.entries * sector.size() + number as u64 * u64::from(ENTRY_SIZE);
    let mut partitions = Vec::new();
    let mut places: Vec<(u64, u64, usize)> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let Some(entry) = Entry::parse(entry) else { continue };
        let Entry { kind, id, first, last, flags, name } = entry;
        if first > last || first < header.first_usable || last > header.last_usable {
            let (from, to) = (header.first_usable, header.last_usable);
            let reason = format!(
                "partition {} has sectors {first} to {last}, which are outside {from} to {to}",
                number + 1
            );
            return Err(invalid(offset_of(number) + 32, reason));
        }
        places.push((first, last, number));
        // Cannot overflow: the backup header is after it, and was read
        let (offset, size) = (first * sector.size(), (last - first + 1) * sector.size());
        partitions.push(Partition { kind, id, offset, size, flags, name });
    }
    places.sort_unstable();
    for pair in places.windows(2) {
        let [(_, end, one), (start, _, other)] = [pair[0], pair[1]];
        if start <= end {
            let reason = format!("partitions {} and {} overlap", one + 1, other + 1);
            return Err(invalid(offset_of(one.max(other)) + 32, reason));
        }
    }
    Ok(partitions)
}

fn invalid(offset: u64, reason: impl Into<String>) -> ReadError {
    ReadError::Invalid { offset, reason: reason.into() }
}
