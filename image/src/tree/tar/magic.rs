//! What a file is by its first bytes: its name says nothing here.

use std::fmt;

/// How an archive is compressed that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Gzip, also of several members.
    Gzip,
    /// XZ, also of several streams.
    Xz,
    /// Zstandard, also of several frames.
    Zstd,
}

/// What an archive is that is not read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
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

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, so that it may be a tar archive.
    Plain,
    Compressed(Compression),
    Foreign(Foreign),
}

/// How many bytes tell all kinds apart.
pub(super) const MAGIC_MAX: usize = 11;

/// The first bytes of a bzip2 file are text that a file's name may begin with; behind the digit for the
/// size of its blocks is the magic of a block, or of the end.
const BZIP2_BLOCKS: [[u8; 6]; 2] =
    [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

/// What begins with these bytes is not read here.
const FOREIGN: [(&[u8], Foreign); 8] = [
    (&[0x1f, 0x9d], Foreign::Compress),
    (b"!<arch>\ndeb", Foreign::Debian),
    (&[0x04, 0x22, 0x4d, 0x18], Foreign::Lz4),
    (b"LZIP\x01", Foreign::Lzip),
    (&[0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a], Foreign::Lzop),
    (&[0xed, 0xab, 0xee, 0xdb], Foreign::Rpm),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], Foreign::SevenZip),
    (b"PK\x03\x04", Foreign::Zip),
];

impl Kind {
    pub(super) fn of(first: &[u8]) -> Self {
        if let [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] = first
            && BZIP2_BLOCKS.iter().any(|magic| rest.starts_with(magic))
        {
            return Self::Foreign(Foreign::Bzip2);
        }
        if let Some((_, foreign)) = FOREIGN.into_iter().find(|(magic, _)| first.starts_with(magic)) {
            return Self::Foreign(foreign);
        }
        let begins = |compression: &Compression| compression.begins(first) == Begins::Yes;
        let mut known = [Compression::Gzip, Compression::Xz, Compression::Zstd].into_iter();
        known.find(begins).map_or(Self::Plain, Self::Compressed)
    }
}

/// Whether some bytes are the first of compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Yes,
    No,
    /// There are too few of them to tell.
    CutShort,
}

impl Compression {
    /// Whether what begins with `first` is compressed so. Of zstd a frame may be there only to be skipped.
    pub(super) fn begins(self, first: &[u8]) -> Begins {
        let is = |magic: &[u8], masked: u8| {
            let same = |(at, byte): (usize, &u8)| byte & if at == 0 { !masked } else { 0xff } == magic[at];
            match first.iter().take(magic.len()).enumerate().all(same) {
                true if first.len() < magic.len() => Begins::CutShort,
                true => Begins::Yes,
                false => Begins::No,
            }
        };
        match self {
            Self::Gzip => is(&[0x1f, 0x8b, 8], 0),
            Self::Xz => is(&[0xfd, b'7', b'z', b'X', b'Z', 0], 0),
            Self::Zstd => match is(&[0x28, 0xb5, 0x2f, 0xfd], 0) {
                Begins::No => is(&[0x50, 0x2a, 0x4d, 0x18], 0x0f),
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

impl fmt::Display for Foreign {
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

impl Foreign {
    /// How to make something of it that is read here.
    pub(super) fn way_out(self) -> &'static str {
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
    fn names_that_look_like_other_formats_are_names() {
        for (first, kind) in [
            (&b"BZh9readme\0"[..], Kind::Plain),
            (b"BZh91AY&SY\0", Kind::Foreign(Foreign::Bzip2)),
            (b"BZh1\x17\x72\x45\x38\x50\x90\0", Kind::Foreign(Foreign::Bzip2)),
            (b"LZIPPED\0", Kind::Plain),
            (b"PK\0", Kind::Plain),
            (b"PK\x03\x04", Kind::Foreign(Foreign::Zip)),
            (b"7z/\0", Kind::Plain),
            (b"!<arch>\n\0", Kind::Plain),
            (b"!<arch>\ndebian-binary", Kind::Foreign(Foreign::Debian)),
            (b"\x1f\x8b\x08", Kind::Compressed(Compression::Gzip)),
            (b"\x1f\x8b\x07", Kind::Plain),
            (b"\x1f\x8b", Kind::Plain),
            (b"\xfd7zXZ\0", Kind::Compressed(Compression::Xz)),
            (b"\x28\xb5\x2f\xfd", Kind::Compressed(Compression::Zstd)),
            (b"\x5e\x2a\x4d\x18", Kind::Compressed(Compression::Zstd)),
            (b"\x6e\x2a\x4d\x18", Kind::Plain),
            (b"", Kind::Plain),
        ] {
            assert_eq!(Kind::of(first), kind, "{first:?}");
        }
    }

    #[test]
    fn too_few_bytes_to_tell_are_told_from_others() {
        for (compression, first, begins) in [
            (Compression::Gzip, &b"\x1f\x8b"[..], Begins::CutShort),
            (Compression::Gzip, b"\x1f\x8c", Begins::No),
            (Compression::Zstd, b"\x28", Begins::CutShort),
            (Compression::Zstd, b"\x5f\x2a", Begins::CutShort),
            (Compression::Zstd, b"\x5f\x2b", Begins::No),
            (Compression::Xz, b"\xfd7zXZ\0more", Begins::Yes),
        ] {
            assert_eq!(compression.begins(first), begins, "{first:?}");
        }
    }
}
