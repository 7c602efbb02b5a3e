//! Describes the use of an offset in an image, for example of the first different byte.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::dump::escape;
use crate::entry::EntryKind;
use crate::filesystem::{Filesystem, FilesystemError};
use crate::format::Format;

/// How much of two images is compared at a time, in bytes.
const PIECE: usize = 1 << 20;

/// The larger of the two sizes of an inode of erofs, in bytes.
const EROFS_INODE: u64 = 64;

/// Inodes of erofs are numbered in this many bytes.
const EROFS_SLOT: u64 = 32;

/// The part of an image that a byte belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field of the superblock.
    Superblock(&'static str),
    /// An inode, or what follows it: attributes, the index or the tail of a file.
    Inode(PathBuf),
    /// The content of a file, or its index.
    Content(PathBuf),
    /// Inodes, directories or attributes.
    Metadata,
    /// Unused space.
    Unused,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| format!("/{}", escape(path.as_os_str().as_encoded_bytes()));
        match self {
            Self::Superblock(field) => write!(f, "superblock {field}"),
            Self::Inode(path) => write!(f, "inode of {} or what follows it", shown(path)),
            Self::Content(path) => write!(f, "content of {}", shown(path)),
            Self::Metadata => f.write_str("directories, inodes or attributes"),
            Self::Unused => f.write_str("unused space"),
        }
    }
}

/// The offsets of fields in a superblock, with their names.
type Fields = &'static [(u64, &'static str)];

const EROFS_FIELDS: Fields = &[
    (0, "magic"),
    (4, "checksum"),
    (8, "compatible features"),
    (12, "block size"),
    (13, "length"),
    (14, "root directory"),
    (16, "number of inodes"),
    (24, "time"),
    (36, "number of blocks"),
    (40, "address of the inodes"),
    (44, "address of the shared attributes"),
    (48, "UUID"),
    (64, "label"),
    (80, "incompatible features"),
    (84, "algorithms"),
    (86, "devices, fragments and prefixes"),
];

/// Size of the superblock of erofs in bytes.
const EROFS_FIELDS_END: u64 = 128;

/// The name of the data after the superblock, up to the first inode, at most a few dozen bytes.
const EROFS_PARAMETERS: &str = "parameters of the algorithms";

/// The maximum end of these data, from the start of the superblock in bytes.
const EROFS_PARAMETERS_END: u64 = 256;

const SQUASHFS_FIELDS: Fields = &[
    (0, "magic"),
    (4, "number of inodes"),
    (8, "time"),
    (12, "block size"),
    (16, "number of fragments"),
    (20, "compressor"),
    (22, "block size"),
    (24, "flags"),
    (26, "number of owners"),
    (28, "version"),
    (32, "root directory"),
    (40, "length of the image"),
    (48, "addresses of the tables"),
];

/// Size of the superblock of squashfs in bytes.
const SQUASHFS_FIELDS_END: u64 = 96;

impl Place {
    /// Finds the use of an offset in bytes. The image must start at the beginning of its file. Reads content
    /// up to the file that the offset belongs to.
    pub fn find<R: Read + Seek + Send>(image: &Filesystem<R>, offset: u64) -> Result<Self, FilesystemError> {
        let (start, end, fields) = match image.facts().format {
            Format::Erofs => (Format::Erofs.superblock_offset() as u64, EROFS_FIELDS_END, EROFS_FIELDS),
            Format::Squashfs => (0, SQUASHFS_FIELDS_END, SQUASHFS_FIELDS),
        };
        if let Some(within) = offset.checked_sub(start).filter(|within| *within < end) {
            let field = fields.iter().rev().find(|(begin, _)| *begin <= within);
            return Ok(Self::Superblock(field.map_or("", |(_, name)| name)));
        }
        let trace = image.trace();
        trace.watch(offset);
        let entries = image.entries()?;
        let is_metadata = trace.is_seen();
        if let Some(first_inode) = image.facts().first_inode {
            let begin = |inode: u64| inode.checked_mul(EROFS_SLOT)?.checked_add(first_inode);
            let inodes = entries.iter().filter_map(|entry| begin(entry.inode));
            let parameters_end = inodes.fold(start + EROFS_PARAMETERS_END, u64::min);
            if (start + end..parameters_end).contains(&offset) {
                return Ok(Self::Superblock(EROFS_PARAMETERS));
            }
            let found = entries.iter().find(|entry| {
                begin(entry.inode)
                    .and_then(|begin| offset.checked_sub(begin))
                    .is_some_and(|within| within < EROFS_INODE)
            });
            if let Some(entry) = found.filter(|_| is_metadata) {
                return Ok(Self::Inode(entry.path.clone()));
            }
        }
        for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::File) {
            trace.watch(offset);
            image.content(&entry, |_| Ok::<_, FilesystemError>(()))?;
            if trace.is_seen() {
                return Ok(Self::Content(entry.path));
            }
        }
        Ok(if is_metadata { Self::Metadata } else { Self::Unused })
    }
}

/// Offset of the first byte at which two files differ, which may be the end of the shorter one.
pub fn first_difference(
    first: &mut (impl Read + Seek),
    second: &mut (impl Read + Seek),
) -> io::Result<Option<u64>> {
    first.seek(SeekFrom::Start(0))?;
    second.seek(SeekFrom::Start(0))?;
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut begin = 0;
    loop {
        one.clear();
        other.clear();
        first.by_ref().take(PIECE as u64).read_to_end(&mut one)?;
        second.by_ref().take(PIECE as u64).read_to_end(&mut other)?;
        let differing = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(at) = differing.or((one.len() != other.len()).then_some(one.len().min(other.len()))) {
            return Ok(Some(begin + at as u64));
        }
        if one.is_empty() {
            return Ok(None);
        }
        begin += one.len() as u64;
    }
}
