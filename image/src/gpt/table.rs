//! What a table says, and where partitions of given sizes go.

use super::error::LayoutError;
use super::format::{ENTRIES, ENTRY_SIZE, NAME_UNITS};
use super::guid::Guid;

/// Partitions begin and end at multiples of so many bytes, as systemd-repart has them too.
const ALIGNMENT: u64 = 4096;

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

/// A partition that has no place yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// What it is for.
    pub kind: Guid,
    /// Its own GUID.
    pub id: Guid,
    /// Size in bytes.
    pub size: u64,
    /// The attribute bits.
    pub flags: u64,
    /// Its label, at most 36 units of UTF-16.
    pub name: String,
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
    /// Places partitions one behind the other, in an image no larger than they need.
    pub fn lay_out(sector: Sector, disk: Guid, new: Vec<New>) -> Result<Self, LayoutError> {
        if new.len() > ENTRIES as usize {
            return Err(LayoutError::TooMany { partitions: new.len() });
        }
        let mut end = (2 + sector.entries()) * sector.size();
        let mut partitions = Vec::with_capacity(new.len());
        for New { kind, id, size, flags, name } in new {
            if name.encode_utf16().count() > NAME_UNITS {
                return Err(LayoutError::Name { name });
            }
            if size == 0 || !size.is_multiple_of(ALIGNMENT) {
                return Err(LayoutError::Size { name, size });
            }
            let offset = end.next_multiple_of(ALIGNMENT);
            end = offset.checked_add(size).filter(|end| *end < u64::MAX / 2).ok_or(LayoutError::TooLarge)?;
            partitions.push(Partition { kind, id, offset, size, flags, name });
        }
        let sectors = end / sector.size() + sector.entries() + 1;
        Ok(Self { sector, disk, partitions, sectors })
    }

    /// Size of the image in bytes.
    pub fn size(&self) -> u64 {
        self.sectors * self.sector.size()
    }
}
