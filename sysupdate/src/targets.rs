//! What is installed: its names, locations and inventory, and its removal.

pub mod inventory;
pub mod location;
pub mod names;
pub mod removal;
pub mod vacuum;

pub use location::Location;
