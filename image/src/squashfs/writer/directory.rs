//! Writes the listing of a directory: runs of names that share a header, and indexes of the listing.

use super::error::WriteError;
use super::metadata::Table;
use crate::squashfs::codec::Encoder;
use crate::squashfs::format::{DIRECTORY_ENTRY, DIRECTORY_HEADER, DIRECTORY_RUN, InodeType, METADATA, Place};

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: Place,
    pub(super) number: u32,
    pub(super) inode_type: InodeType,
}

/// The start of a run, so that a name in a long listing is found without reading all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index<'a> {
    /// Offset of the run in the listing.
    offset: u32,
    /// Position of its metadata block.
    block: u32,
    /// Its first name.
    name: &'a [u8],
}

/// A written listing.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    pub(super) place: Place,
    /// Its length in bytes.
    pub(super) length: u32,
    pub(super) indexes: Vec<Index<'a>>,
}

impl Index<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.name.len() - 1).expect("a name has at most 255 bytes");
        for field in [self.offset, self.block, length] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(self.name);
    }
}

/// Appends a listing of `names`, which are sorted, to the table of directories.
pub(super) fn write<'a>(
    names: &[Name<'a>],
    table: &mut Table,
    encoder: &mut Encoder,
) -> Result<Listing<'a>, WriteError> {
    let mut listing = Listing { place: table.place(), length: 0, indexes: Vec::new() };
    let mut indexed = listing.place.block;
    let mut rest = names;
    while let Some(first) = rest.first() {
        let at = table.place();
        let block = table_position(at.block)?;
        if at.block != indexed {
            indexed = at.block;
            listing.indexes.push(Index { offset: listing.length, block, name: first.name });
        }
        let (run, later) = rest.split_at(run(rest, METADATA - usize::from(at.offset)));
        rest = later;
        let bytes = encode(run)?;
        table.append(&bytes, encoder)?;
        let length = u32::try_from(bytes.len()).expect("a run is not much longer than a metadata block");
        // The size of a directory is a little more than its length, in 32 bits.
        listing.length =
            listing.length.checked_add(length).filter(|length| *length < u32::MAX - 8).ok_or(
                WriteError::TooMany { what: "bytes of names in one directory", limit: u32::MAX.into() },
            )?;
    }
    Ok(listing)
}

/// How many of `names` share a header: their inodes are in one metadata block, their numbers are close, and
/// they begin before the metadata block of the header ends.
fn run(names: &[Name<'_>], room: usize) -> usize {
    let first = &names[0];
    let mut length = DIRECTORY_HEADER;
    names
        .iter()
        .take(DIRECTORY_RUN)
        .take_while(|name| {
            let begins_here = length < room || length == DIRECTORY_HEADER;
            length += DIRECTORY_ENTRY + name.name.len();
            begins_here && name.inode.block == first.inode.block && distance(first, name).is_some()
        })
        .count()
}

fn distance(from: &Name<'_>, to: &Name<'_>) -> Option<i16> {
    i16::try_from(i64::from(to.number) - i64::from(from.number)).ok()
}

fn encode(run: &[Name<'_>]) -> Result<Vec<u8>, WriteError> {
    let first = &run[0];
    let count = u32::try_from(run.len() - 1).expect("a run has at most 256 names");
    let mut out = Vec::new();
    for field in [count, table_position(first.inode.block)?, first.number] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for name in run {
        let distance = distance(first, name).expect("the run ends before the distance is too large");
        let length = u16::try_from(name.name.len() - 1).expect("a name has at most 255 bytes");
        out.extend_from_slice(&name.inode.offset.to_le_bytes());
        out.extend_from_slice(&distance.to_le_bytes());
        out.extend_from_slice(&(name.inode_type as u16).to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(name.name);
    }
    Ok(out)
}

/// A position in the tables of inodes and directories, which have 32 bits for it.
fn table_position(position: u64) -> Result<u32, WriteError> {
    u32::try_from(position)
        .map_err(|_| WriteError::TooMany { what: "bytes in a table", limit: u32::MAX.into() })
}
