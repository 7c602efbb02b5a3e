//! Writes squashfs images of version 4.0, and reads them without mounting.
//!
//! [`write()`] is the writer, [`Reader`] the reader. All kernels from 3.19 on can read the images, from 4.14
//! on with zstd, if they were built with the decompressor.
//!
//! ```text
//! byte 0       superblock, then the codec's parameters if they are not the defaults
//! then         blocks of files, and between them fragments: blocks of many tails and small files
//! then         inodes, directories, fragment table, export table, owners, extended attributes
//! ```
//!
//! All tables consist of metadata blocks of 8 KiB, which are compressed one by one. A reference into a table
//! is the position of the compressed block and the offset in the decompressed block.

mod codec;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use codec::{Codec, DecodeError};
pub use reader::{Fault, FileReader, ReadError, Reader};
pub use writer::{Options, WriteError, WriterId, Written, write};
