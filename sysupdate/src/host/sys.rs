//! The system calls that no crate makes for us; the only place with `unsafe`.

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub(super) mod lookup;
pub(super) mod mount;
