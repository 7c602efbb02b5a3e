//! What a path shows: which mount, and which file of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxAttributes, StatxFlags, statx};

/// What a path shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountedAt {
    /// The number of the mount.
    pub mount: u64,
    /// What part of the mount it is.
    pub part: Part,
    /// The file system, and the number of the file in it.
    pub file: (u32, u32, u64),
}

/// A part of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is mounted there.
    Root,
    /// A file or directory in it.
    Inside,
}

/// Looks at a path without mounting anything that waits to be.
pub(super) fn at(path: &Path) -> io::Result<MountedAt> {
    Ok(statx(CWD, path, AtFlags::NO_AUTOMOUNT, wanted())?.into())
}

/// Looks at what a file descriptor holds.
pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<MountedAt> {
    Ok(statx(fd.as_fd(), "", AtFlags::EMPTY_PATH, wanted())?.into())
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::MNT_ID
}

impl From<Statx> for MountedAt {
    fn from(found: Statx) -> Self {
        let is_root = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        Self {
            mount: found.stx_mnt_id,
            part: if is_root { Part::Root } else { Part::Inside },
            file: (found.stx_dev_major, found.stx_dev_minor, found.stx_ino),
        }
    }
}
