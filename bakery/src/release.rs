//! From the records of a store to a signed catalog: [`compose`] writes a release, [`sign`] adds signatures to
//! it, and [`read`] reads it back as a node would.

pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod compose;
pub(crate) mod drops;
pub(crate) mod error;
pub(crate) mod identity;
mod manifests;
pub(crate) mod read;
mod seal;
pub(crate) mod sign;
