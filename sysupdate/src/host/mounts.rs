//! Mounting images and swapping what is merged.

/// The mounts of a system.
pub trait Mounts {}
