//! What the steps of a merge do with file descriptors of mounts.

use std::os::fd::{AsFd, AsRawFd as _};

use rustix::mount::OpenTreeFlags;

/// A path to what a file descriptor of this process holds.
pub(super) fn path_of(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Copies a mount with all mounts below it.
pub(super) fn copy_flags() -> OpenTreeFlags {
    OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_NO_AUTOMOUNT
}
