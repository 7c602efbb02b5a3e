//! What a superblock says of an image: its codecs and features, and which kernel reads them.
//!
//! Where the fields lie is told in `fs/erofs/erofs_fs.h` and `fs/squashfs/squashfs_fs.h` of the kernel.

use std::io::{self, Read, Seek};

use super::{FilesystemError, Section};
use crate::erofs::{self, Checksum, SuperblockError};
use crate::format::Format;
use crate::kernel::Kernel;
use crate::probe::ProbeError;

/// What a superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The format.
    pub format: Format,
    /// How files are compressed, by the names of the algorithms on disk; none if they are not.
    pub algorithms: Vec<&'static str>,
    /// What a kernel must know to mount it, beside the algorithms.
    pub features: Vec<Feature>,
    /// The oldest kernel that knows all of this, if there is one that we know of.
    pub kernel: Option<Kernel>,
    /// Where inodes begin that are numbered by their place, in bytes from the start of the image.
    pub first_inode: Option<u64>,
    /// Size of a block in bytes.
    pub block_size: u64,
    /// Size of the image in bytes by its own account.
    pub size: u64,
    /// How many inodes it has by its own account.
    pub inodes: u64,
    /// When it was made, in seconds since 1970.
    pub timestamp: u64,
    /// The UUID of the file system, where the format has one.
    pub uuid: Option<[u8; 16]>,
    /// What the checksum of the superblock says, where the format has one.
    pub checksum: Checksum,
}

/// Algorithms that are read here.
const READABLE: [&str; 4] = ["gzip", "lz4", "xz", "zstd"];

impl Facts {
    /// Those of its algorithms that nothing here reads.
    pub(super) fn unreadable(&self) -> Vec<&'static str> {
        self.algorithms.iter().copied().filter(|name| !READABLE.contains(name)).collect()
    }
}

/// Something a kernel must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As the tools call it.
    pub name: &'static str,
    /// The kernel that learnt it; `None` if nobody here has heard of it.
    pub since: Option<Kernel>,
}

/// A bit, what it means, and the kernel that learnt it.
type Row = (u32, &'static str, (u16, u16));

/// Bits of `feature_incompat`. Two of them say one thing with compressed data, another without; the older
/// kernel is told, which is the right one for what our writer and mkfs.erofs make by default.
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

/// In an erofs image with this feature content may lie in other files.
const HAS_DEVICES: u32 = 0x8;

/// In an erofs image with this feature the algorithms are listed; before, there was only lz4.
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
        let what = format!("has its content in other files ({devices})");
        return Err(FilesystemError::Unsupported { format: Format::Erofs, what });
    }
    // One field: a distance of lz4 before, a list of algorithms since.
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
        return Err(wrong(28, "it is not of version 4.0"));
    }
    let number = half(20);
    let compressor = SQUASHFS_COMPRESSORS.iter().find(|known| known.0 == number);
    let (_, algorithm) = compressor.ok_or_else(|| wrong(20, "nobody knows its compressor"))?;
    if !READABLE.contains(algorithm) {
        let what = format!("is compressed with {algorithm}");
        return Err(FilesystemError::Unsupported { format: Format::Squashfs, what });
    }
    let block_size = word(&bytes, 12) & u64::from(u32::MAX);
    if !(4096..=1 << 20).contains(&block_size) || !block_size.is_power_of_two() {
        return Err(wrong(12, "the size of its blocks is no power of two from 4096 to 1048576"));
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

/// Eight bytes, the lowest first.
fn word(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}
