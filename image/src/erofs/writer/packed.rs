//! The packed inode: small files and ends of files, which are compressed like one unnamed file. Their inodes
//! contain offsets into it.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::WriteError;
use super::layout::Item;
use crate::tree::{Content, Kind, Metadata, Node};

/// The parts of the packed inode, without their content.
#[derive(Debug, Default)]
pub(super) struct Packed<'a> {
    pieces: Vec<Piece<'a>>,
    length: u64,
    /// Offsets of tails, by their digest.
    tails: HashMap<[u8; 32], u64>,
}

/// A file from an offset to its end.
#[derive(Debug)]
struct Piece<'a> {
    /// Its offset in the packed inode.
    start: u64,
    /// Position of the file's item.
    item: usize,
    content: &'a Content,
    offset: u64,
}

impl<'a> Packed<'a> {
    /// Length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds a file from `offset` to its end. Returns the offset in the packed inode.
    pub(super) fn add(&mut self, item: usize, content: &'a Content, offset: u64) -> u64 {
        let start = self.length;
        self.length += content.size() - offset;
        self.pieces.push(Piece { start, item, content, offset });
        start
    }

    /// Adds the tail of a file with this digest, or returns the offset of an equal one.
    pub(super) fn add_tail(
        &mut self,
        item: usize,
        content: &'a Content,
        offset: u64,
        digest: [u8; 32],
    ) -> u64 {
        if let Some(start) = self.tails.get(&digest) {
            return *start;
        }
        let start = self.add(item, content, offset);
        self.tails.insert(digest, start);
        start
    }

    /// The path of the file at `offset`, for errors.
    pub(super) fn path(&self, offset: u64, items: &[Item<'_>]) -> PathBuf {
        items[self.pieces[self.piece_at(offset)].item].path.clone()
    }

    /// Reads from `offset` on, from the files. `items` are those of the added files.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8], items: &[Item<'_>]) -> Result<(), WriteError> {
        let mut first = self.piece_at(offset);
        let mut filled = 0;
        while filled < buffer.len() {
            let piece = &self.pieces[first];
            let skipped = offset + filled as u64 - piece.start;
            let rest = piece.content.size() - piece.offset - skipped;
            let length = (buffer.len() - filled).min(usize::try_from(rest).unwrap_or(usize::MAX));
            piece
                .content
                .read_at(piece.offset + skipped, &mut buffer[filled..filled + length])
                .map_err(|source| WriteError::Content { path: items[piece.item].path.clone(), source })?;
            filled += length;
            first += 1;
        }
        Ok(())
    }

    fn piece_at(&self, offset: u64) -> usize {
        self.pieces.partition_point(|piece| piece.start <= offset).saturating_sub(1)
    }
}

/// The node of the packed inode, which is not in the tree.
pub(super) fn node() -> Node {
    Node { metadata: Metadata::new(0), kind: Kind::File(Content::Bytes([].into())) }
}
