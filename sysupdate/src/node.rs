//! This machine: its identity, and the facts that conditions ask for.

pub mod facts;
pub mod identity;
pub(crate) mod release;
pub(crate) mod stock_timer;
