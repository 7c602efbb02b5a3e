//! The mounts of the running kernel.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, open, statvfs};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};

use super::fd::{copy_flags, path_of};
use super::image::{self, ImageError};
use super::table::MountTable;
use super::{MountedAt, Mounts, StageError, Staging, private, shown, stage};
use crate::host::view::{Directory, Tree};

/// The running kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Mounts for Kernel {
    fn table(&self) -> io::Result<MountTable> {
        // Of this thread: `/proc/self` shows the namespace of the main thread
        let text = std::fs::read("/proc/thread-self/mountinfo")?;
        MountTable::parse(&text).map_err(|line| io::Error::other(format!("cannot parse the line {line:?}")))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn look(&self, path: &Path) -> io::Result<MountedAt> {
        shown::at(path)
    }

    fn look_at(&self, mount: BorrowedFd<'_>) -> io::Result<MountedAt> {
        shown::of(mount)
    }

    fn is_read_only(&self, path: &Path) -> io::Result<bool> {
        Ok(statvfs(path)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    fn files(&self, root: &Path) -> Box<dyn Tree> {
        Box::new(Directory::at(root))
    }

    fn files_in(&self, directory: OwnedFd) -> Box<dyn Tree> {
        Box::new(Directory::open(directory))
    }

    fn merged(&self, hierarchy: &Path) -> io::Result<Option<Box<dyn Tree>>> {
        Ok(private::is_merged(hierarchy)?.then(|| self.files(hierarchy)))
    }

    fn hold(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>> {
        if !private::is_merged(hierarchy)? {
            return Ok(None);
        }
        private::run(
            || {
                private::uncover(hierarchy)?;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok(Some(open(hierarchy, flags, Mode::empty())?))
            },
            |error| error,
        )
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
    }

    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError> {
        image::open(image)
    }

    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd> {
        Ok(open_tree(CWD, directory, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?)
    }

    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd> {
        // In private: a copy of a shared mount would join its peer group, and mounts in the copy would vanish with
        // the original
        private::run(|| Ok(open_tree(CWD, path, copy_flags())?), |error| error)
    }

    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError> {
        private::run(|| stage::assemble(staging), StageError::Private)
    }

    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        Ok(move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }

    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_BENEATH;
        move_mount(mount, "", CWD, path, flags).map_err(|errno| match errno {
            Errno::INVAL | Errno::NOSYS => io::Error::new(io::ErrorKind::InvalidInput, errno),
            other => other.into(),
        })
    }

    fn detach(&self, path: &Path) -> io::Result<()> {
        Ok(unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
    }

    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        // The link leads to exactly this mount, even if its mount point is covered
        Ok(unmount(path_of(root), UnmountFlags::DETACH)?)
    }
}
