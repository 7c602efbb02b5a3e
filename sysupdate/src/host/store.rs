//! Files: the effects on them that the program needs, each either done or not done after a crash.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::view::{Directory, View};

mod error;
mod files;

pub use error::{Operation, StoreError};
pub use files::Files;

/// What an operation on a file returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a directory holds under one name. Symbolic links are not followed.
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
    /// How many bytes are there.
    fn length(&self) -> u64;
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Reads what is there from the start, to take its digest before going on.
    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()>;
    /// Throws away what is there.
    fn restart(&mut self) -> Result<()>;
    /// Makes sure that the bytes survive a power cut.
    fn sync(&mut self) -> Result<()>;
}

/// What is kept beside a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// When it was last written, in microseconds since 1970.
    pub mtime: u64,
    /// Permission bits.
    pub mode: u32,
}

/// The files of a system. Paths are absolute and without `..`; errors name them.
pub trait Store: Send + Sync {
    /// A small file's bytes; `None` where there is none. More than `limit` bytes are an error.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>>;
    /// Opens a file to stream it.
    fn open(&self, path: &Path) -> Result<Box<dyn Read>>;
    /// What a directory holds, sorted by name; nothing where there is no directory.
    fn list(&self, directory: &Path) -> Result<Vec<Entry>>;
    /// Where a symbolic link points; `None` where there is no link.
    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>>;
    /// A file's attributes, links not followed; `None` where there is none.
    fn attributes(&self, path: &Path) -> Result<Option<Attributes>>;
    /// The same path without symbolic links, for whoever does not come through this door, and for whoever wants
    /// to go up from there. What is not there is no link.
    fn resolve(&self, path: &Path) -> Result<PathBuf>;
    /// Where a symbolic link in a directory leads; the last part of its target is not followed.
    fn resolve_target(&self, directory: &Path, target: &Path) -> Result<PathBuf>;
    /// How many bytes may still be written there.
    fn free_space(&self, directory: &Path) -> Result<u64>;

    /// Makes a directory with all above it.
    fn make_directory(&self, path: &Path) -> Result<()>;
    /// Opens a file that grows; what an interrupted run left in it is kept. Whatever else has the name
    /// is removed: such names are the program's own, and nothing there may stand in the way of the next run.
    fn partial(&self, path: &Path) -> Result<Box<dyn Partial>>;
    /// Sets permission bits, durably.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<()>;
    /// Writes a new small file and makes its bytes durable; what was there is replaced, not atomically.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<()>;
    /// Makes a symbolic link with a name that is free.
    fn make_link(&self, path: &Path, target: &Path) -> Result<()>;
    /// Moves over whatever has the name, atomically and durably.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file or link; fine where there is none.
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

/// The one temporary name beside a path: a crash leaves at most one, and the next run writes over it.
/// It starts as systemd's do, so that its vacuum removes it too.
fn temporary_for(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".#{name}"))
}
