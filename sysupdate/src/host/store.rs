//! The files of a system. After a crash, each operation is either done or not done.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::view::{Directory, View};

mod error;
mod files;

pub use error::{Operation, StoreError};
pub use files::Files;

/// What an operation on a file returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An entry of a directory. Symbolic links are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(PathBuf),
    /// Anything else.
    Other,
}

/// A file that grows while it is downloaded.
pub trait Partial {
    /// The length of the file, in bytes.
    fn length(&self) -> u64;
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Reads the file from the start, to compute its digest before the download resumes.
    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()>;
    /// Truncates the file.
    fn restart(&mut self) -> Result<()>;
    /// Ensures that the bytes survive a power failure.
    fn sync(&mut self) -> Result<()>;
}

/// The attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The modification time, in microseconds since 1970.
    pub mtime: u64,
    /// Permission bits.
    pub mode: u32,
}

/// The files of a system. Paths are absolute and without `..`.
pub trait Store: Send + Sync {
    /// A small file's bytes; `None` where there is none. More than `limit` bytes are an error.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>>;
    /// Opens a file to stream it.
    fn open(&self, path: &Path) -> Result<Box<dyn Read>>;
    /// The entries of a directory, sorted by name; empty if the directory does not exist.
    fn list(&self, directory: &Path) -> Result<Vec<Entry>>;
    /// The target of a symbolic link; `None` if the path is not a link.
    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>>;
    /// A file's attributes, links not followed; `None` where there is none.
    fn attributes(&self, path: &Path) -> Result<Option<Attributes>>;
    /// The path without symbolic links, for other programs and for relative paths from there. A path that does not
    /// exist is not a link.
    fn resolve(&self, path: &Path) -> Result<PathBuf>;
    /// Where a symbolic link in a directory leads; the last part of its target is not followed.
    fn resolve_target(&self, directory: &Path, target: &Path) -> Result<PathBuf>;
    /// How many bytes may still be written below a directory.
    fn free_space(&self, directory: &Path) -> Result<u64>;
    /// How many bytes that file system has.
    fn disk_size(&self, directory: &Path) -> Result<u64>;

    /// Creates a directory with all directories above it.
    fn make_directory(&self, path: &Path) -> Result<()>;
    /// Opens a file for appending and keeps its contents. Anything else with the name is removed: the program owns
    /// such names, and nothing may block the next run.
    fn partial(&self, path: &Path) -> Result<Box<dyn Partial>>;
    /// Sets permission bits, durably.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()>;
    /// Writes a small file durably. An existing file is replaced, not atomically.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<()>;
    /// Creates a symbolic link. The name must not exist.
    fn make_link(&self, path: &Path, target: &Path) -> Result<()>;
    /// Renames a file atomically and durably. An existing file is replaced.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file or link. A missing one is not an error.
    fn remove(&self, path: &Path) -> Result<()>;

    /// The same files seen in another view.
    fn within(&self, view: View<Directory>) -> Box<dyn Store>;

    /// Replaces a small file so that a crash leaves the old or the new one.
    fn save(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temporary = temporary_for(path);
        self.write_new(&temporary, bytes)?;
        self.rename(&temporary, path)
    }

    /// Points a symbolic link elsewhere so that a crash leaves the old or the new target.
    fn point(&self, path: &Path, target: &Path) -> Result<()> {
        let temporary = temporary_for(path);
        self.remove(&temporary)?;
        self.make_link(&temporary, target)?;
        self.rename(&temporary, path)
    }
}

/// The temporary name next to a path: a crash leaves at most one, and the next run overwrites it. It has the prefix
/// of systemd's temporary files, so that systemd's vacuum removes it too.
fn temporary_for(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".#{name}"))
}
