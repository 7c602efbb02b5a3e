//! Reads and writes image files: file trees, codecs, file systems, partition tables, verity and signatures.
//!
//! The same tree gives the same bytes on any machine, with any number of threads. Nothing here runs an
//! external program, and no parser of untrusted bytes opens a file.

pub mod codec;
mod crc;
pub mod ddi;
pub mod diff;
pub mod dump;
mod duplicates;
pub mod entry;
pub mod erofs;
pub mod extract;
pub mod filesystem;
pub mod format;
pub mod gpt;
pub mod kernel;
pub mod overlay;
mod parallel;
#[cfg(feature = "pkcs7")]
pub mod pkcs7;
pub mod probe;
pub mod progress;
pub mod spool;
pub mod squashfs;
pub mod tree;
pub mod verity;

pub use codec::Codec;
pub use dump::dump;
pub use filesystem::Filesystem;
pub use format::Format;
pub use kernel::{Floor, Kernel};
pub use progress::Progress;
pub use tree::Tree;
