//! The system calls that no crate makes for us; the only place with `unsafe`.

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "glibc has no safe way to choose the sources of host names")]
pub(super) mod lookup;
#[expect(unsafe_code, reason = "loop devices and namespaces of one thread have no safe calls")]
pub(super) mod mount;
