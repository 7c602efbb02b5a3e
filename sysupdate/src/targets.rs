//! Installed files: their names, an inventory of them, and their removal.

pub mod inventory;
pub mod names;
pub mod removal;
pub mod vacuum;
