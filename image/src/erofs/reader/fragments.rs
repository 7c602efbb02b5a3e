//! Reads files that are completely in the packed inode, which contains small files and ends of files and is
//! compressed as one.
//!
//! For each such file, the library would decompress everything that was compressed together with it. Here the
//! packed inode is read in pieces, and the most recent ones are cached.
//!
//! ```text
//! inode      32 or 64 bytes, by the lowest bit of its first; then its extended attributes
//! header      8 bytes, aligned to 8; if the highest bit is set, the file is in the packed inode, at the
//!             offset in the other 63 bits
//! ```

use std::collections::VecDeque;
use std::io::{Read, Seek};
use std::sync::{Arc, PoisonError};

use erofs_rs::types::{Inode, Layout};

use super::{Reader, block_on};

/// Set in a superblock whose image has a packed inode.
const FRAGMENTS: u32 = 0x20;

/// Set in the number of an inode in the metabox, a compressed area of inodes.
const METABOX: u64 = 1 << 63;

/// Set in a header if the file is completely in the packed inode.
const WHOLE: u64 = 1 << 63;

/// How much of the packed inode is read at a time, in bytes.
const PIECE: u64 = 256 << 10;

/// How many pieces are cached: 8 MiB.
const KEPT: usize = 32;

/// The most recent pieces of the packed inode, by their number.
pub(super) type Pieces = VecDeque<(u64, Arc<Vec<u8>>)>;

/// The rest of a file in the packed inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    packed: Inode,
    /// Its offset in the packed inode.
    offset: u64,
    /// Its length in bytes.
    length: u64,
}

impl<R: Read + Seek + Send> Reader<R> {
    /// The place of a file in the packed inode, if it is completely there. All other files, also invalid
    /// ones, are left to the library.
    pub(super) fn fragment(&self, inode: &Inode) -> erofs_rs::Result<Option<Fragment>> {
        let superblock = self.filesystem.super_block();
        let (number, packed) = (inode.id(), superblock.packed_nid);
        let is_compressed =
            matches!(inode.layout(), Some(Layout::CompressedFull | Layout::CompressedCompact));
        if superblock.feature_incompat & FRAGMENTS == 0
            || !is_compressed
            || (number | packed) & METABOX != 0
            || packed == 0
            || packed == number
        {
            return Ok(None);
        }
        let table = u64::from(superblock.meta_blk_addr) << superblock.blk_size_bits;
        let Some(begin) = number.checked_mul(32).and_then(|begin| begin.checked_add(table)) else {
            return Ok(None);
        };
        let mut first = [0];
        self.backend.read_at(&mut first, begin)?;
        let size = if first[0] & 1 == 0 { 32 } else { 64 } + inode.xattr_size() as u64;
        let mut header = [0; 8];
        let header_at = begin.checked_add(size).and_then(|end| end.checked_next_multiple_of(8));
        self.backend.read_at(&mut header, header_at.unwrap_or(u64::MAX))?;
        let header = u64::from_le_bytes(header);
        if header & WHOLE == 0 {
            return Ok(None);
        }
        let packed = block_on(self.filesystem.get_inode(packed))?;
        let fragment = Fragment { packed, offset: header & !WHOLE, length: inode.data_size() };
        let end = fragment.offset.checked_add(fragment.length);
        let is_inside = end.is_some_and(|end| end <= packed.data_size());
        Ok((packed.is_file() && is_inside).then_some(fragment))
    }

    /// Reads the next bytes of a file in the packed inode.
    pub(super) fn read_fragment(
        &self,
        fragment: &mut Fragment,
        buffer: &mut [u8],
    ) -> erofs_rs::Result<usize> {
        let wanted = usize::try_from(fragment.length).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let piece = self.piece(fragment.packed, fragment.offset / PIECE)?;
        let start = usize::try_from(fragment.offset % PIECE).expect("a piece fits into memory");
        let count = wanted.min(piece.len() - start);
        buffer[..count].copy_from_slice(&piece[start..start + count]);
        fragment.offset += count as u64;
        fragment.length -= count as u64;
        Ok(count)
    }

    fn piece(&self, packed: Inode, number: u64) -> erofs_rs::Result<Arc<Vec<u8>>> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = pieces.iter().position(|(known, _)| *known == number)
            && let Some(found) = pieces.remove(place)
        {
            pieces.push_front(found.clone());
            return Ok(found.1);
        }
        let start = number * PIECE;
        let length = usize::try_from((packed.data_size() - start).min(PIECE)).expect("at most a piece");
        let mut piece = vec![0; length];
        let file = self.filesystem.open_inode_file(packed)?;
        let mut filled = 0;
        while filled < length {
            match block_on(file.read_at(&mut piece[filled..], start + filled as u64))? {
                0 => return Err(erofs_rs::Error::CorruptedData("the packed inode is too short".into())),
                count => filled += count,
            }
        }
        let piece = Arc::new(piece);
        pieces.truncate(KEPT - 1);
        pieces.push_front((number, Arc::clone(&piece)));
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, SeekFrom};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::entry::EntryKind;
    use crate::erofs::{Options, write};
    use crate::tree::{Metadata, Tree};

    /// An image that counts the bytes read.
    struct Counted(Cursor<Vec<u8>>, Arc<AtomicU64>);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.fetch_add(count as u64, Ordering::Relaxed);
            Ok(count)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(position)
        }
    }

    #[test]
    fn packed_files_are_decompressed_once() {
        let mut tree = Tree::new();
        let text =
            |number: u64| format!("file {number}\n").repeat(5 + usize::try_from(number % 300).unwrap());
        for number in 0..1500 {
            tree.insert_bytes(format!("d/{number:04}"), text(number), Metadata::new(0o644)).unwrap();
        }
        let mut options = Options::new("lz4hc".parse().unwrap(), 0);
        options.kernel = "6.1".parse().unwrap();
        let mut image = Vec::new();
        write(&tree, &options, &mut image).unwrap();
        let (length, read) = (image.len() as u64, Arc::new(AtomicU64::new(0)));
        let reader = Reader::open(Counted(Cursor::new(image), Arc::clone(&read))).unwrap();
        let entries = reader.entries().unwrap();
        let mut packed = 0;
        let before = read.load(Ordering::Relaxed);
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let number = entry.path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let mut found = String::new();
            reader.file(entry).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, text(number), "{}", entry.path.display());
            let inode = block_on(reader.filesystem.get_inode(entry.inode)).unwrap();
            packed += u64::from(reader.fragment(&inode).unwrap().is_some());
        }
        assert!(packed > 1000, "only {packed} are packed");
        let read = read.load(Ordering::Relaxed) - before;
        assert!(read < 4 * length, "{read} bytes were read of {length}");
    }
}
