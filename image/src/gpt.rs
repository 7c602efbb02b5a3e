//! GUID partition tables of disk images.
//!
//! [`Table`] lists the partitions. [`Table::read`] reads both copies of a table and rejects an inconsistent
//! one. [`Layout`] places new partitions in sequence, and encodes the bytes before and after them.
//!
//! ```text
//! sector 0         protective MBR: one partition of type 0xee over the whole disk
//! sector 1         primary header: sizes and places, checksums of itself and the entries
//! sector 2 …       128 entries of 128 bytes
//! …                partitions, each from a multiple of 4096 bytes on
//! last 33 sectors  the entries again, then the backup header (last 5 with sectors of 4096 bytes);
//!                  the total size is a multiple of 4096 bytes
//! ```
//!
//! Sectors have 512 or 4096 bytes. A table for one size is not found with the other.
//!
//! ```
//! use sysext_image::gpt::{Guid, Layout, NewPartition, Sector, Table};
//!
//! let new = NewPartition {
//!     kind: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709".parse()?,
//!     id: Guid([1; 16]),
//!     size: 8192,
//!     flags: 1 << 60,
//!     name: "root-x86-64".into(),
//! };
//! let layout = Layout::new(Sector::Bytes512, Guid([2; 16]), vec![new])?;
//! assert_eq!(layout.table().partitions[0].offset, 20480);
//! let image = [layout.head(), vec![0; 8192], layout.tail()].concat();
//! assert_eq!(Table::read(&mut std::io::Cursor::new(image))?, *layout.table());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod format;
mod guid;
mod reader;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{LayoutError, ReadError};
pub use guid::{Guid, InvalidGuid};
pub use table::{Partition, Sector, Table};
pub use writer::{Layout, NewPartition};

pub(crate) use format::MAGIC;
pub(crate) use writer::first_place;
