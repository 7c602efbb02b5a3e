//! From the records of a store to a signed catalog: [`compose`] writes a release, [`sign`] adds signatures to
//! it, and [`read`] reads it back as a node would.

pub mod check;
pub mod collect;
pub mod compose;
pub mod error;
mod manifests;
pub mod read;
pub mod sign;
