//! The files of the running system as a [`Store`].

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{OFlags, StatVfs};

use crate::host::view::{Directory, Last, View};

use super::{Attributes, Entry, EntryKind, Operation, Partial, Result, Store, StoreError};

/// Bytes per read of a whole file: large enough that the cost of system calls does not matter.
const CHUNK: usize = 256 << 10;

/// The files of the running system.
#[derive(Debug)]
pub struct Files {
    view: View<Directory>,
}

impl Default for Files {
    fn default() -> Self {
        Self { view: View::of(Path::new("/")) }
    }
}

impl Files {
    /// The files as every program sees them.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files of a view.
    pub fn of(view: View<Directory>) -> Self {
        Self { view }
    }

    /// The file system of a directory, or of the nearest one above it that exists.
    fn file_system(&self, directory: &Path) -> Result<StatVfs> {
        for ancestor in directory.ancestors() {
            let found = rustix::fs::statvfs(self.locate(ancestor, Last::Follow)?).map_err(io::Error::from);
            let found = present(found).map_err(StoreError::at(ancestor, Operation::GetFreeSpace))?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(StoreError::new(directory, Operation::GetFreeSpace, io::ErrorKind::NotFound))
    }

    /// Where a path really is.
    fn locate(&self, path: &Path, last: Last) -> Result<PathBuf> {
        Ok(self.through(&self.follow(path, last)?))
    }

    /// The path with its symbolic links followed, below the root of another system; elsewhere the kernel does
    /// that. `..` is refused: it could lead out of a directory of the view. What does not exist is not a link.
    fn follow(&self, path: &Path, last: Last) -> Result<PathBuf> {
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path without ..");
            return Err(StoreError::new(path, Operation::Resolve, source));
        }
        match self.inside(path) {
            Some(inside) if self.is_confined() => {
                let resolved = self.view.resolve_missing(&inside, last);
                Ok(self.outside(&resolved.map_err(StoreError::at(path, Operation::Resolve))?))
            }
            _ => Ok(path.to_owned()),
        }
    }

    /// Whether the root is that of another system.
    fn is_confined(&self) -> bool {
        self.view.root() != Path::new("/")
    }

    /// The path as the view has it, if it is below the root.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        Some(Path::new("/").join(path.strip_prefix(self.view.root()).ok()?))
    }

    /// A path of the view as the running system has it.
    fn outside(&self, inside: &Path) -> PathBuf {
        match inside.strip_prefix("/") {
            Ok(rest) if rest.as_os_str().is_empty() => self.view.root().to_owned(),
            Ok(rest) => self.view.root().join(rest),
            Err(_) => inside.to_owned(),
        }
    }

    /// The same path, by the directory of the view in which it is.
    fn through(&self, path: &Path) -> PathBuf {
        self.inside(path).map_or_else(|| path.to_owned(), |inside| self.view.path(&inside))
    }

    /// Makes the names in the directory of a path durable.
    fn sync_parent(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(path);
        let located = self.locate(parent, Last::Follow)?;
        let synced = File::open(located).and_then(|directory| directory.sync_all());
        synced.map_err(StoreError::at(parent, Operation::Sync))
    }
}

impl Store for Files {
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let failed = StoreError::at(path, Operation::Read);
        // Opening a pipe must not block; a definition may be a link to /dev/null
        let file = open(&self.locate(path, Last::Follow)?, OpenOptions::new().read(true), OFlags::NONBLOCK);
        let Some(file) = present(file).map_err(&failed)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(&failed)?;
        if bytes.len() as u64 > limit {
            let message = format!("more than {limit} bytes");
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        Ok(Some(bytes))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read>> {
        let failed = StoreError::at(path, Operation::Open);
        let file = open(&self.locate(path, Last::Follow)?, OpenOptions::new().read(true), OFlags::NONBLOCK);
        let file = file.map_err(&failed)?;
        if !file.metadata().map_err(&failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Ok(Box::new(file))
    }

    fn list(&self, directory: &Path) -> Result<Vec<Entry>> {
        let failed = StoreError::at(directory, Operation::List);
        let Some(found) = present(fs::read_dir(self.locate(directory, Last::Follow)?)).map_err(&failed)?
        else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry.map_err(&failed)?;
            // Patterns and definitions cannot match a name that is not UTF-8
            let Ok(name) = entry.file_name().into_string() else { continue };
            // It may have been removed since the directory was read
            let Some(kind) = present(kind_of(&entry.path())).map_err(&failed)? else { continue };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        match fs::read_link(self.locate(path, Last::Keep)?) {
            // It exists and is not a link
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            other => present(other).map_err(StoreError::at(path, Operation::ReadLink)),
        }
    }

    fn attributes(&self, path: &Path) -> Result<Option<Attributes>> {
        let found = present(fs::symlink_metadata(self.locate(path, Last::Keep)?));
        let found = found.map_err(StoreError::at(path, Operation::ReadAttributes))?;
        Ok(found.map(|found| {
            let written = found.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            let mtime = written.and_then(|since| u64::try_from(since.as_micros()).ok()).unwrap_or(0);
            Attributes { mtime, mode: found.permissions().mode() & 0o7777 }
        }))
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let followed = self.follow(path, Last::Follow)?;
        if self.is_confined() {
            return Ok(followed);
        }
        self.view.resolve_missing(path, Last::Follow).map_err(StoreError::at(path, Operation::Resolve))
    }

    fn resolve_target(&self, directory: &Path, target: &Path) -> Result<PathBuf> {
        let Some(inside) = self.inside(&self.resolve(directory)?) else {
            return Ok(directory.join(target));
        };
        let resolved = self.view.resolve_target(&inside, target);
        Ok(self.outside(&resolved.map_err(StoreError::at(directory, Operation::Resolve))?))
    }

    fn free_space(&self, directory: &Path) -> Result<u64> {
        let found = self.file_system(directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn disk_size(&self, directory: &Path) -> Result<u64> {
        let found = self.file_system(directory)?;
        Ok(found.f_blocks.saturating_mul(found.f_frsize))
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        // Below the root of another system, a link on the way may lead to a directory that does not exist yet
        let path = self.follow(path, Last::Follow)?;
        let located = self.through(&path);
        if fs::metadata(&located).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        match DirBuilder::new().mode(0o755).create(&located) {
            // Another process created it first
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && located.is_dir() => Ok(()),
            Err(error) => Err(StoreError::new(&path, Operation::CreateDirectory, error)),
            Ok(()) => self.sync_parent(&path),
        }
    }

    fn partial(&self, path: &Path) -> Result<Box<dyn Partial>> {
        let located = self.locate(path, Last::Keep)?;
        let open = || {
            match present(kind_of(&located))? {
                None | Some(EntryKind::File(_)) => {}
                Some(EntryKind::Directory) => fs::remove_dir_all(&located)?,
                Some(EntryKind::Link(_) | EntryKind::Other) => fs::remove_file(&located)?,
            }
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o644);
            let file = open(&located, &mut options, OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(StoreError::at(path, Operation::Open))?;
        // The name must be as durable as the bytes: a run after a power failure looks for it
        self.sync_parent(path)?;
        Ok(Box::new(Growing { file, path: path.to_owned(), length }))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let located = self.locate(path, Last::Keep)?;
        let set = || {
            let file = open(&located, OpenOptions::new().read(true), OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        };
        set().map_err(StoreError::at(path, Operation::SetMode))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let located = self.locate(path, Last::Keep)?;
        let write = || {
            // Removed first: writing to a link would write to its target
            present(fs::remove_file(&located))?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&located)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(StoreError::at(path, Operation::Write))
    }

    fn make_link(&self, path: &Path, target: &Path) -> Result<()> {
        let located = self.locate(path, Last::Keep)?;
        symlink(target, located).map_err(StoreError::at(path, Operation::CreateLink))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (old, new) = (self.locate(from, Last::Keep)?, self.locate(to, Last::Keep)?);
        fs::rename(old, new).map_err(StoreError::at(from, Operation::Rename { to: to.to_owned() }))?;
        self.sync_parent(to)?;
        if from.parent() != to.parent() {
            self.sync_parent(from)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let removed = present(fs::remove_file(self.locate(path, Last::Keep)?));
        match removed.map_err(StoreError::at(path, Operation::Remove))? {
            Some(()) => self.sync_parent(path),
            None => Ok(()),
        }
    }

    fn within(&self, view: View<Directory>) -> Box<dyn Store> {
        Box::new(Self::of(view))
    }
}

/// A file opened for appending.
struct Growing {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Partial for Growing {
    fn length(&self) -> u64 {
        self.length
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let written = match self.file.write(bytes) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                other => other,
            };
            let written = written.map_err(StoreError::at(&self.path, Operation::Write))?;
            self.length += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let failed = StoreError::at(&self.path, Operation::Read);
        // The file is open for appending, so the position matters only for reading
        self.file.seek(SeekFrom::Start(0)).map_err(&failed)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(StoreError::at(&self.path, Operation::Truncate))?;
        self.length = 0;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(StoreError::at(&self.path, Operation::Sync))
    }
}

/// Opens with flags that the standard library has no method for. It sets `O_CLOEXEC` itself.
fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    // The flags are small positive numbers on every architecture
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
}

/// The kind of an entry; links are not followed.
fn kind_of(path: &Path) -> io::Result<EntryKind> {
    let found = fs::symlink_metadata(path)?;
    let kind = found.file_type();
    Ok(if kind.is_file() {
        EntryKind::File(found.len())
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        EntryKind::Link(fs::read_link(path)?)
    } else {
        EntryKind::Other
    })
}

/// `None` if the path does not exist, or if a part of it is not a directory.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
