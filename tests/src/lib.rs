//! What the tests share.

mod isolation;
pub mod licences;
pub mod needs;
pub mod peer;
pub mod programs;
pub mod quickstart;
pub mod scratch;
pub mod server;
pub mod workspace;
