//! The system calls that no crate makes for us; the only place with `unsafe`.
