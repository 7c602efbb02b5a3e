//! The formats of file systems, and what is no path in any of them.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::str::FromStr;

use crate::entry::NAME_MAX;

/// The longest path in bytes that Linux opens: `PATH_MAX` without its NUL.
pub(super) const PATH_MAX: usize = 4095;

/// A file system format that images have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// EROFS.
    #[default]
    Erofs,
    /// Squashfs 4.0.
    Squashfs,
}

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no image format is called {name:?}")]
pub struct UnknownFormat {
    name: String,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Erofs, Self::Squashfs];

    /// Its name, as it stands in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }

    /// What else unpacks such images.
    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Erofs => "fsck.erofs --extract",
            Self::Squashfs => "unsquashfs",
        }
    }
}

impl UnknownFormat {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(format!("write {}", Format::ALL.map(Format::name).join(" or ")))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == text).ok_or_else(|| UnknownFormat { name: text.to_owned() })
    }
}

/// Why a path from an image is none that leads downwards from its root, if it is not.
pub(super) fn path_defect(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return None;
    }
    if bytes.len() > PATH_MAX {
        return Some("the path is longer than Linux opens");
    }
    // By its bytes: what takes paths apart passes over empty names and dots.
    let mut names = bytes.split(|byte| *byte == b'/');
    if names.any(|name| name.is_empty() || name == b"." || name == b".." || name.contains(&0)) {
        return Some("a name in it is empty, a dot, two dots, or has a slash or NUL in it");
    }
    let mut parts = path.components();
    if parts.any(|part| !matches!(part, Component::Normal(name) if name.len() <= NAME_MAX)) {
        return Some("a name in it is longer than 255 bytes");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_as_they_are_shown() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "ext4".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "no image format is called \"ext4\"");
        assert_eq!(error.hint().unwrap(), "write erofs or squashfs");
    }

    #[test]
    fn only_paths_that_lead_downwards_are_taken() {
        for path in ["", "a", "a/b", "..a/b..", "a b"] {
            assert_eq!(path_defect(Path::new(path)), None, "{path:?}");
        }
        let long = format!("a/{}", "n".repeat(256));
        let deep = "d/".repeat(2048) + "d";
        for path in ["/", "/a", "a/", "a//b", ".", "a/.", "..", "a/../b", "a\0b", &long, &deep] {
            assert!(path_defect(Path::new(path)).is_some(), "{path:?}");
        }
    }
}
