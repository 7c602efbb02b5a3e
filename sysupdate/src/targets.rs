//! What is installed: its names, locations and inventory, and its removal.

pub(crate) mod inventory;
pub(crate) mod location;
pub(crate) mod names;
pub(crate) mod removal;
pub(crate) mod unclaimed;
pub(crate) mod vacuum;

pub(crate) use location::Location;
