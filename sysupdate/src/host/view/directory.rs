//! A directory of the running system.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::{FileMetadata, Kind, Tree, View};

/// The kernel's limit for the names of all attributes of a file, in bytes.
const ATTRIBUTES_MAX: usize = 64 * 1024;

/// A directory of the running system, by its path or open.
#[derive(Debug)]
pub struct Directory {
    /// The path; for an open directory, that of its descriptor in `/proc`.
    path: PathBuf,
    descriptor: Option<OwnedFd>,
}

impl Directory {
    /// By its path, which has no symbolic links.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), descriptor: None }
    }

    /// A directory that is open, whatever is mounted over it.
    pub fn open(descriptor: OwnedFd) -> Self {
        // The dot keeps the link in /proc from being the last part, which might not be followed
        let path = format!("/proc/self/fd/{}/.", descriptor.as_raw_fd());
        Self { path: path.into(), descriptor: Some(descriptor) }
    }

    fn real(&self, inside: &Path) -> PathBuf {
        if inside.as_os_str().is_empty() { self.path.clone() } else { self.path.join(inside) }
    }

    /// Opens a file with the kernel refusing every symbolic link on the way: one in an image could lead to a file
    /// of the host.
    fn open_file(&self, inside: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match &self.descriptor {
            Some(directory) => {
                let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
                let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
                openat2(directory, inside, flags, Mode::empty(), resolve)
            }
            None => openat2(CWD, self.real(inside), flags, Mode::empty(), ResolveFlags::NO_SYMLINKS),
        }
    }
}

impl View<Directory> {
    /// The files below a root, which has no symbolic links.
    pub fn of(root: &Path) -> Self {
        Self::new(Directory::at(root))
    }

    /// Where the running system has the root.
    pub(in crate::host) fn root(&self) -> &Path {
        &self.root.path
    }
}

impl Tree for Directory {
    fn path(&self, inside: &Path) -> PathBuf {
        self.real(inside)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        Ok(FileMetadata::from(&fs::symlink_metadata(self.real(path))?))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match self.open_file(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(found) => Ok(Some(Kind::of_mode(fstat(&found)?.st_mode))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(OsString, Kind)>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok((entry.file_name(), entry.file_type()?.into()))
        };
        fs::read_dir(self.real(directory))?.map(entry).collect()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // A pipe must not hold the program
        let file = File::from(self.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let message = format!("more than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(self.real(path))
    }

    fn attribute(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut value = [0; 256];
        match rustix::fs::lgetxattr(self.real(path), name, value.as_mut_slice()) {
            Ok(length) => Ok(Some(value[..length].to_vec())),
            // None, none there, or none that we would understand
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn attribute_names(&self, path: &Path) -> io::Result<Vec<String>> {
        let real = self.real(path);
        // Most files have none, or few
        let mut names = vec![0; 1024];
        let length = match rustix::fs::llistxattr(&real, names.as_mut_slice()) {
            Err(Errno::RANGE) => {
                names.resize(ATTRIBUTES_MAX, 0);
                rustix::fs::llistxattr(&real, names.as_mut_slice())
            }
            other => other,
        };
        let length = match length {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }
}

impl Kind {
    fn of_mode(mode: u32) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::BlockDevice => Self::BlockDevice,
            _ => Self::Other,
        }
    }
}

impl From<fs::FileType> for Kind {
    fn from(kind: fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Link
        } else if kind.is_block_device() {
            Self::BlockDevice
        } else {
            Self::Other
        }
    }
}

impl From<&fs::Metadata> for FileMetadata {
    fn from(found: &fs::Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let since_1970 = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        };
        Self {
            kind: found.file_type().into(),
            device: found.dev(),
            inode: found.ino(),
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            stands_for: found.rdev(),
            size: found.size(),
            created: found.created().ok().map(since_1970),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Opens a directory below another, and creates what is missing.
pub(super) fn create_below(directory: &OwnedFd, inside: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    for part in inside {
        match rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        current = rustix::fs::openat(&current, part, flags, Mode::empty())?;
    }
    Ok(current)
}

/// A path from the command line as everything behind it needs it: absolute and without `..`.
pub fn absolute(path: &Path) -> PathBuf {
    // A path that does not exist cannot be resolved; an error names it where it is read.
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Whether a path from the command line is a directory.
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}
