//! Looking into a mounted image.

use std::fs;
use std::io;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::quarantine::QuarantineReason;
use crate::host::mounts::kernel::through;

/// More files than this in one extension are not looked at: the largest known ones have 20,000.
pub(super) const FILES_MAX: usize = 1_000_000;
/// An extension-release file is a few lines.
const RELEASE_MAX: u64 = 64 * 1024;
/// Deeper than any tree, and short enough for the recursion.
const DEPTH_MAX: usize = 128;

/// The directories of a layer that are merged, in the order in which they are.
pub(super) const HIERARCHIES: [&str; 2] = ["usr", "opt"];
/// Where extension-release files are.
pub(super) const RELEASES: &str = sysext_manifests::extension_release::DIRECTORY;
const STRICT: &str = "user.extension-release.strict";

/// What an image contains, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its extension-release files.
    pub releases: Vec<ReleaseFile>,
    /// Everything in it below `usr` and `opt`; a directory comes before what it contains.
    pub entries: Vec<Entry>,
}

/// An extension-release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// The name after `extension-release.`
    pub name: String,
    /// Whether it has to be the extension's.
    pub naming: Naming,
    /// What it says.
    pub text: String,
}

/// Whether the name of an extension-release file has to be the extension's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// It has to.
    Strict,
    /// `user.extension-release.strict=0`: it need not.
    Free,
}

/// A file or directory of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, relative: `usr/bin/x`.
    pub path: PathBuf,
    /// What.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// Anything else, links included.
    File,
}

impl Content {
    /// Whether there is something to merge at a hierarchy.
    pub fn ships(&self, hierarchy: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.path.starts_with(hierarchy) && entry.path != Path::new(hierarchy))
    }
}

/// Looks at everything in a mount.
pub(super) fn examine(mount: &OwnedFd) -> Result<Content, QuarantineReason> {
    let root = PathBuf::from(through(mount));
    let mut walk = Walk { root: &root, entries: Vec::new() };
    for hierarchy in HIERARCHIES {
        if is_directory(&root.join(hierarchy)).map_err(|error| unreadable(hierarchy.as_ref(), &error))? {
            walk.entries.push(Entry { path: PathBuf::from(hierarchy), kind: EntryKind::Directory });
            walk.descend(Path::new(hierarchy), 0)?;
        }
    }
    let releases = read_releases(&root).map_err(|error| unreadable(RELEASES.as_ref(), &error))?;
    Ok(Content { releases, entries: walk.entries })
}

struct Walk<'a> {
    root: &'a Path,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn descend(&mut self, directory: &Path, depth: usize) -> Result<(), QuarantineReason> {
        if depth > DEPTH_MAX {
            return Err(QuarantineReason::TooLarge { limit: DEPTH_MAX });
        }
        let failed = |error: io::Error| unreadable(directory, &error);
        for entry in fs::read_dir(self.root.join(directory)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if self.entries.len() >= FILES_MAX {
                return Err(QuarantineReason::TooLarge { limit: FILES_MAX });
            }
            let path = directory.join(entry.file_name());
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            let kind = if is_directory { EntryKind::Directory } else { EntryKind::File };
            self.entries.push(Entry { path: path.clone(), kind });
            if is_directory {
                self.descend(&path, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Not through a symbolic link: it would lead out of the image.
fn is_directory(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn read_releases(root: &Path) -> io::Result<Vec<ReleaseFile>> {
    let mut directory = root.to_owned();
    for part in Path::new(RELEASES) {
        directory.push(part);
        if !is_directory(&directory)? {
            return Ok(Vec::new());
        }
    }
    let mut releases = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_str().and_then(|name| name.strip_prefix("extension-release."));
        let (Some(name), true) = (name, entry.file_type()?.is_file()) else { continue };
        let mut text = String::new();
        fs::File::open(entry.path())?.take(RELEASE_MAX).read_to_string(&mut text)?;
        releases.push(ReleaseFile { name: name.to_owned(), naming: naming(&entry.path())?, text });
    }
    releases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(releases)
}

fn naming(path: &Path) -> io::Result<Naming> {
    let mut value = [0; 16];
    match rustix::fs::getxattr(path, STRICT, value.as_mut_slice()) {
        Ok(length) => {
            let value = String::from_utf8_lossy(&value[..length]).trim_end_matches('\0').to_ascii_lowercase();
            let free = matches!(value.as_str(), "0" | "no" | "n" | "false" | "f" | "off");
            Ok(if free { Naming::Free } else { Naming::Strict })
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(Naming::Strict),
        Err(errno) => Err(errno.into()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> QuarantineReason {
    QuarantineReason::Unreadable { error: format!("{}: {error}", path.display()) }
}
