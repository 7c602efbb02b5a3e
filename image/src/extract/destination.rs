//! The destination of an extraction. Every access uses an open directory and a single name.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{ExtractError, NotRestored, Owners};
use crate::entry::{Entry, EntryKind, Special};

/// The mode of directories until everything is extracted: accessible by the caller only.
const CLOSED: u32 = 0o700;

/// The setuid and setgid bits.
const SET_IDS: u16 = 0o6000;

pub(super) struct Destination {
    /// Its path, for messages.
    path: PathBuf,
    root: OwnedFd,
    owners: Owners,
    /// The directory of the last entry, which is often that of the next.
    open: (PathBuf, OwnedFd),
    not_restored: NotRestored,
}

/// A file that is being written.
pub(super) struct Writing<'a> {
    file: OwnedFd,
    at: Place<'a>,
}

/// A path in the destination, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a Path,
    path: &'a Path,
}

impl Place<'_> {
    fn failed(self, action: &'static str, error: Errno) -> ExtractError {
        ExtractError::Write { action, path: self.root.join(self.path), source: error.into() }
    }
}

impl Writing<'_> {
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), ExtractError> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.file, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.at.failed("write", error)),
            }
        }
        Ok(())
    }
}

impl Destination {
    pub(super) fn open(path: &Path, owners: Owners) -> Result<Self, ExtractError> {
        let failed =
            |source: Errno| ExtractError::Destination { path: path.to_owned(), source: source.into() };
        match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed)?;
        if !is_empty(&root).map_err(failed)? {
            return Err(ExtractError::NotEmpty { path: path.to_owned() });
        }
        let open = (PathBuf::new(), rustix::io::fcntl_dupfd_cloexec(&root, 0).map_err(failed)?);
        Ok(Self { path: path.to_owned(), root, owners, open, not_restored: NotRestored::default() })
    }

    pub(super) fn directory(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        let (parent, name, at) = self.place(&entry.path)?;
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(CLOSED))
            .map_err(|error| at.failed("create the directory", error))
    }

    pub(super) fn symlink(&mut self, entry: &Entry, target: &OsStr) -> Result<(), ExtractError> {
        let owners = self.owners;
        let (parent, name, at) = self.place(&entry.path)?;
        rustix::fs::symlinkat(target, parent, name)
            .map_err(|error| at.failed("create the symbolic link", error))?;
        let is_owned = set_owner_at(owners, parent, name, entry)
            .map_err(|error| at.failed("set the owner of", error))?;
        rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| at.failed("set the time of", error))?;
        self.not_restored.owners += u64::from(!is_owned);
        // No system call can set them through an open directory and a name.
        self.skip_xattrs(entry);
        Ok(())
    }

    /// Returns whether it was created, which requires privileges for devices.
    pub(super) fn special(&mut self, entry: &Entry, special: Special) -> Result<bool, ExtractError> {
        let owners = self.owners;
        let (parent, name, at) = self.place(&entry.path)?;
        let (kind, device) = match special {
            Special::Character(device) => (FileType::CharacterDevice, Some(device)),
            Special::Block(device) => (FileType::BlockDevice, Some(device)),
            Special::Fifo => (FileType::Fifo, None),
        };
        let number = device.map_or(0, |device| rustix::fs::makedev(device.major, device.minor));
        match rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), number) {
            Ok(()) => {}
            Err(Errno::PERM) if device.is_some() => {
                self.not_restored.devices.push(entry.path.clone());
                return Ok(false);
            }
            Err(error) => return Err(at.failed("create the device or pipe", error)),
        }
        // Another user with write access to the destination may have replaced it, for example with a link.
        // Check the opened file, and do not use its name from here on.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::empty())
            .and_then(|made| rustix::fs::fstat(&made).map(|found| (made, found)))
            .map_err(|error| at.failed("open", error))?;
        let (made, found) = made;
        if FileType::from_raw_mode(found.st_mode) != kind || found.st_rdev != number || found.st_nlink > 1 {
            return Err(at.failed("find the new device or pipe", Errno::NOENT));
        }
        let is_owned = set_owner_at(owners, made.as_fd(), OsStr::new(""), entry)
            .map_err(|error| at.failed("set the owner of", error))?;
        let path = format!("/proc/self/fd/{}", made.as_raw_fd());
        rustix::fs::chmod(&path, Mode::from_raw_mode(u32::from(entry.mode)))
            .and_then(|()| rustix::fs::utimensat(CWD, &path, &times(entry), AtFlags::empty()))
            .map_err(|error| at.failed("set the mode and time of", error))?;
        self.not_restored.owners += u64::from(!is_owned);
        self.skip_xattrs(entry);
        Ok(true)
    }

    pub(super) fn file(
        &mut self,
        entry: &Entry,
        fill: impl FnOnce(&mut Writing<'_>) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        let owners = self.owners;
        let (parent, name, at) = self.place(&entry.path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|error| at.failed("create the file", error))?;
        let mut writing = Writing { file, at };
        if let Err(error) = fill(&mut writing) {
            // Report the first error. If the file cannot be removed, it is accessible by the caller only.
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
            return Err(error);
        }
        let mut not_restored = NotRestored::default();
        finish(&writing.file, entry, owners, at, &mut not_restored)?;
        self.not_restored.add(not_restored);
        Ok(())
    }

    /// Returns whether the link was created: its target may be a device that was not.
    pub(super) fn link(&mut self, existing: &Path, path: &Path) -> Result<bool, ExtractError> {
        if self.not_restored.devices.iter().any(|device| device == existing) {
            self.not_restored.devices.push(path.to_owned());
            return Ok(false);
        }
        let (old_parent, old_name, _) = self.place(existing)?;
        let old_parent = rustix::io::fcntl_dupfd_cloexec(old_parent, 0);
        let old_name = old_name.to_owned();
        let (parent, name, at) = self.place(path)?;
        old_parent
            .and_then(|old_parent| rustix::fs::linkat(old_parent, &old_name, parent, name, AtFlags::empty()))
            .map_err(|error| at.failed("create the hard link", error))?;
        Ok(true)
    }

    /// Sets the metadata of all directories, the innermost first. Earlier, read-only directories could not be
    /// filled.
    pub(super) fn finish(mut self, entries: &[Entry]) -> Result<NotRestored, ExtractError> {
        let mut not_restored = NotRestored::default();
        let directories = entries.iter().filter(|entry| entry.kind == EntryKind::Directory);
        for entry in directories.rev() {
            if entry.path.as_os_str().is_empty() {
                continue;
            }
            self.enter(&entry.path)?;
            let at = Place { root: &self.path, path: &entry.path };
            finish(&self.open.1, entry, self.owners, at, &mut not_restored)?;
        }
        self.not_restored.add(not_restored);
        Ok(self.not_restored)
    }

    /// The open directory of a path, and its last name.
    fn place<'a>(
        &'a mut self,
        path: &'a Path,
    ) -> Result<(BorrowedFd<'a>, &'a OsStr, Place<'a>), ExtractError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.enter(parent)?;
        let name = path.file_name().unwrap_or_default();
        Ok((self.open.1.as_fd(), name, Place { root: &self.path, path }))
    }

    /// Opens a directory name by name; a link is an error.
    fn enter(&mut self, directory: &Path) -> Result<(), ExtractError> {
        if self.open.0 == directory {
            return Ok(());
        }
        let at = Place { root: &self.path, path: directory };
        let failed = |error| at.failed("open the directory", error);
        let mut current = rustix::io::fcntl_dupfd_cloexec(&self.root, 0).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for name in directory {
            current = rustix::fs::openat(&current, name, flags, Mode::empty()).map_err(failed)?;
        }
        self.open = (directory.to_owned(), current);
        Ok(())
    }

    fn skip_xattrs(&mut self, entry: &Entry) {
        let names = entry.xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned());
        self.not_restored.xattrs.extend(names.map(|name| (entry.path.clone(), name)));
    }
}

impl NotRestored {
    fn add(&mut self, other: Self) {
        self.owners += other.owners;
        self.set_ids += other.set_ids;
        self.xattrs.extend(other.xattrs);
        self.devices.extend(other.devices);
    }
}

/// Sets owner, attributes, mode and time, in an order in which none resets another.
fn finish(
    file: &OwnedFd,
    entry: &Entry,
    owners: Owners,
    at: Place<'_>,
    not_restored: &mut NotRestored,
) -> Result<(), ExtractError> {
    let mut mode = entry.mode;
    match (owners, ids(entry)) {
        (Owners::Set, Some((uid, gid))) => rustix::fs::fchown(file, Some(uid), Some(gid))
            .map_err(|error| at.failed("set the owner of", error))?,
        _ => {
            not_restored.owners += u64::from((entry.uid, entry.gid) != caller());
            not_restored.set_ids += u64::from(mode & SET_IDS != 0);
            mode &= !SET_IDS;
        }
    }
    for (name, value) in &entry.xattrs {
        match rustix::fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                not_restored.xattrs.push((entry.path.clone(), String::from_utf8_lossy(name).into_owned()));
            }
            Err(error) => return Err(at.failed("set an extended attribute of", error)),
        }
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(u32::from(mode)))
        .and_then(|()| rustix::fs::futimens(file, &times(entry)))
        .map_err(|error| at.failed("set the mode and time of", error))
}

/// Sets the owner, if possible, and returns whether it is that of the image. An empty name means `parent`
/// itself.
fn set_owner_at(owners: Owners, parent: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Result<bool, Errno> {
    match (owners, ids(entry)) {
        (Owners::Set, Some((uid, gid))) => {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags)?;
            Ok(true)
        }
        _ => Ok((entry.uid, entry.gid) == caller()),
    }
}

/// The owner; `None` for the largest 32-bit number, which tells the kernel not to change the owner.
fn ids(entry: &Entry) -> Option<(Uid, Gid)> {
    let is_id = |id: &u32| *id != u32::MAX;
    let (uid, gid) = (Some(entry.uid).filter(is_id)?, Some(entry.gid).filter(is_id)?);
    Some((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn caller() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn is_empty(directory: &OwnedFd) -> Result<bool, Errno> {
    let mut buffer = Vec::with_capacity(4096);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            return Ok(false);
        }
    }
    Ok(true)
}
