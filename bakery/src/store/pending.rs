//! A file that appears under its name complete and safe on disk, or not at all.
//!
//! It is written as `.NAME.partial` in the same directory, which whoever writes holds locked: two
//! processes never mix their bytes, and what a killed one left behind the next one takes over.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::FileError;

/// What everybody may read, whatever the umask of whoever bakes.
const MODE: u32 = 0o644;

/// The same for directories.
const DIRECTORY_MODE: u32 = 0o755;

/// A file that is being written. Dropped without [`Pending::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Pending {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl Pending {
    /// Begins to write the file, in a directory that is made if it is missing.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let write = |source| FileError::Write { path: path.to_owned(), source };
        let directory = parent(path);
        make_directory(directory)?;
        let name = path.file_name().ok_or_else(|| write(io::ErrorKind::InvalidFilename.into()))?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(".partial");
        let partial = directory.join(partial);

        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
        // Between opening and locking, the one who held the lock may have renamed the file into place.
        let (ours, there) = (file.metadata().map_err(write)?, fs::symlink_metadata(&partial));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Err(FileError::Busy { path: path.to_owned() });
        }
        let pending = Self { file, partial, path: path.to_owned() };
        pending.file.set_len(0).map_err(write)?;
        Ok(pending)
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|source| FileError::Write { path: self.path.clone(), source })
    }

    /// The open file, for a writer that wants one.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where the bytes are until they are committed.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Makes the file appear under its name.
    pub fn commit(self) -> Result<(), FileError> {
        let write = |source| FileError::Write { path: self.path.clone(), source };
        self.file.set_permissions(Permissions::from_mode(MODE)).map_err(write)?;
        self.file.sync_all().map_err(write)?;
        fs::rename(&self.partial, &self.path).map_err(write)?;
        File::open(parent(&self.path)).and_then(|directory| directory.sync_all()).map_err(write)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After a commit the name is gone, and while we hold the lock nobody else makes it anew; where
        // it cannot be removed, the next writer takes it over.
        let still_ours = fs::symlink_metadata(&self.partial)
            .ok()
            .zip(self.file.metadata().ok())
            .is_some_and(|(there, ours)| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if still_ours {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes a directory and those above it that are missing, for everybody to read and safe on disk.
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
        // Somebody else made it in the meantime
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
    fn what_is_not_committed_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.raw");
        let mut pending = Pending::create(&path).unwrap();
        pending.write(b"half").unwrap();
        assert_eq!(names(directory.path()), [".a.raw.partial"]);
        drop(pending);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn a_second_writer_is_told_to_wait() {
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
    fn what_a_killed_writer_left_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".a.partial"), "rest of a longer text").unwrap();
        let path = directory.path().join("a");
        assert_eq!(crate::store::write(&path, b"short").unwrap(), crate::store::Change::Written);
        assert_eq!(crate::store::write(&path, b"short").unwrap(), crate::store::Change::Same);
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(names(directory.path()), ["a"]);
    }
}
