//! The file system formats of images, with the magic numbers that identify them.

use std::fmt;
use std::str::FromStr;

/// A file system format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// EROFS.
    #[default]
    Erofs,
    /// Squashfs 4.0.
    Squashfs,
}

/// The name of an unknown format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown image format {name:?}")]
pub struct UnknownFormat {
    name: String,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::Erofs, Self::Squashfs];

    /// Its name, as in a catalog.
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

    /// Another program that can extract such images.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::Erofs => "fsck.erofs --extract",
            Self::Squashfs => "unsquashfs",
        }
    }
}

impl UnknownFormat {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(format!("use {}", Format::ALL.map(Format::name).join(" or ")))
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
    fn formats_parse_from_their_display() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "ext4".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "unknown image format \"ext4\"");
        assert_eq!(error.hint().unwrap(), "use erofs or squashfs");
    }
}
