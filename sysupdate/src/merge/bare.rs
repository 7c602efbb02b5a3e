//! The system without what is merged: an image that lies in `/opt` is there however `/opt` is covered.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use super::error::MergeError;
use crate::host::mounts::Mounts;
use crate::host::mounts::kernel::through;

/// Where something may be merged.
const COVERED: [&str; 3] = ["/usr", "/opt", "/etc"];
/// As many symbolic links as the kernel follows.
const LINKS_MAX: usize = 40;

/// The files of a root without what is merged there. Paths are those the target system sees.
#[derive(Debug)]
pub(super) struct Bare {
    root: PathBuf,
    uncovered: Vec<(PathBuf, OwnedFd)>,
}

impl Bare {
    /// Uncovers what is merged. The root has no symbolic links.
    pub(super) fn new(mounts: &dyn Mounts, root: &Path) -> Result<Self, MergeError> {
        let mut bare = Self::nothing_uncovered(root);
        for hierarchy in COVERED {
            let look = |source| MergeError::Look { path: PathBuf::from(hierarchy), source };
            let Ok(inside) = bare.resolve(Path::new(hierarchy)) else {
                continue;
            };
            let real = bare.locate(&inside);
            if let Some(fd) = mounts.beneath(&real).map_err(look)? {
                bare.uncovered.push((inside, fd));
            }
        }
        Ok(bare)
    }

    /// The files as everybody sees them.
    pub(super) fn nothing_uncovered(root: &Path) -> Self {
        Self { root: root.to_owned(), uncovered: Vec::new() }
    }

    /// A merged hierarchy as it is without what is merged; nothing where nothing is merged.
    pub(super) fn uncovered(&self, hierarchy: &Path) -> Option<PathBuf> {
        let (_, fd) = self.uncovered.iter().find(|(inside, _)| inside == hierarchy)?;
        Some(Path::new(&through(fd)).join("."))
    }

    /// Where a path without symbolic links is found on the running system. What is mounted below a
    /// merged hierarchy is only seen through the merge.
    pub(super) fn locate(&self, inside: &Path) -> PathBuf {
        for (hierarchy, fd) in &self.uncovered {
            if let Ok(rest) = inside.strip_prefix(hierarchy) {
                // With the dot even the hierarchy itself is a directory, not a link to one.
                let under = Path::new(&through(fd)).join(".").join(rest);
                if under.symlink_metadata().is_ok() {
                    return under;
                }
            }
        }
        self.covered(inside)
    }

    /// Where the host itself has a path without symbolic links, if it has it: never through a merge.
    pub(super) fn on_host(&self, inside: &Path) -> PathBuf {
        let under = self.uncovered.iter().find_map(|(hierarchy, fd)| {
            Some(Path::new(&through(fd)).join(".").join(inside.strip_prefix(hierarchy).ok()?))
        });
        under.unwrap_or_else(|| self.covered(inside))
    }

    /// Where a path without symbolic links is on the running system, seen as everybody sees it.
    pub(super) fn covered(&self, inside: &Path) -> PathBuf {
        match inside.strip_prefix("/") {
            Ok(rest) if rest.as_os_str().is_empty() => self.root.clone(),
            Ok(rest) => self.root.join(rest),
            Err(_) => self.root.join(inside),
        }
    }

    /// Follows symbolic links without leaving the root. The last part has to exist.
    pub(super) fn resolve(&self, inside: &Path) -> io::Result<PathBuf> {
        let mut resolved = PathBuf::from("/");
        let mut left: VecDeque<OsString> = parts(inside).collect();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&part);
            let real = self.locate(&next);
            if real.symlink_metadata()?.is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = std::fs::read_link(&real)?;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(part);
                }
            } else {
                resolved = next;
            }
        }
        Ok(resolved)
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/images/a")).unwrap();
        std::fs::write(root.path().join("var/images/a/a-1.raw"), "").unwrap();
        symlink("/var/images", root.path().join("absolute")).unwrap();
        symlink("../../../../absolute/a/./a-1.raw", root.path().join("var/escape")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let bare = Bare::nothing_uncovered(root.path());
        assert_eq!(bare.resolve(Path::new("/var/escape")).unwrap(), Path::new("/var/images/a/a-1.raw"));
        assert_eq!(bare.resolve(Path::new("/")).unwrap(), Path::new("/"));
        assert_eq!(bare.locate(Path::new("/")), root.path());
        assert!(bare.resolve(Path::new("/loop")).is_err());
        assert_eq!(bare.resolve(Path::new("/absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
