//! The header, entries and protective MBR on disk, with little-endian integers.
//!
//! ```text
//! header                               entry
//!  0  8  "EFI PART"                     0 16  type
//!  8  4  revision 1.0                  16 16  its own GUID
//! 12  4  size of the header: 92        32  8  first sector
//! 16  4  checksum of the header        40  8  last sector
//! 24  8  sector of this header         48  8  attributes
//! 32  8  sector of the other one       56 72  name in UTF-16
//! 40  8  first sector for partitions
//! 48  8  last sector for partitions
//! 56 16  GUID of the disk
//! 72  8  first sector of the entries
//! 80  4  number of entries
//! 84  4  size of an entry
//! 88  4  checksum of the entries
//! ```

use super::guid::Guid;
use crate::crc::crc32;

/// The start of a header.
pub(crate) const MAGIC: &[u8; 8] = b"EFI PART";

/// Revision 1.0, the only one.
pub(super) const REVISION: u32 = 0x0001_0000;

/// Size of a header in bytes. Larger headers are allowed, but not in use.
pub(super) const HEADER_SIZE: usize = 92;

/// The number of entries that are written, and the maximum that is read.
pub(super) const ENTRIES: u32 = 128;

/// Size of an entry in bytes.
pub(super) const ENTRY_SIZE: u32 = 128;

/// An entry as it is stored.
pub(super) type EntryBytes = [u8; ENTRY_SIZE as usize];

/// The longest name, in UTF-16 code units.
pub(super) const NAME_UNITS: usize = 36;

/// The variable fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) this: u64,
    pub(super) other: u64,
    pub(super) first_usable: u64,
    pub(super) last_usable: u64,
    pub(super) disk: Guid,
    pub(super) entries: u64,
    pub(super) count: u32,
    pub(super) entry_size: u32,
    pub(super) entries_crc: u32,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let mut put = |offset: usize, field: &[u8]| bytes[offset..][..field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(8, &REVISION.to_le_bytes());
        put(12, &92u32.to_le_bytes());
        put(24, &self.this.to_le_bytes());
        put(32, &self.other.to_le_bytes());
        put(40, &self.first_usable.to_le_bytes());
        put(48, &self.last_usable.to_le_bytes());
        put(56, &self.disk.to_disk());
        put(72, &self.entries.to_le_bytes());
        put(80, &self.count.to_le_bytes());
        put(84, &self.entry_size.to_le_bytes());
        put(88, &self.entries_crc.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Parses the fields without checking them.
    pub(super) fn parse(bytes: &[u8; HEADER_SIZE]) -> Self {
        let field = Field(bytes);
        Self {
            this: field.u64(24),
            other: field.u64(32),
            first_usable: field.u64(40),
            last_usable: field.u64(48),
            disk: Guid::from_disk(field.bytes(56)),
            entries: field.u64(72),
            count: field.u32(80),
            entry_size: field.u32(84),
            entries_crc: field.u32(88),
        }
    }
}

/// The checksum of a header, with zeros in its own place.
pub(super) fn header_crc(bytes: &[u8; HEADER_SIZE]) -> u32 {
    let mut bytes = *bytes;
    bytes[16..20].fill(0);
    crc32(&bytes)
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Guid,
    pub(super) id: Guid,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) flags: u64,
    pub(super) name: String,
}

impl Entry {
    pub(super) fn to_bytes(&self) -> EntryBytes {
        let mut bytes = [0; ENTRY_SIZE as usize];
        let mut put = |offset: usize, field: &[u8]| bytes[offset..][..field.len()].copy_from_slice(field);
        put(0, &self.kind.to_disk());
        put(16, &self.id.to_disk());
        put(32, &self.first.to_le_bytes());
        put(40, &self.last.to_le_bytes());
        put(48, &self.flags.to_le_bytes());
        for (unit, value) in self.name.encode_utf16().take(NAME_UNITS).enumerate() {
            put(56 + 2 * unit, &value.to_le_bytes());
        }
        bytes
    }

    /// Parses the fields without checking them; `None` if the entry is unused.
    pub(super) fn parse(bytes: &EntryBytes) -> Option<Self> {
        let field = Field(bytes);
        let kind = Guid::from_disk(field.bytes(0));
        if kind == Guid::ZERO {
            return None;
        }
        let units = bytes[56..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let name: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        Some(Self {
            kind,
            id: Guid::from_disk(field.bytes(16)),
            first: field.u64(32),
            last: field.u64(40),
            flags: field.u64(48),
            name: String::from_utf16_lossy(&name),
        })
    }
}

/// Offset of the partition entries in an MBR.
const MBR_PARTITIONS: usize = 446;

/// Size of an MBR entry. There are four.
const MBR_ENTRY: usize = 16;

/// The last bytes of an MBR.
const MBR_END: [u8; 2] = [0x55, 0xaa];

/// The type of the partition that protects the disk from tools without GPT support.
const MBR_PROTECTIVE: u8 = 0xee;

/// An MBR with one partition over the whole disk, for programs that do not support GPT.
pub(super) fn protective_mbr(sectors: u64) -> [u8; 512] {
    let mut mbr = [0; 512];
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    // Not bootable, from sector 1 on; the obsolete cylinder addresses
    let first = [0, 0, 2, 0, MBR_PROTECTIVE, 0xff, 0xff, 0xff, 1, 0, 0, 0];
    mbr[MBR_PARTITIONS..][..first.len()].copy_from_slice(&first);
    mbr[MBR_PARTITIONS + first.len()..][..4].copy_from_slice(&size.to_le_bytes());
    mbr[510..].copy_from_slice(&MBR_END);
    mbr
}

/// Whether the first 512 bytes of an image are such an MBR, if only in one of its partitions.
pub(super) fn is_protective(mbr: &[u8; 512]) -> bool {
    let mut kinds = mbr[MBR_PARTITIONS..510].chunks_exact(MBR_ENTRY).map(|entry| entry[4]);
    mbr[510..] == MBR_END && kinds.any(|kind| kind == MBR_PROTECTIVE)
}

/// Little-endian fields of bytes that are long enough.
struct Field<'a>(&'a [u8]);

impl Field<'_> {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[offset..offset + N]);
        bytes
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }
}
