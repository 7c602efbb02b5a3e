//! The properties of an image from its superblock: codecs, features and the kernel that supports them.
//!
//! The offsets of the fields are from `fs/erofs/erofs_fs.h` and `fs/squashfs/squashfs_fs.h` of the kernel.

use std::io::{self, Read, Seek};

use super::{FilesystemError, Section};
use crate::erofs::{self, Checksum, SuperblockError};
use crate::format::Format;
use crate::kernel::Kernel;
use crate::probe::ProbeError;

/// The properties of an image from its superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file system format.
    pub format: Format,
    /// The compression algorithms in use, by their names on disk; empty without compression.
    pub algorithms: Vec<&'static str>,
    /// The features that a kernel must support to mount it, apart from the algorithms.
    pub features: Vec<Feature>,
    /// The oldest kernel that supports all of them, if all are known.
    pub kernel: Option<Kernel>,
    /// The offset in bytes of inode 0, if inodes are numbered by their place.
    pub first_inode: Option<u64>,
    /// Size of a block in bytes.
    pub block_size: u64,
    /// Size of the image in bytes, from its superblock.
    pub size: u64,
    /// The number of inodes, from its superblock.
    pub inodes: u64,
    /// The time of the image, in seconds since 1970.
    pub timestamp: u64,
    /// The UUID of the file system, where the format has one.
    pub uuid: Option<[u8; 16]>,
    /// Whether the checksum of the superblock is correct, where the format has one.
    pub checksum: Checksum,
}

/// Algorithms that the readers here support.
const READABLE: [&str; 5] = ["deflate", "gzip", "lz4", "xz", "zstd"];

impl Facts {
    /// The algorithms that the readers here do not support.
    pub(super) fn unreadable(&self) -> Vec<&'static str> {
        self.algorithms.iter().copied().filter(|name| !READABLE.contains(name)).collect()
    }
}

/// A feature that a kernel must support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name in the tools of the format.
    pub name: &'static str,
    /// The first kernel that supports it; `None` if it is unknown.
    pub since: Option<Kernel>,
}

/// A bit, its name, and the first kernel that supports it.
type Row = (u32, &'static str, (u16, u16));

/// Bits of `feature_incompat`. Two of them have another meaning without compressed data. The older kernel is
/// listed, which is correct for what our writer and mkfs.erofs write by default.
const EROFS_FEATURES: [Row; 9] = [
    (0x1, "lz4-0padding", (5, 4)),
    (0x2, "big-pcluster", (5, 13)),
    (0x4, "chunked-file", (5, 15)),
    (0x8, "device-table", (5, 16)),
    (0x10, "ztailpacking", (5, 17)),
    (0x20, "fragments", (6, 1)),
    (0x40, "xattr-prefixes", (6, 4)),
    (0x80, "48bit", (6, 15)),
    (0x100, "metabox", (6, 17)),
];

/// Bits of `available_compr_algs`.
const EROFS_ALGORITHMS: [Row; 4] = [
    (1 << 0, "lz4", (5, 4)),
    (1 << 1, "microlzma", (5, 16)),
    (1 << 2, "deflate", (6, 6)),
    (1 << 3, "zstd", (6, 10)),
];

/// With this feature of erofs, content may be on other devices.
const HAS_DEVICES: u32 = 0x8;

/// With this feature of erofs, the algorithms are listed; without it there is only lz4.
const LISTS_ALGORITHMS: u32 = 0x2;

/// Compressors of squashfs by their number. The newest, zstd, came with 4.14.
const SQUASHFS_COMPRESSORS: [(u16, &str); 6] =
    [(1, "gzip"), (2, "lzma"), (3, "lzo"), (4, "xz"), (5, "lz4"), (6, "zstd")];

/// Size of the superblock of squashfs in bytes.
const SQUASHFS_SUPERBLOCK: usize = 96;

pub(super) fn erofs<R: Read + Seek>(image: &mut Section<R>) -> Result<Facts, FilesystemError> {
    let superblock = erofs::Superblock::read(image).map_err(|error| match error {
        SuperblockError::Invalid { offset, defect } => {
            FilesystemError::Superblock { format: Format::Erofs, offset, defect }
        }
        SuperblockError::Read { offset, source } => FilesystemError::Probe(ProbeError { offset, source }),
    })?;
    let incompat = superblock.features;
    let devices = superblock.devices;
    if incompat & HAS_DEVICES != 0 && devices != 0 {
        let what = format!("has content on other devices ({devices})");
        return Err(FilesystemError::Unsupported { format: Format::Erofs, what });
    }
    // The field is a list of algorithms with the feature, and the distance of lz4 without it.
    let listed = u32::from(superblock.algorithms);
    let bits =
        if incompat & LISTS_ALGORITHMS != 0 { listed } else { u32::from(incompat & 1 != 0 || listed != 0) };
    let named = |rows: &[Row], bits: u32| -> Vec<Feature> {
        let known = rows.iter().fold(0, |sum, row| sum | row.0);
        let unknown = (bits & !known != 0).then_some(Feature { name: "unknown", since: None });
        let set = rows.iter().filter(|row| bits & row.0 != 0);
        set.map(|row| Feature { name: row.1, since: Some(row.2.into()) }).chain(unknown).collect()
    };
    let algorithms = named(&EROFS_ALGORITHMS, bits);
    let features = named(&EROFS_FEATURES, incompat);
    let needed = |feature: &Feature| feature.since;
    let kernel = algorithms
        .iter()
        .chain(&features)
        .map(needed)
        .try_fold(Kernel::DEFAULT, |most, since| Some(most.max(since?)));
    Ok(Facts {
        format: Format::Erofs,
        algorithms: algorithms.iter().map(|algorithm| algorithm.name).collect(),
        features,
        kernel,
        first_inode: u64::from(superblock.metadata_block).checked_mul(superblock.block_size),
        block_size: superblock.block_size,
        size: superblock.size,
        inodes: superblock.inodes,
        timestamp: superblock.timestamp,
        uuid: Some(superblock.uuid),
        checksum: superblock.checksum,
    })
}

pub(super) fn squashfs<R: Read + Seek>(image: &mut Section<R>) -> Result<Facts, FilesystemError> {
    let wrong = |offset, defect| FilesystemError::Superblock { format: Format::Squashfs, offset, defect };
    let mut bytes = [0; SQUASHFS_SUPERBLOCK];
    image.rewind().and_then(|()| image.read_exact(&mut bytes)).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => wrong(0, "the image ends inside it"),
        _ => FilesystemError::Probe(ProbeError { offset: 0, source }),
    })?;
    let half = |offset: usize| u16::from_le_bytes([bytes[offset], bytes[offset + 1]]);
    if (half(28), half(30)) != (4, 0) {
        return Err(wrong(28, "its version is not 4.0"));
    }
    let number = half(20);
    let compressor = SQUASHFS_COMPRESSORS.iter().find(|known| known.0 == number);
    let (_, algorithm) = compressor.ok_or_else(|| wrong(20, "its compressor is unknown"))?;
    if !READABLE.contains(algorithm) {
        let what = format!("is compressed with {algorithm}");
        return Err(FilesystemError::Unsupported { format: Format::Squashfs, what });
    }
    let block_size = word(&bytes, 12) & u64::from(u32::MAX);
    if !(4096..=1 << 20).contains(&block_size) || !block_size.is_power_of_two() {
        return Err(wrong(12, "its block size is not a power of two from 4096 to 1048576"));
    }
    let size = word(&bytes, 40);
    Ok(Facts {
        format: Format::Squashfs,
        algorithms: vec![algorithm],
        features: Vec::new(),
        kernel: Some(Kernel::DEFAULT),
        first_inode: None,
        block_size,
        size,
        inodes: word(&bytes, 4) & u64::from(u32::MAX),
        timestamp: word(&bytes, 8) & u64::from(u32::MAX),
        uuid: None,
        checksum: Checksum::Absent,
    })
}

/// Eight bytes, little-endian.
fn word(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}
