//! See `bakery --help`.
fn main() {}
