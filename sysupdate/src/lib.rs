//! The program on the node.
//!
//! `Settings -> Survey -> Plan -> Unverified -> Verified -> Installed -> Merged -> Healthy`: each stage is a
//! function from one type to the next, in the module named for it.

pub mod acquire;
pub mod cli;
mod failure;
mod health;
pub mod host;
pub mod merge;
pub mod node;
pub mod paths;
pub mod plan;
pub mod repository;
pub mod settings;
pub mod sources;
mod state;
mod targets;
pub mod update;
