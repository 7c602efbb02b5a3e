//! The contract between bakery and node: versions, patterns, transfer files, checksums, the signed
//! catalog, and trust. Pure: every function takes text or bytes and returns data.
#![forbid(unsafe_code)]

pub mod architecture;
pub mod catalog;
pub mod checksums;
pub mod condition;
pub mod digest;
pub mod envelope;
pub mod extension_release;
pub mod feature;
pub mod health;
pub mod hint;
pub mod ini;
#[cfg(feature = "openpgp")]
pub mod openpgp;
pub mod os_release;
pub mod pattern;
pub mod position;
pub mod repository;
pub mod requirement;
#[cfg(feature = "schema")]
pub mod schema;
pub mod similar;
pub mod specifier;
pub mod stock;
pub mod transfer;
pub mod trust;
pub mod update_set;
mod url;
pub mod version;
mod words;
