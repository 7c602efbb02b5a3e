//! The files of the running system as a [`Store`].

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Attributes, Entry, EntryKind, Partial, Store};

/// Bytes per read where a file is read through: large enough that system calls do not count.
const CHUNK: usize = 256 << 10;

/// The files of the running system.
#[derive(Debug, Default)]
pub struct Files {
    /// The root of another system, without symbolic links.
    root: Option<PathBuf>,
    detours: Vec<(PathBuf, OwnedFd)>,
}

/// As many symbolic links as the kernel follows.
const LINKS_MAX: usize = 40;

/// What happens to a link that is the last part of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// What it leads to is meant.
    Follow,
    /// The link itself is meant.
    Keep,
}

impl Files {
    /// The files as everyone sees them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a path really is.
    fn locate(&self, path: &Path, last: Last) -> io::Result<PathBuf> {
        Ok(self.through(&self.follow(path, last)?))
    }

    /// The path with its symbolic links followed, below the root of another system; elsewhere the kernel does
    /// that. `..` is refused: it could lead out of a detour. What is not there is no link: whoever goes there
    /// says so.
    fn follow(&self, path: &Path, last: Last) -> io::Result<PathBuf> {
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let message = format!("{}: not an absolute path without ..", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        match self.root.as_deref().filter(|root| path.starts_with(root)) {
            Some(root) => self.walk(path, last, root),
            None => Ok(path.to_owned()),
        }
    }

    /// The path with its symbolic links followed; absolute ones begin at the root.
    fn walk(&self, path: &Path, last: Last, root: &Path) -> io::Result<PathBuf> {
        // Detours are found by the names they were given, and are directories themselves
        let prefixes = self.detours.iter().map(|(prefix, _)| prefix.as_path());
        let start = prefixes.chain([root]).find(|prefix| path.starts_with(prefix)).unwrap_or(root);
        let mut resolved = start.to_owned();
        let mut left = parts(path.strip_prefix(start).unwrap_or(path));
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                if resolved != root {
                    resolved.pop();
                }
                continue;
            }
            resolved.push(part);
            if left.is_empty() && last == Last::Keep {
                break;
            }
            let Ok(target) = fs::read_link(self.through(&resolved)) else { continue };
            links += 1;
            if links > LINKS_MAX {
                return Err(context(path, "cannot follow the links")(Errno::LOOP.into()));
            }
            resolved.pop();
            if target.is_absolute() {
                root.clone_into(&mut resolved);
            }
            left.extend(parts(&target));
        }
        Ok(resolved)
    }

    /// The same path, behind the descriptor of a detour if it leads through one.
    fn through(&self, path: &Path) -> PathBuf {
        for (prefix, directory) in &self.detours {
            if let Ok(rest) = path.strip_prefix(prefix) {
                // The dot keeps the link in /proc from being the last component, which might not be followed
                let root = format!("/proc/self/fd/{}/.", directory.as_raw_fd());
                return Path::new(&root).join(rest);
            }
        }
        path.to_owned()
    }

    /// Makes the names in the directory of a path durable.
    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(path);
        let sync = || File::open(self.locate(parent, Last::Follow)?)?.sync_all();
        sync().map_err(context(parent, "cannot sync the directory"))
    }
}

impl Store for Files {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let context = context(path, "cannot read");
        // A pipe must not hold the program; a definition may well be a link to /dev/null
        let file = open(&self.locate(path, Last::Follow)?, OpenOptions::new().read(true), OFlags::NONBLOCK);
        let Some(file) = present(file).map_err(&context)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(&context)?;
        if bytes.len() as u64 > limit {
            let message = format!("more than {limit} bytes");
            return Err(context(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        Ok(Some(bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let context = context(path, "cannot open");
        let file = open(&self.locate(path, Last::Follow)?, OpenOptions::new().read(true), OFlags::NONBLOCK);
        let file = file.map_err(&context)?;
        if !file.metadata().map_err(&context)?.is_file() {
            return Err(context(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Ok(Box::new(Stream { file, path: path.to_owned() }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let context = context(directory, "cannot list");
        let Some(found) = present(fs::read_dir(self.locate(directory, Last::Follow)?)).map_err(&context)?
        else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry.map_err(&context)?;
            // No pattern and no definition can name what is not UTF-8
            let Ok(name) = entry.file_name().into_string() else { continue };
            // It may vanish between the two looks
            let Some(kind) = present(kind_of(&entry.path())).map_err(&context)? else { continue };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match fs::read_link(self.locate(path, Last::Keep)?) {
            // What is there is no link
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            other => present(other).map_err(context(path, "cannot read the link")),
        }
    }

    fn attributes(&self, path: &Path) -> io::Result<Option<Attributes>> {
        let found = present(fs::symlink_metadata(self.locate(path, Last::Keep)?));
        let found = found.map_err(context(path, "cannot read the attributes"))?;
        Ok(found.map(|found| {
            let written = found.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            let mtime = written.and_then(|since| u64::try_from(since.as_micros()).ok()).unwrap_or(0);
            Attributes { mtime, mode: found.permissions().mode() & 0o7777 }
        }))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.follow(path, Last::Follow)?;
        match self.root {
            Some(_) => Ok(path),
            None => self.walk(&path, Last::Follow, Path::new("/")),
        }
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        for ancestor in directory.ancestors() {
            let found = rustix::fs::statvfs(self.locate(ancestor, Last::Follow)?).map_err(io::Error::from);
            if let Some(found) = present(found).map_err(context(ancestor, "cannot ask for free space"))? {
                return Ok(found.f_bavail.saturating_mul(found.f_frsize));
            }
        }
        Err(context(directory, "cannot ask for free space")(io::ErrorKind::NotFound.into()))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let context = context(path, "cannot make the directory");
        // Below another system's root, a link on the way may lead to what is to be made
        let path = self.follow(path, Last::Follow)?;
        let located = self.through(&path);
        if fs::metadata(&located).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        match DirBuilder::new().mode(0o755).create(&located) {
            // Someone else was quicker
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && located.is_dir() => Ok(()),
            Err(error) => Err(context(error)),
            Ok(()) => self.sync_parent(&path),
        }
    }

    fn partial(&self, path: &Path) -> io::Result<Box<dyn Partial>> {
        let context = context(path, "cannot open for writing");
        let located = self.locate(path, Last::Keep)?;
        match present(kind_of(&located)).map_err(&context)? {
            None | Some(EntryKind::File(_)) => {}
            Some(EntryKind::Directory) => fs::remove_dir_all(&located).map_err(&context)?,
            Some(EntryKind::Link(_) | EntryKind::Other) => fs::remove_file(&located).map_err(&context)?,
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o644);
        let file = open(&located, &mut options, OFlags::NOFOLLOW | OFlags::NONBLOCK).map_err(&context)?;
        let length = file.metadata().map_err(&context)?.len();
        // The name must last as long as the bytes: a run after a power cut looks for it
        self.sync_parent(path)?;
        Ok(Box::new(Growing { file, path: path.to_owned(), length }))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let located = self.locate(path, Last::Keep)?;
        let set = || {
            let file = open(&located, OpenOptions::new().read(true), OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        };
        set().map_err(context(path, "cannot set the mode"))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let located = self.locate(path, Last::Keep)?;
        let write = || {
            // Removed first: what lies there may be a link, and writing would go where it points
            present(fs::remove_file(&located))?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&located)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(context(path, "cannot write"))
    }

    fn make_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        symlink(target, self.locate(path, Last::Keep)?).map_err(context(path, "cannot make the link"))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.locate(from, Last::Keep)?, self.locate(to, Last::Keep)?).map_err(|error| {
            let message = format!("{}: cannot rename to {}: {error}", from.display(), to.display());
            io::Error::new(error.kind(), message)
        })?;
        self.sync_parent(to)?;
        if from.parent() != to.parent() {
            self.sync_parent(from)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match present(fs::remove_file(self.locate(path, Last::Keep)?))
            .map_err(context(path, "cannot remove"))?
        {
            Some(()) => self.sync_parent(path),
            None => Ok(()),
        }
    }

    fn confine(&mut self, root: &Path) {
        // Below the running system's root, the kernel follows links by itself
        self.root = (root != Path::new("/")).then(|| root.to_owned());
    }

    /// The longest prefix wins. Absolute symbolic links inside a detour lead where they always do.
    fn detour(&mut self, mut detours: Vec<(PathBuf, OwnedFd)>) {
        detours.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.components().count()));
        self.detours = detours;
    }
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// A file whose errors name it.
struct Stream {
    file: File,
    path: PathBuf,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(context(&self.path, "cannot read"))
    }
}

/// A file opened for appending.
struct Growing {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).map_err(context(&self.path, "cannot write"))?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Partial for Growing {
    fn length(&self) -> u64 {
        self.length
    }

    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let context = context(&self.path, "cannot read");
        // Writing appends wherever reading left off
        self.file.seek(SeekFrom::Start(0)).map_err(&context)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(context(error)),
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0).map_err(context(&self.path, "cannot empty"))?;
        self.length = 0;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all().map_err(context(&self.path, "cannot sync"))
    }
}

/// Opens with flags that the standard library has no method for. It sets `O_CLOEXEC` itself.
fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    // The flags are small positive numbers on every architecture
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
}

/// What a name stands for; links are not followed.
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

/// `None` where nothing has the name, or something on the way to it is no directory.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Adds the path and what was tried to an error, and keeps its kind.
fn context(path: &Path, tried: &'static str) -> impl Fn(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("{}: {tried}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
