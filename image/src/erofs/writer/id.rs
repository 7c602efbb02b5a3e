//! The id of the writer of an image.

use std::fmt;

use super::clusters::{LZ4_CLUSTER, TAIL, ZSTD_CHUNK, for_packed};
use super::features::Features;
use crate::Kernel;
use crate::codec::{Codec, Described};

/// Version of this writer. It covers every constant that affects an image and is not in the id: how inodes
/// are placed, how files are split, how often a cluster is tried. A change of one requires a new version,
/// with the old behaviour kept for rebuilding old images.
const VERSION: u32 = 1;

/// Identifies exactly what produced the bytes of an image: format and version of the writer, codec with every
/// parameter, and version of the compressor. Two images of the same tree with the same options and writer id
/// are identical.
///
/// Example: `erofs-1/lz4hc-5-c64k/lz4-1.10.0`, with `-f256k` if small files and ends of files are in the
/// packed inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriterId {
    codec: Codec,
    features: Features,
}

impl WriterId {
    /// The id of [`write`](super::write()) with this codec and oldest kernel.
    pub fn new(codec: Codec, kernel: Kernel) -> Self {
        Self { codec, features: Features::new(kernel, codec) }
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "erofs-{VERSION}/")?;
        match self.codec {
            Codec::None => f.write_str("none")?,
            Codec::Lz4 => write!(f, "lz4-c{}k", LZ4_CLUSTER / 1024)?,
            Codec::Lz4hc { level } => write!(f, "lz4hc-{level}-c{}k", LZ4_CLUSTER / 1024)?,
            Codec::Zstd { level } => write!(f, "{}-i{}k", Described(level), ZSTD_CHUNK / 1024)?,
        }
        if self.features.fragments {
            write!(f, "-f{}k", TAIL / 1024)?;
            match for_packed(self.codec) {
                Codec::Zstd { level } if for_packed(self.codec) != self.codec => write!(f, "-l{level}")?,
                _ => {}
            }
        }
        match self.codec {
            Codec::None => Ok(()),
            Codec::Lz4 | Codec::Lz4hc { .. } => write!(f, "/lz4-{}", lzzzz::version_string()),
            Codec::Zstd { .. } => write!(f, "/zstd-{}", zstd_safe::version_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_every_parameter_and_the_library() {
        let id = |codec: &str, kernel: &str| {
            WriterId::new(codec.parse().unwrap(), kernel.parse().unwrap()).to_string()
        };
        assert_eq!(id("none", "6.12"), "erofs-1/none");
        assert_eq!(id("lz4", "5.15"), "erofs-1/lz4-c64k/lz4-1.10.0");
        assert_eq!(id("lz4hc", "6.0"), "erofs-1/lz4hc-5-c64k/lz4-1.10.0");
        assert_eq!(id("lz4hc:12", "6.0"), "erofs-1/lz4hc-12-c64k/lz4-1.10.0");
        assert_eq!(id("lz4hc:12", "6.1"), "erofs-1/lz4hc-12-c64k-f256k/lz4-1.10.0");
        let zstd = "erofs-1/zstd-3-w18-c17-h17-s1-m4-t0-x2-i256k-f256k-l6/zstd-1.5.7";
        assert_eq!(id("zstd", "6.10"), zstd);
    }
}
