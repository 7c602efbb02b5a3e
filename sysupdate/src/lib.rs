//! The program on the node.
//!
//! `Settings -> (Inventory, Catalog) -> Plan -> Unverified -> Verified -> Installed -> Merged -> Healthy`:
//! each stage is a function from one type to the next, in the module named for it.

pub mod acquire;
pub mod host;
pub mod merge;
pub mod paths;
pub mod plan;
pub mod record;
