//! Writes EROFS images, and reads them through `erofs-rs` without mounting.
//!
//! [`write()`] is the writer, [`Reader`] the reader. Images use only what the oldest kernel in the options
//! supports, which is at least Linux 5.15.
//!
//! ```text
//! block 0            superblock at byte 1024, then the codec's parameters
//! block 1 …          inodes with their extended attributes, inline tails and cluster indexes
//! then               blocks of directories, then blocks of files, in the order of the tree
//! at the end         blocks of the packed inode, with small files and ends of files
//! ```

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Checksum, FileReader, ReadError, Reader};
pub use writer::{Options, WriteError, WriterId, Written, write};

pub(crate) use reader::{Superblock, SuperblockError};
