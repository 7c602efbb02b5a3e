//! See `sysupdate --help`.
fn main() {}
