//! Discoverable disk images (DDI): a file system, its dm-verity tree and the signature of its root hash, as
//! three partitions whose types describe them.
//!
//! ```text
//! head    partition table (see [`gpt`](crate::gpt))
//! data    the file system, padded with zeros to a multiple of 4096 bytes
//! verity  superblock and tree (see [`verity`](crate::verity))
//! sig     16 KiB: a JSON object with root hash, certificate fingerprint and PKCS#7 signature, then zeros
//! tail    partition table again
//! ```
//!
//! The images equal those of `systemd-repart --make-ddi=sysext`. The partition types contain the
//! architecture, so that hosts skip images for others, and `root`, also for a system extension. The UUID of
//! the data partition is the first half of the root hash, that of the verity partition the second half. The
//! UUIDs of signature, disk and tree and the salt are derived from a [`Seed`]. All three partitions are
//! read-only (bit 60 of their flags) and do not grow.
//!
//! [`Writer`] hashes the file system while it is written. [`Reader`] finds the partitions of an image and
//! checks that they belong together.
//!
//! ```
//! use std::io::{Cursor, Read as _, Write as _};
//! use sysext_image::ddi::{Architecture, Options, Reader, Writer};
//!
//! let mut image = Cursor::new(Vec::new());
//! let mut writer = Writer::new(&mut image, Options::new(Architecture::X86_64))?;
//! writer.write_all(&[7; 10_000])?; // or let `erofs::write` write to it
//! let written = writer.finish()?;
//!
//! let reader = Reader::open(image)?;
//! assert_eq!(reader.root_hash(), Some(written.root_hash));
//! reader.verify()?;
//! let mut filesystem = Vec::new();
//! reader.checked()?.read_to_end(&mut filesystem)?;
//! assert_eq!(filesystem[..10_000], [7; 10_000]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod partition_type;
mod reader;
mod signature;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use error::{ReadError, WriteError};
pub use partition_type::{Architecture, Designator, PartitionType, Role, UnknownArchitecture};
pub use reader::Reader;
pub use signature::Signature;
pub use window::Window;
pub use writer::{Options, Writer, Written};

pub use crate::gpt::Sector;
pub use crate::verity::Seed;

/// The flag of a read-only partition: bit 60.
pub const READ_ONLY: u64 = 1 << 60;
