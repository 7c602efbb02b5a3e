//! What a table says.

use super::format::{ENTRIES, ENTRY_SIZE};
use super::guid::Guid;

/// Size of a sector. Everything in a table counts in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sector {
    /// What nearly every disk image has.
    Bytes512,
    /// What some disks have, to which an image may be copied.
    Bytes4096,
}

impl Sector {
    /// Both, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Bytes512, Self::Bytes4096];

    /// In bytes.
    pub const fn size(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4096,
        }
    }

    /// How many sectors the entries take.
    pub(super) const fn entries(self) -> u64 {
        (ENTRIES as u64 * ENTRY_SIZE as u64).div_ceil(self.size())
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub kind: Guid,
    /// Its own GUID.
    pub id: Guid,
    /// Where it begins, in bytes from the start of the image.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// The attribute bits.
    pub flags: u64,
    /// Its label.
    pub name: String,
}

impl Partition {
    /// Where it ends, in bytes from the start of the image.
    pub fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// A partition table, of an image of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Size of a sector.
    pub sector: Sector,
    /// The GUID of the whole disk.
    pub disk: Guid,
    /// The partitions, in the order of their entries.
    pub partitions: Vec<Partition>,
    /// How many sectors there are, up to and with the backup header.
    pub(super) sectors: u64,
}

impl Table {
    /// Size in bytes of what the table speaks of, up to the end of its backup.
    pub fn size(&self) -> u64 {
        self.sectors * self.sector.size()
    }
}
