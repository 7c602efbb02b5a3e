//! EROFS images: written by us, read back by `erofs-rs`.
//!
//! [`write()`] is the writer, [`Reader`] the reader. Images use only what Linux 5.15 knows, apart
//! from zstd, which came with 6.10.
//!
//! ```text
//! block 0            superblock at byte 1024, then the codec's parameters
//! block 1 …          inodes with their extended attributes, inline tails and cluster indexes
//! then               blocks of directories, then blocks of files, in the order of the tree
//! ```

mod clusters;
mod crc32c;
mod directory;
mod error;
mod format;
mod index;
mod layout;
mod output;
mod reader;
#[cfg(test)]
mod tests;
mod writer;
mod writer_id;
mod xattr;

pub use error::{ReadError, WriteError};
pub use reader::{FileReader, Reader};
pub use writer::{Options, Written, write};
pub use writer_id::WriterId;

pub(crate) use crc32c::crc32c;
pub(crate) use format::{MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
