//! The codecs of erofs images. Every parameter that affects the bytes is fixed here.
//!
//! A codec is written as in a recipe: `none`, `lz4`, `lz4hc`, `lz4hc:9`, `zstd`, `zstd:15`.

mod lz4;
mod zstd;

use std::fmt;
use std::str::FromStr;

use crate::format::Format;

pub(crate) use lz4::Lz4;
pub(crate) use zstd::{Described, END, WINDOW_LOG, Zstd};

/// The level of plain `lz4hc`: the one with the least CPU time among those whose images are at most 1.5 %
/// larger than with level 12, which takes eight times as long. docs/performance.md has the measurement.
const LZ4HC_DEFAULT: u8 = 5;

/// The level of plain `zstd`: a compromise between size and CPU time.
const ZSTD_DEFAULT: u8 = 3;

/// How file content is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// No compression. Every kernel with erofs can read it.
    None,
    /// LZ4 with the fast encoder. Requires kernel 5.15.
    Lz4,
    /// LZ4 with the high-compression encoder. Requires kernel 5.15.
    Lz4hc {
        /// 3 to 12.
        level: u8,
    },
    /// Zstandard. Requires kernel 6.10, built with it.
    Zstd {
        /// 1 to 19.
        level: u8,
    },
}

/// An unknown codec, or a level that it does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum CodecError {
    #[error("unknown codec {name:?}")]
    Unknown { name: String },
    #[error("{codec} takes no level")]
    NoLevels { codec: &'static str },
    #[error("invalid level {level:?} for {codec}: {format} images take {first} to {last}")]
    Level { codec: &'static str, format: Format, first: u8, last: u8, level: String },
}

impl Codec {
    /// The oldest kernel that can read an image with this codec, as major and minor number.
    pub fn kernel(self) -> (u16, u16) {
        match self {
            Self::None | Self::Lz4 | Self::Lz4hc { .. } => (5, 15),
            Self::Zstd { .. } => (6, 10),
        }
    }

    /// The name without the level, as in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Lz4hc { .. } => "lz4hc",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// The same codec, if its level is valid. Levels from [`FromStr`] always are.
    pub fn checked(self) -> Result<Self, CodecError> {
        let (level, first, last) = match self {
            Self::None | Self::Lz4 => return Ok(self),
            Self::Lz4hc { level } => (level, lz4::FIRST, lz4::LAST),
            Self::Zstd { level } => (level, zstd::FIRST, zstd::LAST),
        };
        if (first..=last).contains(&level) {
            return Ok(self);
        }
        let (codec, format) = (self.name(), Format::Erofs);
        Err(CodecError::Level { codec, format, first, last, level: level.to_string() })
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::Lz4hc { level: LZ4HC_DEFAULT }
    }
}

impl CodecError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some(
                "use none, lz4, lz4hc or zstd, for squashfs also gzip or xz, with a level as in zstd:3"
                    .into(),
            ),
            Self::NoLevels { codec: "lz4" } => Some("use lz4, or lz4hc with a level from 3 to 12".into()),
            Self::NoLevels { codec } => Some(format!("use {codec}")),
            Self::Level { .. } => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None | Self::Lz4 => f.write_str(self.name()),
            Self::Lz4hc { level } => write!(f, "lz4hc:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Codec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Ok(Self::None),
            ("lz4", None) => Ok(Self::Lz4),
            ("none", Some(_)) => Err(CodecError::NoLevels { codec: "none" }),
            ("lz4", Some(_)) => Err(CodecError::NoLevels { codec: "lz4" }),
            ("lz4hc", level) => {
                let level = parse_level("lz4hc", lz4::FIRST, lz4::LAST, LZ4HC_DEFAULT, level)?;
                Ok(Self::Lz4hc { level })
            }
            ("zstd", level) => {
                Ok(Self::Zstd { level: parse_level("zstd", zstd::FIRST, zstd::LAST, ZSTD_DEFAULT, level)? })
            }
            _ => Err(CodecError::Unknown { name: text.to_owned() }),
        }
    }
}

fn parse_level(
    codec: &'static str,
    first: u8,
    last: u8,
    default: u8,
    level: Option<&str>,
) -> Result<u8, CodecError> {
    let Some(text) = level else { return Ok(default) };
    let format = Format::Erofs;
    let refuse = || CodecError::Level { codec, format, first, last, level: text.to_owned() };
    // Digits only: `+3` and `03` would be other spellings of the same codec.
    if text.starts_with(['+', '0']) {
        return Err(refuse());
    }
    text.parse().ok().filter(|level| (first..=last).contains(level)).ok_or_else(refuse)
}

/// A compression library failed, which none does with valid parameters and enough memory.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{library} failed: {message}")]
pub struct LibraryError {
    /// The name of the library.
    pub library: &'static str,
    /// Its error message.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for (text, codec, shown) in [
            ("none", Codec::None, "none"),
            ("lz4", Codec::Lz4, "lz4"),
            ("lz4hc", Codec::Lz4hc { level: 5 }, "lz4hc:5"),
            ("lz4hc:9", Codec::Lz4hc { level: 9 }, "lz4hc:9"),
            ("zstd", Codec::Zstd { level: 3 }, "zstd:3"),
            ("zstd:19", Codec::Zstd { level: 19 }, "zstd:19"),
        ] {
            assert_eq!(text.parse(), Ok(codec));
            assert_eq!(codec.to_string(), shown);
            assert_eq!(shown.parse(), Ok(codec));
            assert_eq!(codec.checked(), Ok(codec));
        }
    }

    #[test]
    fn every_codec_parses_from_its_display_and_invalid_levels_do_not() {
        let at = |level| [Codec::Lz4hc { level }, Codec::Zstd { level }];
        let (valid, invalid): (Vec<Codec>, Vec<Codec>) =
            (0..=u8::MAX).flat_map(at).partition(|codec| codec.checked().is_ok());
        assert_eq!(valid.len(), 10 + 19);
        for codec in valid.into_iter().chain([Codec::None, Codec::Lz4]) {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
        for codec in invalid {
            assert!(codec.to_string().parse::<Codec>().is_err(), "{codec} was accepted");
        }
    }

    #[test]
    fn unknown_codecs_and_levels_are_rejected() {
        for text in ["", "None", "none:1", "lz4:1", "xz", "zstd:", "zstd:0", "zstd:+3", "zstd:03", "zstd:20"]
        {
            assert!(text.parse::<Codec>().is_err(), "{text:?} was accepted");
        }
        let error = "lz4hc:13".parse::<Codec>().unwrap_err();
        assert_eq!(error.to_string(), "invalid level \"13\" for lz4hc: erofs images take 3 to 12");
        let error = "lz4:1".parse::<Codec>().unwrap_err();
        assert_eq!(error.to_string(), "lz4 takes no level");
        assert!(Codec::Zstd { level: 99 }.checked().is_err());
    }

    #[test]
    fn vendored_libraries_have_the_versions_that_made_the_goldens() {
        assert_eq!(lzzzz::version_string(), "1.10.0");
        assert_eq!(zstd_safe::version_string(), "1.5.7");
    }
}
