//! A partition table in memory.

use super::format::{ENTRIES, ENTRY_SIZE};
use super::guid::Guid;

/// Size of a sector, the unit of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sector {
    /// The size for nearly every disk image.
    Bytes512,
    /// The size for images that are copied to disks with such sectors.
    Bytes4096,
}

impl Sector {
    /// Both sizes, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Bytes512, Self::Bytes4096];

    /// The size in bytes.
    pub const fn size(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4096,
        }
    }

    /// The number of sectors of the entries.
    pub(super) const fn entries(self) -> u64 {
        (ENTRIES as u64 * ENTRY_SIZE as u64).div_ceil(self.size())
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The type of the partition.
    pub kind: Guid,
    /// The GUID of the partition.
    pub id: Guid,
    /// Offset in bytes from the start of the image.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// The attribute bits.
    pub flags: u64,
    /// Its label.
    pub name: String,
}

impl Partition {
    /// End in bytes from the start of the image.
    pub fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// A partition table of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Size of a sector.
    pub sector: Sector,
    /// The GUID of the whole disk.
    pub disk: Guid,
    /// The partitions, in the order of their entries.
    pub partitions: Vec<Partition>,
    /// The number of sectors, including the backup header.
    pub(super) sectors: u64,
}

impl Table {
    /// Size of the disk in bytes, up to the end of the backup header.
    pub fn size(&self) -> u64 {
        self.sectors * self.sector.size()
    }
}
