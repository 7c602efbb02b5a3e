//! An image opened for reading.

pub mod extension_release;
pub mod opened;
