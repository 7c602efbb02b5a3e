//! Squashfs images, version 4.0: written by us, and read by us without mounting them.
//!
//! [`write()`] is the writer, [`Reader`] the reader. All kernels from 3.19 on read what is written
//! here, and from 4.14 on with zstd, if they were built with the decompressor.
//!
//! ```text
//! byte 0       superblock, then the codec's parameters where they are not its defaults
//! then         blocks of files, and between them fragments: blocks of many tails and small files
//! then         inodes, directories, fragment table, export table, owners, extended attributes
//! ```
//!
//! All tables are cut into metadata blocks of 8 KiB, each compressed on its own, and refer to a
//! place in another table by the position of the compressed block and the offset in what it holds.

mod codec;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use codec::{Codec, DecodeError};
pub use reader::{Fault, FileReader, ReadError, Reader};
pub use writer::{Options, WriteError, WriterId, Written, write};
