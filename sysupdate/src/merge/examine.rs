//! Reading the contents of a mounted image.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sysext_image::overlay::ATTRIBUTE_PREFIXES;

use super::quarantine::QuarantineReason;
use crate::host::errno::{is_of_the_machine, may_be_of_the_machine};
use crate::host::view::{FileMetadata, Kind, Tree};

/// The most files that an extension may contain: the largest known ones have 20,000.
pub(super) const FILES_MAX: usize = 1_000_000;
/// An extension-release file is a few lines.
const RELEASE_MAX: u64 = 64 * 1024;
/// The deepest tree that is read, which limits the recursion.
const DEPTH_MAX: usize = 128;

/// The directories of a layer that are merged, in the order in which they are.
pub(super) const HIERARCHIES: [&str; 2] = ["usr", "opt"];
/// Where extension-release files are.
pub(super) const RELEASES: &str = sysext_manifests::extension_release::DIRECTORY;
/// The bits of a mode that say what a file is, and the value of a character device.
const KIND: u32 = 0o170_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// The bits of a mode that say who may use a file.
const PERMISSIONS: u32 = 0o7777;
const STRICT: &str = "user.extension-release.strict";

/// The contents of an image that the decision depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageContent {
    /// Its extension-release files.
    pub releases: Vec<ReleaseFile>,
    /// Every file and directory below `usr` and `opt`; a directory comes before its contents.
    pub entries: Vec<ImageEntry>,
}

/// An extension-release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleaseFile {
    /// The name after `extension-release.`
    pub name: String,
    /// Whether the name has to be that of the extension.
    pub naming: ReleaseNaming,
    /// Its text.
    pub text: String,
}

/// Whether the name of an extension-release file has to be the extension's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReleaseNaming {
    /// It has to.
    Strict,
    /// `user.extension-release.strict=0`: it need not.
    Free,
}

/// A file or directory of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageEntry {
    /// Its relative path: `usr/bin/x`.
    pub path: PathBuf,
    /// Its kind.
    pub kind: ImageEntryKind,
    /// Who may use it; only known of directories.
    pub access: Option<Access>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageEntryKind {
    /// A directory.
    Directory,
    /// Anything else, links included.
    File,
}

/// Who may use a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
}

impl Access {
    pub(super) fn of(metadata: &FileMetadata) -> Self {
        Self { mode: metadata.mode & PERMISSIONS, owner: metadata.owner }
    }
}

impl ImageContent {
    /// Whether it has files in a hierarchy.
    pub(super) fn ships(&self, hierarchy: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.path.starts_with(hierarchy) && entry.path != Path::new(hierarchy))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, owner: (user, group) } = self;
        write!(f, "mode {mode:04o}, owner {user}:{group}")
    }
}

/// Why it is not known what an image contains.
#[derive(Debug)]
pub(super) enum Unexamined {
    /// This machine could not look now.
    Machine(io::Error),
    /// The image is not fit to be merged.
    Image(QuarantineReason),
}

/// Reads the contents of a mount.
pub(super) fn examine(mount: &dyn Tree) -> Result<ImageContent, Unexamined> {
    let mut walk = Walk { mount, entries: Vec::new() };
    for hierarchy in HIERARCHIES {
        let path = Path::new(hierarchy);
        if mount.kind(path).map_err(|error| unreadable(path, error))? == Some(Kind::Directory) {
            walk.enter(path, Kind::Directory)?;
            walk.descend(path, 0)?;
        }
    }
    let releases = read_releases(mount).map_err(|error| unreadable(RELEASES.as_ref(), error))?;
    Ok(ImageContent { releases, entries: walk.entries })
}

struct Walk<'a> {
    mount: &'a dyn Tree,
    entries: Vec<ImageEntry>,
}

impl Walk<'_> {
    fn descend(&mut self, directory: &Path, depth: usize) -> Result<(), Unexamined> {
        if depth > DEPTH_MAX {
            return Err(Unexamined::Image(QuarantineReason::TooLarge { limit: DEPTH_MAX }));
        }
        for (name, kind) in self.mount.list(directory).map_err(|error| unreadable(directory, error))? {
            if self.entries.len() >= FILES_MAX {
                return Err(Unexamined::Image(QuarantineReason::TooLarge { limit: FILES_MAX }));
            }
            let path = directory.join(name);
            self.enter(&path, kind)?;
            if kind == Kind::Directory {
                self.descend(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Notes a file or directory, unless overlayfs would hide files of the host because of it.
    fn enter(&mut self, path: &Path, kind: Kind) -> Result<(), Unexamined> {
        let failed = |error| unreadable(path, error);
        let shown = || Path::new("/").join(path);
        let names = self.mount.attribute_names(path).map_err(failed)?;
        let is_of_overlay = |name: &String| ATTRIBUTE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if let Some(name) = names.into_iter().find(is_of_overlay) {
            return Err(Unexamined::Image(QuarantineReason::OverlayAttribute { path: shown(), name }));
        }
        let metadata = match kind {
            Kind::Directory | Kind::Other => Some(self.mount.metadata(path).map_err(failed)?),
            Kind::File | Kind::Link | Kind::BlockDevice => None,
        };
        let is_whiteout =
            |found: &FileMetadata| found.mode & KIND == CHARACTER_DEVICE && found.stands_for == 0;
        if metadata.as_ref().is_some_and(is_whiteout) {
            return Err(Unexamined::Image(QuarantineReason::Whiteout { path: shown() }));
        }
        let is_directory = kind == Kind::Directory;
        let kind = if is_directory { ImageEntryKind::Directory } else { ImageEntryKind::File };
        let access = metadata.filter(|_| is_directory).as_ref().map(Access::of);
        self.entries.push(ImageEntry { path: path.to_owned(), kind, access });
        Ok(())
    }
}

fn read_releases(mount: &dyn Tree) -> io::Result<Vec<ReleaseFile>> {
    let directory = Path::new(RELEASES);
    // Not through a symbolic link: it would lead out of the image.
    if mount.kind(directory)? != Some(Kind::Directory) {
        return Ok(Vec::new());
    }
    let mut releases = Vec::new();
    for (file, kind) in mount.list(directory)? {
        let name = file.to_str().and_then(|name| name.strip_prefix("extension-release."));
        let (Some(name), Kind::File) = (name, kind) else { continue };
        let path = directory.join(&file);
        let text = String::from_utf8(mount.read(&path, RELEASE_MAX)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        releases.push(ReleaseFile { name: name.to_owned(), naming: naming(mount, &path)?, text });
    }
    releases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(releases)
}

fn naming(mount: &dyn Tree, path: &Path) -> io::Result<ReleaseNaming> {
    let value = mount.attribute(path, STRICT)?.unwrap_or_default();
    let value = String::from_utf8_lossy(&value).trim_end_matches('\0').to_ascii_lowercase();
    let free = matches!(value.as_str(), "0" | "no" | "n" | "false" | "f" | "off");
    Ok(if free { ReleaseNaming::Free } else { ReleaseNaming::Strict })
}

fn unreadable(path: &Path, error: io::Error) -> Unexamined {
    if is_of_the_machine(&error) {
        return Unexamined::Machine(error);
    }
    if may_be_of_the_machine(&error) {
        let error = format!("{}: {error}", path.display());
        return Unexamined::Image(QuarantineReason::NotNow { error });
    }
    Unexamined::Image(QuarantineReason::Unreadable { error: format!("{}: {error}", path.display()) })
}
