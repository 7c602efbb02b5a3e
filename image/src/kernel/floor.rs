//! The target of an image: a minimum kernel version, or a system whose kernels are known. Either determines
//! which codecs an image may use.
//!
//! A version only tells what a kernel may support; a profile also tells what it was built with.

use std::fmt;
use std::str::FromStr;

use super::{Kernel, KernelError};
use crate::format::Format;

/// The oldest kernel that must read an image, or the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Any kernel of this version or later, built with the format's default codec.
    Kernel(Kernel),
    /// The kernels of a system.
    Profile(&'static Profile),
}

/// A system and what its kernels support.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name on the command line and in recipes.
    pub name: &'static str,
    /// Its oldest kernel.
    pub kernel: (u16, u16),
    /// The erofs codecs that it was built with, the preferred one first.
    pub erofs: &'static [&'static str],
    /// The squashfs codecs that it was built with, the preferred one first.
    pub squashfs: &'static [&'static str],
}

/// Every codec that may be written, and the oldest kernel that supports it. Other codecs are never used:
/// microlzma is for transport, a node would read it at a tenth of the speed.
const CODECS: [(Format, &str, (u16, u16)); 10] = [
    (Format::Erofs, "lz4hc", (5, 15)),
    (Format::Erofs, "zstd", (6, 10)),
    (Format::Erofs, "lz4", (5, 15)),
    (Format::Erofs, "none", (5, 15)),
    (Format::Squashfs, "zstd", (5, 15)),
    (Format::Squashfs, "xz", (5, 15)),
    (Format::Squashfs, "gzip", (5, 15)),
    (Format::Squashfs, "lz4hc", (5, 15)),
    (Format::Squashfs, "lz4", (5, 15)),
    (Format::Squashfs, "none", (5, 15)),
];

/// The squashfs codecs of Debian 12 and later.
const DEBIAN_SQUASHFS: &[&str] = &["zstd", "xz", "gzip", "lz4hc", "lz4", "none"];

/// From `/boot/config-*` of Debian's kernel packages and from the kernel configurations of Flatcar, whose
/// oldest supported channel (LTS, 4081) has 6.6.
pub static PROFILES: [Profile; 3] = [
    Profile {
        name: "debian-12",
        kernel: (6, 1),
        erofs: &["lz4hc", "lz4", "none"],
        squashfs: DEBIAN_SQUASHFS,
    },
    Profile {
        name: "debian-13",
        kernel: (6, 12),
        erofs: &["zstd", "lz4hc", "lz4", "none"],
        squashfs: DEBIAN_SQUASHFS,
    },
    Profile {
        name: "flatcar",
        kernel: (6, 6),
        erofs: &["lz4hc", "lz4", "none"],
        squashfs: &["zstd", "xz", "lz4hc", "lz4", "none"],
    },
];

/// A codec that the target does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum FloorError {
    #[error("{codec} needs kernel {needed} or later, but {}", target(.floor))]
    TooOld { codec: String, needed: Kernel, floor: Floor, instead: &'static str },
    #[error("the kernels of {profile} are built without {codec} for {format}")]
    NotBuilt { codec: String, format: Format, profile: &'static str, instead: &'static str },
    #[error("{format} images do not support the codec {codec}")]
    NoSuchCodec { codec: String, format: Format },
}

fn target(floor: &Floor) -> String {
    match floor {
        Floor::Kernel(kernel) => format!("the target is {kernel}"),
        Floor::Profile(profile) => format!("{} has {}", profile.name, floor.kernel()),
    }
}

impl FloorError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TooOld { needed, floor: Floor::Kernel(_), instead, .. } => {
                format!("pass --kernel {needed} or use {instead}")
            }
            Self::TooOld { instead, .. } | Self::NotBuilt { instead, .. } => format!("use {instead}"),
            Self::NoSuchCodec { format, .. } => {
                let names: Vec<_> = rows(*format).map(|(name, _)| name).collect();
                format!("use one of {}", names.join(", "))
            }
        })
    }
}

/// The codecs of a format, the most portable first.
fn rows(format: Format) -> impl Iterator<Item = (&'static str, Kernel)> {
    CODECS.into_iter().filter(move |row| row.0 == format).map(|row| (row.1, row.2.into()))
}

impl Floor {
    /// The oldest kernel, as in a catalog.
    pub fn kernel(&self) -> Kernel {
        match self {
            Self::Kernel(kernel) => *kernel,
            Self::Profile(profile) => profile.kernel.into(),
        }
    }

    /// The codecs that may be used, the preferred one first.
    pub fn codecs(&self, format: Format) -> Vec<&'static str> {
        match self {
            Self::Profile(profile) => match format {
                Format::Erofs => profile.erofs.to_vec(),
                Format::Squashfs => profile.squashfs.to_vec(),
            },
            Self::Kernel(kernel) => {
                rows(format).filter(|(_, since)| since <= kernel).map(|(name, _)| name).collect()
            }
        }
    }

    /// The default codec: for a profile the best that it was built with, for a version the one that every
    /// build has.
    pub fn codec(&self, format: Format) -> &'static str {
        self.codecs(format).first().copied().unwrap_or("none")
    }

    /// Checks that the target can read images of a format with the codec `name`, given without a level.
    pub fn check(&self, format: Format, name: &str) -> Result<(), FloorError> {
        let readable = self.codecs(format);
        if readable.contains(&name) {
            return Ok(());
        }
        let codec = name.to_owned();
        let Some((_, needed)) = rows(format).find(|(known, _)| *known == name) else {
            return Err(FloorError::NoSuchCodec { codec, format });
        };
        let instead = readable.first().copied().unwrap_or("none");
        Err(match self {
            Self::Profile(profile) if needed <= self.kernel() => {
                FloorError::NotBuilt { codec, format, profile: profile.name, instead }
            }
            _ => FloorError::TooOld { codec, needed, floor: *self, instead },
        })
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self::Kernel(Kernel::DEFAULT)
    }
}

impl From<Kernel> for Floor {
    fn from(kernel: Kernel) -> Self {
        Self::Kernel(kernel)
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(kernel) => write!(f, "{kernel}"),
            Self::Profile(profile) => f.write_str(profile.name),
        }
    }
}

impl FromStr for Floor {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        match PROFILES.iter().find(|profile| profile.name == text) {
            Some(profile) => Ok(Self::Profile(profile)),
            None => match text.parse()? {
                kernel if kernel < Kernel::DEFAULT => Err(KernelError::TooOld { kernel }),
                kernel => Ok(Self::Kernel(kernel)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(text: &str) -> Floor {
        text.parse().unwrap()
    }

    #[test]
    fn floors_parse_from_their_display() {
        for profile in &PROFILES {
            assert_eq!(floor(profile.name).to_string(), profile.name);
            assert_eq!(floor(profile.name).kernel(), profile.kernel.into());
        }
        assert_eq!(floor("6.12"), Floor::Kernel((6, 12).into()));
        assert_eq!(floor("6.12").to_string(), "6.12");
        assert_eq!(Floor::default().kernel(), Kernel::DEFAULT);
        let error = "debian-11".parse::<Floor>().unwrap_err();
        assert_eq!(error.to_string(), "\"debian-11\" is not a kernel version such as 5.15");
        assert_eq!(error.hint().unwrap(), "use a version or one of debian-12, debian-13, flatcar");
        let error = "5.10.0-30-amd64".parse::<Floor>().unwrap_err();
        assert_eq!(error.to_string(), "kernel 5.10 is not supported: images require kernel 5.15 or later");
    }

    #[test]
    fn supported_and_default_codecs() {
        let cases: [(&str, Format, &[&str]); 8] = [
            ("5.15", Format::Erofs, &["lz4hc", "lz4", "none"]),
            ("6.9", Format::Erofs, &["lz4hc", "lz4", "none"]),
            ("6.10", Format::Erofs, &["lz4hc", "zstd", "lz4", "none"]),
            ("debian-12", Format::Erofs, &["lz4hc", "lz4", "none"]),
            ("debian-13", Format::Erofs, &["zstd", "lz4hc", "lz4", "none"]),
            ("flatcar", Format::Erofs, &["lz4hc", "lz4", "none"]),
            ("flatcar", Format::Squashfs, &["zstd", "xz", "lz4hc", "lz4", "none"]),
            ("5.15", Format::Squashfs, &["zstd", "xz", "gzip", "lz4hc", "lz4", "none"]),
        ];
        for (text, format, codecs) in cases {
            assert_eq!(floor(text).codecs(format), codecs, "{text} {format}");
        }
        for text in ["5.15", "6.1", "6.6", "6.12", "debian-12", "debian-13", "flatcar"] {
            let floor = floor(text);
            let picked = floor.codec(Format::Erofs);
            assert_eq!(floor.check(Format::Erofs, picked), Ok(()), "{text}");
            assert_eq!(picked == "zstd", text == "debian-13", "{text}");
            assert_eq!(floor.codec(Format::Squashfs), "zstd", "{text}");
        }
    }

    #[test]
    fn no_profile_has_a_codec_newer_than_its_kernel() {
        for profile in &PROFILES {
            let plain = Floor::Kernel(profile.kernel.into());
            for format in Format::ALL {
                for codec in Floor::Profile(profile).codecs(format) {
                    assert!(plain.codecs(format).contains(&codec), "{}: {codec}", profile.name);
                    assert!(!codec.contains("lzma"), "{}: {codec}", profile.name);
                }
            }
        }
    }

    #[test]
    fn an_unsupported_codec_is_rejected_with_an_alternative() {
        let zstd = "zstd";
        let refusal = |text: &str| {
            let error = floor(text).check(Format::Erofs, zstd).unwrap_err();
            format!("{error}: {}", error.hint().unwrap())
        };
        assert_eq!(refusal("debian-12"), "zstd needs kernel 6.10 or later, but debian-12 has 6.1: use lz4hc");
        assert_eq!(
            refusal("5.15"),
            "zstd needs kernel 6.10 or later, but the target is 5.15: pass --kernel 6.10 or use lz4hc"
        );
        static BARE: Profile =
            Profile { name: "bare", kernel: (6, 12), erofs: &["none"], squashfs: &["gzip"] };
        let error = Floor::Profile(&BARE).check(Format::Erofs, zstd).unwrap_err();
        assert_eq!(error.to_string(), "the kernels of bare are built without zstd for erofs");
        assert_eq!(error.hint().unwrap(), "use none");
        assert!(floor("debian-13").check(Format::Erofs, zstd).is_ok());
        let error = Floor::default().check(Format::Erofs, "xz").unwrap_err();
        assert_eq!(error.to_string(), "erofs images do not support the codec xz");
        assert_eq!(error.hint().unwrap(), "use one of lz4hc, zstd, lz4, none");
    }
}
