//! Discoverable disk images: a filesystem, the dm-verity tree over it and the signature of its root
//! hash, as three partitions of one file that say themselves what they are.
//!
//! ```text
//! head    partition table (see [`gpt`](crate::gpt))
//! data    the filesystem, with zeros up to a multiple of 4096 bytes
//! verity  superblock and tree (see [`verity`](crate::verity))
//! sig     16 KiB: a JSON object with root hash, certificate fingerprint and PKCS#7 signature, then zeros
//! tail    partition table again
//! ```
//!
//! All is as `systemd-repart --make-ddi=sysext` has it. The partitions' types name an architecture, so
//! that a host passes over images of another, and `root`, also for a system extension. The UUID of the
//! data partition is the first half of the root hash, that of the verity partition the second half;
//! that of the signature and of the disk, the salt and the UUID of the tree come from a [`Seed`]. All
//! three are read-only (bit 60 of their flags) and do not grow.
//!
//! [`Writer`] takes the filesystem as it is written and hashes it on the way; [`Reader`] finds the
//! partitions of an image and checks what they say of each other.
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

/// The flag of a partition that is not to be written to: bit 60.
pub const READ_ONLY: u64 = 1 << 60;
