//! The codecs of squashfs images, with every parameter that affects the bytes.
//!
//! A codec is written as in a recipe: `none`, `gzip:9`, `lz4`, `lz4hc:12`, `xz:6`,
//! `zstd:15`.

mod decoder;
mod encoder;
mod zstd;

use std::fmt;
use std::str::FromStr;

pub use decoder::DecodeError;
pub(super) use decoder::Decoder;
pub(super) use encoder::Encoder;
pub(super) use zstd::Parameters;

use super::format::Compression;
use crate::codec::CodecError;
use crate::format::Format;

/// How the blocks of an image are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// No compression, not even of the tables.
    None,
    /// Deflate in a zlib stream. Every kernel with squashfs can read it.
    Gzip {
        /// 1 to 12, the levels of libdeflate.
        level: u8,
    },
    /// LZ4 with the fast encoder. Requires kernel 3.19.
    Lz4,
    /// LZ4 with the high-compression encoder. It is read as fast as the other.
    Lz4hc {
        /// 3 to 12.
        level: u8,
    },
    /// LZMA2 in an xz stream, for hosts without zstd. It is the slowest to read.
    Xz {
        /// 0 to 9.
        level: u8,
    },
    /// Zstandard. Requires kernel 4.14.
    Zstd {
        /// 1 to 22.
        level: u8,
    },
}

impl Codec {
    /// The oldest kernel that can read an image with this codec, as major and minor number, if it was built
    /// with the decompressor.
    pub fn kernel(self) -> (u16, u16) {
        match self {
            Self::None | Self::Gzip { .. } | Self::Xz { .. } => (2, 6),
            Self::Lz4 | Self::Lz4hc { .. } => (3, 19),
            Self::Zstd { .. } => (4, 14),
        }
    }

    /// The name without the level, as in a catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip { .. } => "gzip",
            Self::Lz4 => "lz4",
            Self::Lz4hc { .. } => "lz4hc",
            Self::Xz { .. } => "xz",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// The same codec, if its level is valid. Levels from [`FromStr`] always are.
    pub fn checked(self) -> Result<Self, CodecError> {
        match (self.level(), levels(self.name())) {
            (Some(level), Some(levels)) if !(levels.first..=levels.last).contains(&level) => {
                Err(levels.invalid(self.name(), &level.to_string()))
            }
            _ => Ok(self),
        }
    }

    pub(super) fn compression(self) -> Compression {
        match self {
            // The field must have a value, and every kernel supports this one.
            Self::None | Self::Gzip { .. } => Compression::Gzip,
            Self::Lz4 | Self::Lz4hc { .. } => Compression::Lz4,
            Self::Xz { .. } => Compression::Xz,
            Self::Zstd { .. } => Compression::Zstd,
        }
    }

    /// The parameters that an image stores; empty if they are the readers' defaults.
    pub(super) fn parameters(self) -> Vec<u8> {
        /// The default of readers for gzip.
        const GZIP_LEVEL: u8 = 9;
        /// The default of readers for zstd.
        const ZSTD_LEVEL: u8 = 15;
        /// The block format of LZ4, the only one there is.
        const LZ4_VERSION: u32 = 1;
        /// zlib's window of 32 KiB, as a power of two.
        const GZIP_WINDOW: u16 = 15;
        /// Strategies of zlib, which libdeflate does not have.
        const GZIP_STRATEGIES: u16 = 0;

        match self {
            // zlib has no levels above 9, and readers reject them.
            Self::Gzip { level } if level < GZIP_LEVEL => [
                &u32::from(level).to_le_bytes()[..],
                &GZIP_WINDOW.to_le_bytes(),
                &GZIP_STRATEGIES.to_le_bytes(),
            ]
            .concat(),
            Self::Lz4 => [LZ4_VERSION, 0].map(u32::to_le_bytes).concat(),
            Self::Lz4hc { .. } => [LZ4_VERSION, 1].map(u32::to_le_bytes).concat(),
            Self::Zstd { level } if level != ZSTD_LEVEL => u32::from(level).to_le_bytes().to_vec(),
            Self::None | Self::Gzip { .. } | Self::Xz { .. } | Self::Zstd { .. } => Vec::new(),
        }
    }

    fn level(self) -> Option<u8> {
        match self {
            Self::None | Self::Lz4 => None,
            Self::Gzip { level } | Self::Lz4hc { level } | Self::Xz { level } | Self::Zstd { level } => {
                Some(level)
            }
        }
    }
}

/// The levels of a codec.
struct Levels {
    first: u8,
    last: u8,
    default: u8,
}

fn levels(name: &str) -> Option<Levels> {
    let (first, last, default) = match name {
        "gzip" => (1, 12, 9),
        "lz4hc" => (3, 12, 12),
        "xz" => (0, 9, 6),
        "zstd" => (1, 22, 15),
        _ => return None,
    };
    Some(Levels { first, last, default })
}

impl Levels {
    fn invalid(&self, codec: &'static str, level: &str) -> CodecError {
        let format = Format::Squashfs;
        CodecError::Level { codec, format, first: self.first, last: self.last, level: level.to_owned() }
    }

    fn parse(&self, codec: &'static str, text: Option<&str>) -> Result<u8, CodecError> {
        let Some(text) = text else { return Ok(self.default) };
        // Digits only: `+3` and `03` would be other spellings of the same codec.
        let one_spelling = text == "0" || !text.starts_with(['+', '0']);
        text.parse()
            .ok()
            .filter(|level| one_spelling && (self.first..=self.last).contains(level))
            .ok_or_else(|| self.invalid(codec, text))
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self::Zstd { level: 15 }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.level().map_or(Ok(()), |level| write!(f, ":{level}"))
    }
}

impl FromStr for Codec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let parse = |codec| levels(codec).map_or(Ok(0), |levels| levels.parse(codec, level));
        match (name, level) {
            ("none", None) => Ok(Self::None),
            ("lz4", None) => Ok(Self::Lz4),
            ("none", Some(_)) => Err(CodecError::NoLevels { codec: "none" }),
            ("lz4", Some(_)) => Err(CodecError::NoLevels { codec: "lz4" }),
            ("gzip", _) => Ok(Self::Gzip { level: parse("gzip")? }),
            ("lz4hc", _) => Ok(Self::Lz4hc { level: parse("lz4hc")? }),
            ("xz", _) => Ok(Self::Xz { level: parse("xz")? }),
            ("zstd", _) => Ok(Self::Zstd { level: parse("zstd")? }),
            _ => Err(CodecError::Unknown { name: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_parses_from_its_display_and_invalid_levels_do_not() {
        let at = |level| {
            [Codec::Gzip { level }, Codec::Lz4hc { level }, Codec::Xz { level }, Codec::Zstd { level }]
        };
        let (valid, invalid): (Vec<Codec>, Vec<Codec>) =
            (0..=u8::MAX).flat_map(at).partition(|codec| codec.checked().is_ok());
        assert_eq!(valid.len(), 12 + 10 + 10 + 22);
        for codec in valid.into_iter().chain([Codec::None, Codec::Lz4]) {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
        for codec in invalid {
            assert!(codec.to_string().parse::<Codec>().is_err(), "{codec} was accepted");
        }
    }

    #[test]
    fn unknown_codecs_and_levels_are_rejected() {
        for text in ["", "None", "none:1", "lz4:1", "lzo", "xz:00", "xz:", "zstd:0", "zstd:+3", "gzip:13"] {
            assert!(text.parse::<Codec>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("xz:0".parse(), Ok(Codec::Xz { level: 0 }));
        assert_eq!("zstd".parse(), Ok(Codec::default()));
        let error = "lz4hc:13".parse::<Codec>().unwrap_err();
        assert_eq!(error.to_string(), "invalid level \"13\" for lz4hc: squashfs images take 3 to 12");
    }

    #[test]
    fn an_image_stores_parameters_that_differ_from_the_defaults() {
        for (text, length) in [
            ("none", 0),
            ("gzip", 0),
            ("gzip:12", 0),
            ("gzip:1", 8),
            ("lz4", 8),
            ("xz:0", 0),
            ("zstd", 0),
            ("zstd:3", 4),
        ] {
            assert_eq!(text.parse::<Codec>().unwrap().parameters().len(), length, "{text}");
        }
    }
}
