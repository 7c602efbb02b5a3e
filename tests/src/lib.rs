//! Code that several tests share.

pub mod interrupt;
mod isolation;
pub mod licences;
pub mod machine;
pub mod manuals;
pub mod needs;
pub mod node;
pub mod pages;
pub mod peer;
pub mod programs;
pub mod quickstart;
pub mod sample;
pub mod schema;
pub mod scratch;
pub mod server;
pub mod specimen;
pub mod third_party;
pub mod workspace;
