//! The packed inode: small files and ends of files, one after the other, compressed as if they
//! were one file without a name. Their inodes hold offsets into it.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::WriteError;
use super::layout::Item;
use crate::tree::{Content, Kind, Metadata, Node};

/// What the packed inode is made of, without the content itself.
#[derive(Debug, Default)]
pub(super) struct Packed<'a> {
    pieces: Vec<Piece<'a>>,
    length: u64,
    /// Where ends of files lie, by their digest.
    tails: HashMap<[u8; 32], u64>,
}

/// A file from an offset to its end.
#[derive(Debug)]
struct Piece<'a> {
    /// Where it starts in the packed inode.
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

    /// Adds a file from `offset` to its end, and returns where it lies.
    pub(super) fn add(&mut self, item: usize, content: &'a Content, offset: u64) -> u64 {
        let start = self.length;
        self.length += content.size() - offset;
        self.pieces.push(Piece { start, item, content, offset });
        start
    }

    /// The same for the end of a file with this digest, unless an equal one is there.
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

    /// The file that lies at `offset`, for errors.
    pub(super) fn path(&self, offset: u64, items: &[Item<'_>]) -> PathBuf {
        items[self.pieces[self.piece_at(offset)].item].path.clone()
    }

    /// Reads from the files what lies from `offset` on. `items` are those that were added.
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

/// What the packed inode is in the tree: nothing that has a name.
pub(super) fn node() -> Node {
    Node { metadata: Metadata::new(0), kind: Kind::File(Content::Bytes([].into())) }
}
