//! An image opened for reading.

pub(crate) mod extension_release;
pub(crate) mod opened;
