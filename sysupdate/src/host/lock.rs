//! One writer at a time. Readers never take the lock.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sysext_manifests::hint::Hint;

/// The permission bits of the lock file: every process that can open it, even for reading, can hold the lock.
const MODE: u32 = 0o600;

/// The holder of the lock, written into the lock file.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The verb it runs.
    pub verb: String,
    /// When it took the lock.
    pub since: jiff::Timestamp,
}

/// The lock, held until dropped. The kernel releases it when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that is just being started and has the file too. If this
        // fails, closing still lets go of it, only later.
        let _closing_does = self.file.unlock();
    }
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum LockError {
    #[error("{}", describe(path, holder.as_ref()))]
    Held { path: PathBuf, holder: Option<Holder> },
    #[error("cannot lock {}: {source}", path.display())]
    Unusable { path: PathBuf, source: std::io::Error },
}

impl Hint for LockError {}

fn describe(path: &Path, holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, verb, since }) => {
            format!("another `sysupdate {verb}` is running (PID {pid}, since {since})")
        }
        None => format!("another process holds {}", path.display()),
    }
}

impl Lock {
    /// Takes the lock without waiting.
    pub fn take(path: &Path, verb: &str, since: jiff::Timestamp) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(unusable)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path)
            .map_err(unusable)?;
        // Another umask, or an earlier version of this program, may have made it readable.
        file.set_permissions(Permissions::from_mode(MODE)).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = match file.read_to_string(&mut text) {
                    Ok(_) => serde_json::from_str(&text).ok(),
                    Err(_) => None,
                };
                return Err(LockError::Held { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let holder = Holder { pid: std::process::id(), verb: verb.to_owned(), since };
        let text = serde_json::to_vec(&holder).map_err(|error| unusable(error.into()))?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .map_err(unusable)?;
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_it_and_the_third_gets_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/lock");
        let since = jiff::Timestamp::UNIX_EPOCH;
        let first = Lock::take(&path, "update", since).unwrap();
        let error = Lock::take(&path, "vacuum", since).unwrap_err();
        let message = error.to_string();
        let expected =
            format!("another `sysupdate update` is running (PID {}, since 1970", std::process::id());
        assert!(message.contains(&expected), "{message}");
        drop(first);
        Lock::take(&path, "vacuum", since).unwrap();
    }

    #[test]
    fn nobody_else_can_open_and_hold_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::fs::write(&path, b"{}").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let _held = Lock::take(&path, "update", jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn garbage_in_the_lock_file_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::fs::write(&path, b"\xff not json").unwrap();
        let _held = Lock::take(&path, "update", jiff::Timestamp::UNIX_EPOCH).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with('{') && text.ends_with('}'), "{text}");
    }
}
