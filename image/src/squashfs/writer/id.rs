//! The id of the writer of an image.

use std::fmt;

use crate::squashfs::codec::{Codec, Parameters};

/// Version of this writer. It covers every constant that affects an image and is not in the id: how inodes
/// are ordered, how fragments are packed, what is stored out of line. A change of one requires a new version,
/// with the old behaviour kept for rebuilding old images.
const VERSION: u32 = 1;

/// Version of the libdeflate in the crate. A test checks it.
const LIBDEFLATE: &str = "1.26";

/// Version of the liblzma in the crate. A test checks it.
const LIBLZMA: &str = "5.8.4";

/// Identifies exactly what produced the bytes of an image: format and version of the writer, codec with every
/// parameter, block size, and version of the compressor. Two images of the same tree with the same timestamp
/// and writer id are identical.
///
/// Example: `squashfs-1/gzip-9-b128k/libdeflate-1.26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriterId {
    codec: Codec,
    block_log: u8,
}

impl WriterId {
    pub(super) fn new(codec: Codec, block_log: u8) -> Self {
        Self { codec, block_log }
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Size of the blocks in bytes.
    pub fn block_size(&self) -> u32 {
        1 << self.block_log
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = self.block_size() / 1024;
        write!(f, "squashfs-{VERSION}/")?;
        match self.codec {
            Codec::None => write!(f, "none-b{block}k"),
            Codec::Gzip { level } => write!(f, "gzip-{level}-b{block}k/libdeflate-{LIBDEFLATE}"),
            Codec::Lz4 => write!(f, "lz4-b{block}k/lz4-{}", lzzzz::version_string()),
            Codec::Lz4hc { level } => write!(f, "lz4hc-{level}-b{block}k/lz4-{}", lzzzz::version_string()),
            Codec::Xz { level } => write!(f, "xz-{level}-b{block}k/liblzma-{LIBLZMA}"),
            Codec::Zstd { level } => {
                let parameters = Parameters::of(level, self.block_log);
                write!(f, "{parameters}-b{block}k/zstd-{}", zstd_safe::version_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_every_parameter_and_the_library() {
        let id = |codec: &str| WriterId::new(codec.parse().unwrap(), 17).to_string();
        assert_eq!(id("none"), "squashfs-1/none-b128k");
        assert_eq!(id("gzip"), "squashfs-1/gzip-9-b128k/libdeflate-1.26");
        assert_eq!(id("lz4"), "squashfs-1/lz4-b128k/lz4-1.10.0");
        assert_eq!(id("lz4hc"), "squashfs-1/lz4hc-12-b128k/lz4-1.10.0");
        assert_eq!(id("xz"), "squashfs-1/xz-6-b128k/liblzma-5.8.4");
        assert_eq!(id("zstd:3"), "squashfs-1/zstd-3-w17-c15-h16-s2-m5-t0-x2-b128k/zstd-1.5.7");
    }

    /// The crates do not export the version of their library. If this fails, look it up in their sources
    /// (`libdeflate.h`, `lzma/version.h`): if it changed, images change, too.
    #[test]
    fn the_crates_contain_the_libraries_in_the_id() {
        let lock = include_str!("../../../../Cargo.lock");
        for entry in
            ["name = \"libdeflate-sys\"\nversion = \"1.26.1\"", "name = \"liblzma-sys\"\nversion = \"0.4.9\""]
        {
            assert!(lock.contains(entry), "{entry}");
        }
    }
}
