//! The program on the node.
//!
//! `Settings -> (Inventory, Catalog) -> Plan -> Unverified -> Verified -> Installed -> Merged -> Healthy`:
//! each stage is a function from one type to the next, in the module named for it.

pub mod acquire;
pub mod activate;
pub mod cli;
pub mod discover;
pub mod facts;
pub mod health;
pub mod host;
pub mod identity;
pub mod install;
pub mod inventory;
pub mod merge;
pub mod paths;
pub mod plan;
pub mod record;
pub mod report;
pub mod repository;
pub mod retire;
pub mod scan;
pub mod services;
pub mod settings;
#[cfg(feature = "openpgp")]
pub mod signature;
pub mod update;
pub mod vacuum;
