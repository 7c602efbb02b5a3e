//! dm-verity: a tree of SHA-256 hashes over an image, so that every block can be verified against a single
//! root hash when it is read.
//!
//! [`Builder`] hashes what is written to it and returns a [`HashTree`], which equals that of `veritysetup
//! format`. [`Verifier`] verifies a whole image or ranges of it, [`Checked`] verifies while it is read. The
//! tree is after the image ([`append`]), in a partition of its own ([`ddi`](crate::ddi)) or in a file next to
//! it ([`Sidecars`]).
//!
//! ```text
//! block 0      superblock: 512 bytes, then zeros
//! block 1      top level: one block, whose hash is the root hash
//! …            further levels, each the hashes of the blocks of the level below, 128 in a block
//! last blocks  level 1: the hashes of the blocks of the image
//! ```
//!
//! The salt is hashed before each block. The last block of a level is padded with zeros. An image of a single
//! block has no levels: the root hash is the hash of that block.
//!
//! ```
//! use std::io::{Cursor, Write as _};
//! use sysext_image::verity::{Builder, Parameters, Seed, Verifier};
//!
//! let image = vec![7; 300 * 4096];
//! let mut builder = Builder::new(Parameters::from_seed(&Seed::of_first_block(&image)), None);
//! builder.update(&image);
//! let tree = builder.finish()?;
//!
//! let mut file = Vec::new();
//! tree.write_to(&mut file)?;
//! let mut verifier = Verifier::open(Cursor::new(&file), 0, tree.root_hash())?;
//! verifier.verify(&mut Cursor::new(&image))?;
//!
//! let mut broken = image;
//! broken[5 * 4096 + 17] ^= 1;
//! let error = verifier.verify(&mut Cursor::new(&broken)).unwrap_err();
//! assert_eq!(error.to_string(), "the block at offset 20480 of the image does not match its hash");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checked;
mod error;
mod leaves;
mod reader;
mod root_hash;
mod seed;
mod shape;
mod sidecars;
mod superblock;
#[cfg(test)]
mod tests;
mod writer;

pub use checked::Checked;
pub use error::{VerifyError, WriteError};
pub use reader::Verifier;
pub use root_hash::RootHash;
pub use seed::Seed;
pub use sidecars::Sidecars;
pub use superblock::Superblock;
pub use writer::{Appended, Builder, HashTree, Parameters, append};

/// Size in bytes of the blocks of the image and the tree, as written here.
pub const BLOCK: u64 = 4096;

/// [`BLOCK`] in memory.
const BLOCK_USIZE: usize = 4096;

/// Size of a hash in bytes.
const DIGEST: usize = 32;

/// The most bytes of salt that a superblock has room for.
const SALT_MAX: usize = 256;
