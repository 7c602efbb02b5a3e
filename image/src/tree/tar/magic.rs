//! Identifies a file by its first bytes. Its name does not matter.

use std::fmt;

/// A supported compression of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Gzip, also of several members.
    Gzip,
    /// XZ, also of several streams.
    Xz,
    /// Zstandard, also of several frames.
    Zstd,
}

/// A known format that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsupportedFormat {
    /// Compressed with bzip2.
    Bzip2,
    /// Compressed with compress, as `.Z`.
    Compress,
    /// A Debian package.
    Debian,
    /// Compressed with lz4.
    Lz4,
    /// Compressed with lzip.
    Lzip,
    /// Compressed with lzop.
    Lzop,
    /// An RPM package.
    Rpm,
    /// An archive of 7-Zip.
    SevenZip,
    /// A zip archive.
    Zip,
}

/// The type of a file, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// No known magic number: it may be a tar archive.
    Plain,
    Compressed(Compression),
    Unsupported(UnsupportedFormat),
}

/// How many bytes identify all types.
pub(super) const MAGIC_MAX: usize = 11;

/// The first bytes of a bzip2 file are text, which may be the start of a file name in a tar archive. After
/// the digit for the block size is the magic number of a block or of the end.
const BZIP2_BLOCKS: [[u8; 6]; 2] =
    [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

/// Magic numbers of unsupported formats.
const UNSUPPORTED: [(&[u8], UnsupportedFormat); 8] = [
    (&[0x1f, 0x9d], UnsupportedFormat::Compress),
    (b"!<arch>\ndeb", UnsupportedFormat::Debian),
    (&[0x04, 0x22, 0x4d, 0x18], UnsupportedFormat::Lz4),
    (b"LZIP\x01", UnsupportedFormat::Lzip),
    (&[0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a], UnsupportedFormat::Lzop),
    (&[0xed, 0xab, 0xee, 0xdb], UnsupportedFormat::Rpm),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], UnsupportedFormat::SevenZip),
    (b"PK\x03\x04", UnsupportedFormat::Zip),
];

impl FileKind {
    pub(super) fn of(first: &[u8]) -> Self {
        if let [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] = first
            && BZIP2_BLOCKS.iter().any(|magic| rest.starts_with(magic))
        {
            return Self::Unsupported(UnsupportedFormat::Bzip2);
        }
        if let Some((_, format)) = UNSUPPORTED.into_iter().find(|(magic, _)| first.starts_with(magic)) {
            return Self::Unsupported(format);
        }
        let begins = |compression: &Compression| compression.begins(first) == MagicMatch::Yes;
        let mut known = [Compression::Gzip, Compression::Xz, Compression::Zstd].into_iter();
        known.find(begins).map_or(Self::Plain, Self::Compressed)
    }
}

/// Whether data begin with a magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MagicMatch {
    Yes,
    No,
    /// There are too few bytes to tell.
    TooShort,
}

impl Compression {
    /// Whether `first` is the start of data with this compression. For zstd this may be a skippable frame.
    pub(super) fn begins(self, first: &[u8]) -> MagicMatch {
        let is = |magic: &[u8], masked: u8| {
            let same = |(at, byte): (usize, &u8)| byte & if at == 0 { !masked } else { 0xff } == magic[at];
            match first.iter().take(magic.len()).enumerate().all(same) {
                true if first.len() < magic.len() => MagicMatch::TooShort,
                true => MagicMatch::Yes,
                false => MagicMatch::No,
            }
        };
        match self {
            Self::Gzip => is(&[0x1f, 0x8b, 8], 0),
            Self::Xz => is(&[0xfd, b'7', b'z', b'X', b'Z', 0], 0),
            Self::Zstd => match is(&[0x28, 0xb5, 0x2f, 0xfd], 0) {
                MagicMatch::No => is(&[0x50, 0x2a, 0x4d, 0x18], 0x0f),
                begins => begins,
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bzip2 => "compressed with bzip2",
            Self::Compress => "compressed with compress",
            Self::Debian => "a Debian package",
            Self::Lz4 => "compressed with lz4",
            Self::Lzip => "compressed with lzip",
            Self::Lzop => "compressed with lzop",
            Self::Rpm => "an RPM package",
            Self::SevenZip => "a 7-Zip archive",
            Self::Zip => "a zip archive",
        })
    }
}

impl UnsupportedFormat {
    /// How to convert it to a supported format.
    pub(super) fn workaround(self) -> &'static str {
        match self {
            Self::Bzip2 => "decompress it first with bzip2 -dc",
            Self::Compress => "decompress it first with gzip -dc",
            Self::Lz4 => "decompress it first with lz4 -dc",
            Self::Lzip => "decompress it first with lzip -dc",
            Self::Lzop => "decompress it first with lzop -dc",
            Self::Debian => "extract the archive in it with dpkg-deb --fsys-tarfile",
            Self::Rpm => "convert it to an archive with rpm2archive",
            Self::SevenZip => "extract it first with 7z x and use the directory",
            Self::Zip => "extract it first with unzip and use the directory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_resemble_magic_numbers_are_plain() {
        for (first, kind) in [
            (&b"BZh9readme\0"[..], FileKind::Plain),
            (b"BZh91AY&SY\0", FileKind::Unsupported(UnsupportedFormat::Bzip2)),
            (b"BZh1\x17\x72\x45\x38\x50\x90\0", FileKind::Unsupported(UnsupportedFormat::Bzip2)),
            (b"LZIPPED\0", FileKind::Plain),
            (b"PK\0", FileKind::Plain),
            (b"PK\x03\x04", FileKind::Unsupported(UnsupportedFormat::Zip)),
            (b"7z/\0", FileKind::Plain),
            (b"!<arch>\n\0", FileKind::Plain),
            (b"!<arch>\ndebian-binary", FileKind::Unsupported(UnsupportedFormat::Debian)),
            (b"\x1f\x8b\x08", FileKind::Compressed(Compression::Gzip)),
            (b"\x1f\x8b\x07", FileKind::Plain),
            (b"\x1f\x8b", FileKind::Plain),
            (b"\xfd7zXZ\0", FileKind::Compressed(Compression::Xz)),
            (b"\x28\xb5\x2f\xfd", FileKind::Compressed(Compression::Zstd)),
            (b"\x5e\x2a\x4d\x18", FileKind::Compressed(Compression::Zstd)),
            (b"\x6e\x2a\x4d\x18", FileKind::Plain),
            (b"", FileKind::Plain),
        ] {
            assert_eq!(FileKind::of(first), kind, "{first:?}");
        }
    }

    #[test]
    fn too_few_bytes_are_reported() {
        for (compression, first, begins) in [
            (Compression::Gzip, &b"\x1f\x8b"[..], MagicMatch::TooShort),
            (Compression::Gzip, b"\x1f\x8c", MagicMatch::No),
            (Compression::Zstd, b"\x28", MagicMatch::TooShort),
            (Compression::Zstd, b"\x5f\x2a", MagicMatch::TooShort),
            (Compression::Zstd, b"\x5f\x2b", MagicMatch::No),
            (Compression::Xz, b"\xfd7zXZ\0more", MagicMatch::Yes),
        ] {
            assert_eq!(compression.begins(first), begins, "{first:?}");
        }
    }
}
