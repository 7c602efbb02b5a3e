//! The program that bakes, signs and publishes system extension images.
//!
//! `recipe -> tree -> image -> release -> published`: each stage is a function from one type to the next, in the
//! module named for it, and knows only the stages before it. `recipe` says what to bake, `stage` builds the
//! tree, `bake` writes the image and its record into the `store`, `release` turns all records into a signed
//! catalog, and `publish` copies that to a directory that a server serves. `keys` holds the keys that sign,
//! `inspect` opens images for reading.
#![forbid(unsafe_code)]

mod bake;
pub mod cli;
mod failure;
#[cfg(test)]
mod fake;
mod inspect;
pub mod interrupt;
mod keys;
mod naming;
mod publish;
mod recipe;
mod release;
mod stage;
mod store;
