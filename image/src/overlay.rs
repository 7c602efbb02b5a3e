//! What in an image changes more of a merged `/usr` or `/opt` than the files that it adds.
//!
//! overlayfs takes a character device 0:0 for the absence of a file, and reads its own extended attributes from every
//! layer: an opaque directory hides everything below it. A merged directory has the mode of the topmost layer.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::dump::escape;
use crate::entry::{Device, Entry, EntryKind, Special};

/// How the names of the extended attributes begin that overlayfs reads from a layer.
pub const ATTRIBUTE_PREFIXES: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// The directories of an extension that are merged.
const HIERARCHIES: [&str; 2] = ["usr", "opt"];

/// The rights that everybody has in [`SHARED`]. A merged hierarchy is read-only, so that the right to write does not
/// matter.
const READABLE: u16 = 0o555;

/// Directories that a host has, and that all its users read.
const SHARED: [&str; 19] = [
    "opt",
    "usr",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/lib/extension-release.d",
    "usr/lib/systemd",
    "usr/lib/systemd/system",
    "usr/lib/systemd/user",
    "usr/lib64",
    "usr/libexec",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "usr/src",
];

/// Why an image does not only add files to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlayDefect {
    /// It hides whatever has this path.
    Whiteout {
        /// Its path in the image.
        path: PathBuf,
    },
    /// It has an attribute that overlayfs reads.
    Attribute {
        /// Its path in the image.
        path: PathBuf,
        /// The name of the attribute.
        name: String,
    },
    /// A directory that every host has could not be read by everybody.
    Mode {
        /// Its path in the image.
        path: PathBuf,
        /// Its permission bits.
        mode: u16,
    },
}

impl fmt::Display for OverlayDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| escape(path.as_os_str().as_encoded_bytes());
        match self {
            Self::Whiteout { path } => {
                write!(f, "/{} is a device 0:0, which hides a file of the host", shown(path))
            }
            Self::Attribute { path, name } => {
                write!(f, "/{} has the attribute {}, with which overlayfs hides files", shown(path), name)
            }
            Self::Mode { path, mode } => {
                write!(
                    f,
                    "/{} has the mode {mode:04o}, and not everybody could read the host's files there",
                    shown(path)
                )
            }
        }
    }
}

/// Everything in `usr` and `opt` that changes more than the files that the image adds.
pub fn defects(entries: &[Entry]) -> Vec<OverlayDefect> {
    entries
        .iter()
        .filter(|entry| HIERARCHIES.iter().any(|name| entry.path.starts_with(name)))
        .flat_map(of)
        .collect()
}

fn of(entry: &Entry) -> Vec<OverlayDefect> {
    let path = || entry.path.clone();
    let mut defects = Vec::new();
    if entry.kind == EntryKind::Special(Special::Character(Device { major: 0, minor: 0 })) {
        defects.push(OverlayDefect::Whiteout { path: path() });
    }
    let names = entry.xattrs.keys().map(|name| escape(name));
    for name in names.filter(|name| ATTRIBUTE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
        defects.push(OverlayDefect::Attribute { path: path(), name });
    }
    let shared = SHARED.iter().any(|shared| entry.path.as_os_str() == OsStr::new(shared));
    if entry.kind == EntryKind::Directory && shared && entry.mode & READABLE != READABLE {
        defects.push(OverlayDefect::Mode { path: path(), mode: entry.mode });
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Layout, Xattrs};

    fn entry(path: &str, kind: EntryKind, mode: u16, attribute: Option<&str>) -> Entry {
        let xattrs: Xattrs =
            attribute.map(|name| (name.as_bytes().to_vec(), b"y".to_vec())).into_iter().collect();
        let (uid, gid, links, size, mtime, inode) = (0, 0, 1, 0, 0, 1);
        Entry {
            path: path.into(),
            kind,
            mode,
            uid,
            gid,
            links,
            size,
            mtime,
            inode,
            layout: Layout::Plain,
            xattrs,
        }
    }

    #[test]
    fn what_overlayfs_reads_from_a_layer_is_a_defect() {
        let device = |major, minor| EntryKind::Special(Special::Character(Device { major, minor }));
        let directory = |path, mode, attribute| entry(path, EntryKind::Directory, mode, attribute);
        let (whiteout, opaque) = ("usr/share/victim", "trusted.overlay.opaque");
        let wrong = [
            entry(whiteout, device(0, 0), 0o644, None),
            directory("usr/bin", 0o755, Some(opaque)),
            entry("opt/x", EntryKind::File, 0o644, Some("user.overlay.redirect")),
            directory("usr/lib", 0o700, None),
        ];
        let path = PathBuf::from;
        let expected = [
            OverlayDefect::Whiteout { path: path(whiteout) },
            OverlayDefect::Attribute { path: path("usr/bin"), name: opaque.into() },
            OverlayDefect::Attribute { path: path("opt/x"), name: "user.overlay.redirect".into() },
            OverlayDefect::Mode { path: path("usr/lib"), mode: 0o700 },
        ];
        assert_eq!(defects(&wrong), expected);
        let fine = [
            entry("usr/share/null", device(1, 3), 0o644, None),
            directory("usr", 0o755, Some("security.selinux")),
            directory("usr/share/x/private", 0o700, None),
            directory("var", 0o700, Some(opaque)),
        ];
        assert_eq!(defects(&fine), []);
    }
}
