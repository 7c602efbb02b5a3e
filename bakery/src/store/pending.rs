//! A file that is written atomically: it appears under its name complete and synced to disk, or not at all.
//!
//! It is written as `.NAME.partial` in the same directory and locked while it is written: two processes never mix their
//! bytes, and the next one replaces what a killed one left behind.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::FileError;

/// The mode of files: everyone can read them, whatever the umask.
const MODE: u32 = 0o644;

/// The mode of directories.
const DIRECTORY_MODE: u32 = 0o755;

/// The partial files of all threads, to remove them when the process is interrupted.
static UNFINISHED: Mutex<Vec<Unfinished>> = Mutex::new(Vec::new());

/// A partial file, identified by its inode too, because its name may now belong to another file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unfinished {
    partial: PathBuf,
    device: u64,
    inode: u64,
}

impl Unfinished {
    fn remove(&self) {
        // After a commit the name is gone, and while the lock is held no other process creates it again. If it
        // cannot be removed, the next writer replaces it.
        let is_ours = fs::symlink_metadata(&self.partial)
            .is_ok_and(|there| (there.dev(), there.ino()) == (self.device, self.inode));
        if is_ours {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Blocks all threads that start or finish a file.
#[derive(Debug)]
pub(crate) struct Abandoned(
    #[expect(dead_code, reason = "held, not used")] MutexGuard<'static, Vec<Unfinished>>,
);

/// Removes all partial files, and blocks new ones while the result is held.
pub(crate) fn abandon() -> Abandoned {
    let mut unfinished = unfinished();
    unfinished.drain(..).for_each(|unfinished| unfinished.remove());
    Abandoned(unfinished)
}

fn unfinished() -> MutexGuard<'static, Vec<Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is being written. Dropped without [`Pending::commit`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Pending {
    file: File,
    unfinished: Unfinished,
    path: PathBuf,
}

impl Pending {
    /// Starts to write the file. Missing directories are created.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        let write = |source| FileError::Write { path: path.to_owned(), source };
        let directory = parent(path);
        make_directory(directory)?;
        let name = path.file_name().ok_or_else(|| write(io::ErrorKind::InvalidFilename.into()))?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(".partial");
        let partial = directory.join(partial);

        // Held until the file is listed, so that an interrupt removes it.
        let mut others = unfinished();
        let file = open_partial(&partial).map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
        // Between opening and locking, the previous holder of the lock may have renamed the file.
        let (ours, there) = (file.metadata().map_err(write)?, fs::symlink_metadata(&partial));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Err(FileError::Busy { path: path.to_owned() });
        }
        let unfinished = Unfinished { partial, device: ours.dev(), inode: ours.ino() };
        others.push(unfinished.clone());
        drop(others);
        let pending = Self { file, unfinished, path: path.to_owned() };
        pending.file.set_len(0).map_err(write)?;
        Ok(pending)
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|source| FileError::Write { path: self.path.clone(), source })
    }

    /// The open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes the file appear under its name.
    pub(crate) fn commit(self) -> Result<(), FileError> {
        let write = |source| FileError::Write { path: self.path.clone(), source };
        self.file.set_permissions(Permissions::from_mode(MODE)).map_err(write)?;
        self.file.sync_all().map_err(write)?;
        // An interrupt either comes before the rename and removes the file, or after it.
        let others = unfinished();
        fs::rename(&self.unfinished.partial, &self.path).map_err(write)?;
        drop(others);
        File::open(parent(&self.path)).and_then(|directory| directory.sync_all()).map_err(write)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut others = unfinished();
        others.retain(|other| *other != self.unfinished);
        self.unfinished.remove();
    }
}

/// Creates a partial file, or opens the one that a killed writer of the same user left. In a directory that others can
/// write to, the name may be a link to a file elsewhere, or a file that another user holds open: such a file is never
/// opened for writing, but replaced.
fn open_partial(partial: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().read(true).write(true).create_new(true).open(partial);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let left = OpenOptions::new().read(true).write(true).custom_flags(flags).open(partial);
    if let Ok(left) = left {
        let metadata = left.metadata()?;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        // Another name of the file would show what is written here
        if metadata.is_file() && is_ours && metadata.nlink() == 1 {
            return Ok(left);
        }
    }
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create(),
    }
}

/// Creates a directory and its missing parents, readable by everyone and synced to disk.
fn make_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        make_directory(above)?;
    }
    let write = |source| FileError::Write { path: path.to_owned(), source };
    match fs::create_dir(path) {
        // Another process created it in the meantime
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match path.is_dir() {
            true => Ok(()),
            false => Err(write(io::ErrorKind::NotADirectory.into())),
        },
        Err(error) => Err(write(error)),
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
            .and_then(|()| File::open(above)?.sync_all())
            .map_err(write),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        crate::store::list(directory).unwrap()
    }

    #[test]
    fn uncommitted_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.raw");
        let mut pending = Pending::create(&path).unwrap();
        pending.write(b"half").unwrap();
        assert_eq!(names(directory.path()), [".a.raw.partial"]);
        drop(pending);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn second_writer_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.raw");
        let mut pending = Pending::create(&path).unwrap();
        assert!(matches!(Pending::create(&path), Err(FileError::Busy { .. })));
        pending.write(b"whole").unwrap();
        pending.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(directory.path()), ["a.raw"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn partial_file_of_a_killed_writer_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".a.partial"), "rest of a longer text").unwrap();
        let path = directory.path().join("a");
        assert_eq!(crate::store::write(&path, b"short").unwrap(), crate::store::Change::Written);
        assert_eq!(crate::store::write(&path, b"short").unwrap(), crate::store::Change::Same);
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(names(directory.path()), ["a"]);
    }

    #[test]
    fn foreign_partial_file_is_replaced_and_never_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let (path, partial) = (directory.path().join("a"), directory.path().join(".a.partial"));
        let (victim, absent) = (outside.path().join("victim"), outside.path().join("absent"));
        fs::write(&victim, "precious").unwrap();
        let links: [&dyn Fn() -> io::Result<()>; 3] = [
            &|| std::os::unix::fs::symlink(&victim, &partial),
            &|| std::os::unix::fs::symlink(&absent, &partial),
            &|| fs::hard_link(&victim, &partial),
        ];
        for (number, link) in links.into_iter().enumerate() {
            link().unwrap();
            let text = format!("text {number}");
            assert_eq!(crate::store::write(&path, text.as_bytes()).unwrap(), crate::store::Change::Written);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
            assert!(!absent.exists() && !path.is_symlink());
            assert_eq!(names(directory.path()), ["a"]);
        }
    }
}
