//! This machine: its identity, and the facts that conditions ask for.

pub mod facts;
pub mod identity;
pub mod release;
pub mod stock_timer;
