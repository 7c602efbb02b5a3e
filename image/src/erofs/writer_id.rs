//! The name of what produced an image.

use std::fmt;

use super::clusters::LZ4_CLUSTER;
use crate::codec::{Codec, Described};

/// Version of this writer. It stands for every constant that shapes an image and is not named
/// in the id: how inodes are placed, how files are cut, how often a cluster is tried. Change one
/// and this must change, with the old behaviour kept for whoever rebuilds an old image.
const VERSION: u32 = 1;

/// Names exactly what produced the bytes of an image: format and version of the writer, codec
/// with every parameter, and version of the compressor. Two images of the same tree with the
/// same options and writer id are the same bytes.
///
/// It reads like `erofs-1/lz4hc-12-c64k/lz4-1.10.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriterId {
    codec: Codec,
}

impl WriterId {
    /// The id of what [`write`](super::write()) makes with this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec }
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
            Codec::None => f.write_str("none"),
            Codec::Lz4hc { level } => {
                let cluster = LZ4_CLUSTER / 1024;
                write!(f, "lz4hc-{level}-c{cluster}k/lz4-{}", lzzzz::version_string())
            }
            Codec::Zstd { level } => {
                write!(f, "{}-i256k/zstd-{}", Described(level), zstd_safe::version_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_every_parameter_and_the_library() {
        let id = |codec: &str| WriterId::new(codec.parse().unwrap()).to_string();
        assert_eq!(id("none"), "erofs-1/none");
        assert_eq!(id("lz4hc"), "erofs-1/lz4hc-12-c64k/lz4-1.10.0");
        assert_eq!(id("zstd"), "erofs-1/zstd-3-w18-c17-h17-s1-m4-t0-x2-i256k/zstd-1.5.7");
    }
}
