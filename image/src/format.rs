//! The file system formats of images.

use std::fmt;
use std::str::FromStr;

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

    /// Offset of the superblock in an image, in bytes. EROFS leaves the first KiB to boot loaders.
    pub(crate) const fn superblock_offset(self) -> usize {
        match self {
            Self::Erofs => 1024,
            Self::Squashfs => 0,
        }
    }

    /// The first four bytes of the superblock, little-endian.
    pub(crate) const fn magic(self) -> u32 {
        match self {
            Self::Erofs => 0xe0f5_e1e2,
            Self::Squashfs => 0x7371_7368,
        }
    }

    /// What else unpacks such images.
    pub(crate) fn tool(self) -> &'static str {
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
}
