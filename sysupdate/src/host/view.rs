//! The files of a root, optionally below what is merged there, with every path resolved inside the root.
//!
//! Below the root of another system, symbolic links lead where they lead when that system runs, and never out
//! of it. Below a merged hierarchy, a path leads to the hierarchy itself, which the merge covers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

mod directory;
mod tree;

pub use directory::{Directory, absolute, is_directory};
pub use tree::{FileMetadata, Kind, Tree};

use super::mounts::Mounts;

/// The hierarchies over which a system or configuration extension may be merged.
pub const HIERARCHIES: [&str; 3] = ["/usr", "/opt", "/etc"];

/// As many symbolic links as the kernel follows.
const LINKS_MAX: usize = 40;

/// The files of a root. Paths are absolute, as the target system sees them.
#[derive(Debug)]
pub struct View<T> {
    root: T,
    /// What replaces the directory with this path, the longest path first.
    beneath: Vec<(PathBuf, T)>,
}

/// What happens to a symbolic link that is the last part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// The path means the link itself.
    Keep,
}

/// A directory below a merged hierarchy cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot access the original {}: {source}", path.display())]
pub struct BeneathError {
    path: PathBuf,
    source: io::Error,
}

impl sysext_manifests::hint::Hint for BeneathError {}

impl<T: Tree> View<T> {
    /// The files as every program sees them.
    pub fn new(root: T) -> Self {
        Self { root, beneath: Vec::new() }
    }

    /// The same, with another directory in the place of one.
    pub fn with(mut self, path: PathBuf, directory: T) -> Self {
        self.beneath.push((path, directory));
        self.beneath.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        self
    }

    /// The directory in which the view has a path, and the rest of the path.
    pub fn place<'a>(&'a self, path: &'a Path) -> (&'a T, &'a Path) {
        for (replaced, directory) in &self.beneath {
            if let Ok(rest) = path.strip_prefix(replaced) {
                return (directory, rest);
            }
        }
        (&self.root, path.strip_prefix("/").unwrap_or(path))
    }

    /// The same, but where the replacement lacks the path, the directory that every program sees: what is mounted
    /// below a merged hierarchy is only seen through the merge.
    pub fn place_seen<'a>(&'a self, path: &'a Path) -> io::Result<(&'a T, &'a Path)> {
        let (directory, rest) = self.place(path);
        if std::ptr::eq(directory, &raw const self.root) {
            return Ok((directory, rest));
        }
        match directory.metadata(rest) {
            Ok(_) => Ok((directory, rest)),
            Err(error) if is_missing(&error) => Ok((&self.root, path.strip_prefix("/").unwrap_or(path))),
            Err(error) => Err(error),
        }
    }

    /// Where the running system finds a path.
    pub fn path(&self, path: &Path) -> PathBuf {
        let (directory, rest) = self.place(path);
        directory.path(rest)
    }

    /// What replaces the directory with this path, if something does.
    pub fn replacement(&self, path: &Path) -> Option<&T> {
        self.beneath.iter().find(|(replaced, _)| replaced == path).map(|(_, directory)| directory)
    }

    /// The path without symbolic links. Every part of it has to exist.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        follow(Path::new("/"), path, Last::Follow, |path| {
            let (directory, rest) = self.place_seen(path)?;
            match directory.metadata(rest)?.kind {
                Kind::Link => directory.read_link(rest).map(Some),
                _ => Ok(None),
            }
        })
    }

    /// The path without symbolic links. What does not exist is not a link.
    pub fn resolve_missing(&self, path: &Path, last: Last) -> io::Result<PathBuf> {
        // Replaced directories are known by the paths they were given, and are not links themselves
        let replaced = self.beneath.iter().map(|(replaced, _)| replaced.as_path());
        let start = replaced.into_iter().find(|replaced| path.starts_with(replaced));
        let start = start.unwrap_or(Path::new("/"));
        self.follow_missing(start, path.strip_prefix(start).unwrap_or(path), last)
    }

    /// Where a symbolic link in a directory leads; the last part of its target is not followed.
    pub fn resolve_target(&self, directory: &Path, target: &Path) -> io::Result<PathBuf> {
        let start = if target.is_absolute() { Path::new("/") } else { directory };
        self.follow_missing(start, target, Last::Keep)
    }

    fn follow_missing(&self, start: &Path, path: &Path, last: Last) -> io::Result<PathBuf> {
        follow(start, path, last, |path| {
            let (directory, rest) = self.place(path);
            match directory.read_link(rest) {
                Ok(target) => Ok(Some(target)),
                // It exists and is not a link, or it is reported as missing or forbidden where it is used
                Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_missing(&error) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
                Err(error) => Err(error),
            }
        })
    }
}

/// Whether an error says that nothing has the path.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Follows symbolic links from a directory without leaving the root `/`. `read_link` is asked for the target of
/// every path on the way, and answers `None` for what is not a link.
pub fn follow(
    start: &Path,
    path: &Path,
    last: Last,
    mut read_link: impl FnMut(&Path) -> io::Result<Option<PathBuf>>,
) -> io::Result<PathBuf> {
    let mut resolved = start.to_owned();
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(part);
        if left.is_empty() && last == Last::Keep {
            break;
        }
        let Some(target) = read_link(&resolved)? else { continue };
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        resolved.pop();
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        }
        left.extend(parts(&target));
    }
    Ok(resolved)
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

/// A view in which some directories can be written to although something merged covers their hierarchy read-only:
/// their files are those of the hierarchy beneath. `None` where nothing covers any of them.
///
/// An extension that ships `/opt` makes all of `/opt` read-only, and any configuration extension all of
/// `/etc`; without this, an updater that keeps its files there could never update again.
pub(super) fn beneath(
    mounts: &dyn Mounts,
    root: &Path,
    directories: &BTreeSet<PathBuf>,
) -> Result<Option<View<Directory>>, BeneathError> {
    let mut view = None;
    for hierarchy in HIERARCHIES {
        let wanted: Vec<_> = directories.iter().filter(|path| path.starts_with(hierarchy)).collect();
        if wanted.is_empty() {
            continue;
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BeneathError { path, source }
        };
        let seen = View::of(root);
        let resolved = seen.resolve_missing(Path::new(hierarchy), Last::Follow);
        let merged = seen.path(&resolved.map_err(failed(Path::new(hierarchy)))?);
        let Some(beneath) = mounts.beneath(&merged).map_err(failed(&merged))? else { continue };
        for path in wanted {
            let inside = path.strip_prefix(hierarchy).unwrap_or(path);
            let directory = directory::create_below(&beneath, inside).map_err(failed(path))?;
            let directory = Directory::open(directory);
            view = Some(view.unwrap_or_else(|| View::of(root)).with(path.clone(), directory));
        }
    }
    Ok(view)
}

#[cfg(test)]
mod tests;
