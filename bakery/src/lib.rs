//! The program that bakes.
//!
//! `Recipe -> Tree -> Image -> Release -> published`: each stage is a function from one type to the
//! next, in the module named for it. [`recipe`] reads, [`stage`] puts the tree together, [`bake`] writes
//! the image and its record, [`index`] makes the signed catalog of all records, [`publish`] copies. [`root`] says whose keys sign, [`sign`] adds
//! a signature to a release.
#![forbid(unsafe_code)]

pub mod bake;
pub mod cli;
#[cfg(test)]
mod fake;
pub mod index;
pub mod interrupt;
pub mod keys;
pub mod naming;
pub mod offer;
pub mod opened;
pub mod openpgp;
pub mod publish;
pub mod recipe;
pub mod record;
pub mod release;
pub mod root;
pub mod sign;
pub mod stage;
pub mod store;
