//! Decompresses blocks of an image: metadata blocks and fragments, of which the last few are cached, and
//! blocks of files.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use super::Fault;
use crate::squashfs::codec::Decoder;
use crate::squashfs::format::{BLOCK_STORED, METADATA, METADATA_STORED, Place};

/// How many metadata blocks are cached: half a megabyte.
const METADATA_KEPT: usize = 64;

/// How many fragments are cached, of up to a megabyte each.
const FRAGMENTS_KEPT: usize = 3;

/// How many bytes of fragments may be decompressed for the smallest image. A fragment that is no longer
/// cached is decompressed again. Without a limit, files of one byte in fragments of a megabyte could each
/// require that a hundred thousand times, which takes hours.
const UNPACK_FRAGMENTS_MIN: u64 = 2 << 30;

/// How many more bytes per byte of the image.
const UNPACK_FRAGMENTS_PER: u64 = 1024;

/// How many metadata blocks one call may decompress for the smallest image.
const UNPACK_MIN: u64 = 4096;

/// One more metadata block may be decompressed per this many bytes of the image.
const UNPACK_PER: u64 = 8;

/// How much memory in bytes the result of one call may take for the smallest image.
const KEEP_MIN: u64 = 4 << 20;

/// How many more bytes per byte of the image.
const KEEP_PER: u64 = 256;

/// The limit for all images: several million names.
const KEEP_MAX: u64 = 4 << 30;

/// The blocks of an image.
pub(super) struct Blocks<R> {
    source: R,
    /// End of the image: nothing is read from here on.
    length: u64,
    decoder: Decoder,
    packed: Vec<u8>,
    metadata: Recent<Metadata>,
    fragments: Recent<Vec<u8>>,
    /// How many more bytes of fragments all calls together may decompress.
    unpack_fragments: u64,
    /// How many more metadata blocks this call may decompress.
    unpack: u64,
    /// How much more memory the result of this call may take.
    keep: u64,
}

/// A decompressed metadata block.
struct Metadata {
    bytes: Vec<u8>,
    /// Offset of the next block.
    next: u64,
}

/// A position in a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::squashfs) struct Cursor {
    /// Offset of the metadata block in the image.
    block: u64,
    offset: usize,
    /// End of the table, or the start of the next one.
    end: u64,
}

impl<R: Read + Seek> Blocks<R> {
    pub(super) fn new(source: R, length: u64, decoder: Decoder) -> Self {
        Self {
            source,
            length,
            decoder,
            packed: Vec::new(),
            metadata: Recent::new(METADATA_KEPT),
            fragments: Recent::new(FRAGMENTS_KEPT),
            unpack_fragments: UNPACK_FRAGMENTS_MIN
                .saturating_add(length.saturating_mul(UNPACK_FRAGMENTS_PER)),
            unpack: 0,
            keep: 0,
        }
    }

    /// Resets the limits for a new call.
    pub(super) fn begin_call(&mut self) {
        self.unpack = UNPACK_MIN + self.length / UNPACK_PER;
        self.keep = result_limit(self.length);
    }

    /// Counts memory of the result of this call.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.keep.checked_sub(bytes as u64);
        self.keep = left.ok_or(Fault::Exhausted { length: self.length })?;
        Ok(())
    }

    /// A cursor at a place in the table that begins at `table` and ends before `end`.
    pub(super) fn cursor(&self, table: u64, end: u64, place: Place) -> Result<Cursor, Fault> {
        let block = table.checked_add(place.block).filter(|block| *block < end.min(self.length));
        let block =
            block.ok_or(Fault::Damaged { offset: table, what: "a reference points outside its table" })?;
        Ok(Cursor { block, offset: place.offset.into(), end: end.min(self.length) })
    }

    /// A cursor at an entry of `size` bytes in a table whose blocks are listed at `index`.
    pub(super) fn entry(&mut self, index: u64, number: u32, size: u16) -> Result<Cursor, Fault> {
        let offset = u64::from(number) * u64::from(size);
        let mut position = [0; 8];
        let index = index.saturating_add(offset / METADATA as u64 * position.len() as u64);
        self.read(index, &mut position)?;
        let offset = u16::try_from(offset % METADATA as u64).expect("less than 8 KiB");
        self.cursor(u64::from_le_bytes(position), u64::MAX, Place { block: 0, offset })
    }

    /// Fills `buffer` from a table.
    pub(super) fn fill(&mut self, cursor: &mut Cursor, buffer: &mut [u8]) -> Result<(), Fault> {
        let mut filled = 0;
        while filled < buffer.len() {
            let block = self.metadata(cursor.block, cursor.end)?;
            let rest = block.bytes.get(cursor.offset..).unwrap_or_default();
            if rest.is_empty() {
                if cursor.offset > block.bytes.len() {
                    let what = "a reference points past the end of a block";
                    return Err(Fault::Damaged { offset: cursor.block, what });
                }
                (cursor.block, cursor.offset) = (block.next, 0);
                continue;
            }
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            cursor.offset += count;
        }
        Ok(())
    }

    /// The next bytes of a table.
    pub(super) fn array<const N: usize>(&mut self, cursor: &mut Cursor) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(cursor, &mut bytes)?;
        Ok(bytes)
    }

    /// The next bytes of a table; the caller has bounded `length`.
    pub(super) fn bytes(&mut self, cursor: &mut Cursor, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        self.fill(cursor, &mut bytes)?;
        Ok(bytes)
    }

    /// Decompresses the block of a file, which must fill `buffer`.
    pub(super) fn block(&mut self, offset: u64, length: u32, buffer: &mut [u8]) -> Result<(), Fault> {
        let found = self.unpack_into(offset, length, buffer)?;
        if found == buffer.len() {
            return Ok(());
        }
        Err(Fault::Damaged { offset, what: "a block of a file is shorter than it should be" })
    }

    /// The decompressed fragment at `offset`, of at most `limit` bytes.
    pub(super) fn fragment(&mut self, offset: u64, length: u32, limit: usize) -> Result<Arc<Vec<u8>>, Fault> {
        if let Some(found) = self.fragments.get(offset) {
            return Ok(found);
        }
        if self.unpack_fragments == 0 {
            return Err(Fault::Wasteful { offset, length: self.length });
        }
        let mut buffer = vec![0; limit];
        let found = self.unpack_into(offset, length, &mut buffer)?;
        self.unpack_fragments = self.unpack_fragments.saturating_sub(found as u64);
        buffer.truncate(found);
        Ok(self.fragments.insert(offset, buffer))
    }

    /// Decompresses a block or fragment; returns how much of `buffer` it fills.
    fn unpack_into(&mut self, offset: u64, length: u32, buffer: &mut [u8]) -> Result<usize, Fault> {
        let stored = length & BLOCK_STORED != 0;
        let length = usize::try_from(length & !BLOCK_STORED).unwrap_or(usize::MAX);
        if length > buffer.len() {
            return Err(Fault::Damaged {
                offset,
                what: "a block is larger than the block size of the image",
            });
        }
        if stored {
            self.read(offset, &mut buffer[..length])?;
            return Ok(length);
        }
        self.read_packed(offset, length)?;
        self.decoder.decode(&self.packed, buffer).map_err(|source| Fault::Decode { offset, length, source })
    }

    /// The metadata block at `offset`, which must end before `end`.
    fn metadata(&mut self, offset: u64, end: u64) -> Result<Arc<Metadata>, Fault> {
        if let Some(found) = self.metadata.get(offset) {
            return Ok(found);
        }
        let left = self.unpack.checked_sub(1);
        self.unpack = left.ok_or(Fault::Exhausted { length: self.length })?;
        let damaged = |what| Fault::Damaged { offset, what };
        let mut header = [0; 2];
        self.read(offset, &mut header)?;
        let header = u16::from_le_bytes(header);
        let length = usize::from(header & !METADATA_STORED);
        let begin = offset + 2;
        let next = begin + length as u64;
        if length == 0 || length > METADATA {
            return Err(damaged("a block of a table has an invalid length"));
        }
        if next > end {
            return Err(damaged("a block of a table extends past its end"));
        }
        self.read_packed(begin, length)?;
        let bytes = if header & METADATA_STORED != 0 {
            self.packed.clone()
        } else {
            let mut bytes = vec![0; METADATA];
            let found = self.decoder.decode(&self.packed, &mut bytes).map_err(|source| Fault::Decode {
                offset: begin,
                length,
                source,
            })?;
            bytes.truncate(found);
            bytes
        };
        if bytes.is_empty() {
            return Err(damaged("a block of a table is empty"));
        }
        Ok(self.metadata.insert(offset, Metadata { bytes, next }))
    }

    fn read_packed(&mut self, offset: u64, length: usize) -> Result<(), Fault> {
        let mut packed = std::mem::take(&mut self.packed);
        packed.resize(length, 0);
        let result = self.read(offset, &mut packed);
        self.packed = packed;
        result
    }

    /// Fills `buffer` with the bytes of the image at `offset`.
    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let length = buffer.len();
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(Fault::Damaged { offset, what: "a reference points past the end of the image" });
        }
        self.source
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.source.read_exact(buffer))
            .map_err(|source| Fault::Io { offset, length, source })
    }
}

/// How much memory in bytes the result of one call may take for an image of this length.
fn result_limit(length: u64) -> u64 {
    KEEP_MIN.saturating_add(length.saturating_mul(KEEP_PER)).min(KEEP_MAX)
}

impl Cursor {
    /// Offset of the metadata block in the image.
    pub(super) fn position(&self) -> u64 {
        self.block
    }
}

/// A cache of the most recent items, by offset.
struct Recent<T> {
    kept: VecDeque<(u64, Arc<T>)>,
    capacity: usize,
}

impl<T> Recent<T> {
    fn new(capacity: usize) -> Self {
        Self { kept: VecDeque::with_capacity(capacity), capacity }
    }

    fn get(&mut self, offset: u64) -> Option<Arc<T>> {
        let position = self.kept.iter().position(|(known, _)| *known == offset)?;
        let found = self.kept.remove(position)?;
        let value = Arc::clone(&found.1);
        self.kept.push_front(found);
        Some(value)
    }

    fn insert(&mut self, offset: u64, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.kept.truncate(self.capacity - 1);
        self.kept.push_front((offset, Arc::clone(&value)));
        value
    }
}

/// Two bytes of a record whose length is known.
pub(super) fn get_16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

/// Four bytes of a record whose length is known.
pub(super) fn get_32(bytes: &[u8], offset: usize) -> u32 {
    u32::from(get_16(bytes, offset)) | u32::from(get_16(bytes, offset + 2)) << 16
}

/// Eight bytes of a record whose length is known.
pub(super) fn get_64(bytes: &[u8], offset: usize) -> u64 {
    u64::from(get_32(bytes, offset)) | u64::from(get_32(bytes, offset + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use crate::entry::EntryKind;
    use crate::squashfs::{Options, ReadError, Reader, write};
    use crate::tree::{Metadata, Tree};

    #[test]
    fn the_memory_for_names_is_bounded() {
        assert_eq!(super::result_limit(1 << 20), (4 << 20) + (256 << 20));
        assert_eq!((super::result_limit(100 << 20), super::result_limit(u64::MAX)), (4 << 30, 4 << 30));
    }

    /// The tails of four files have a fragment each, one more than are cached.
    #[test]
    fn decompression_of_fragments_is_bounded() {
        let mut tree = Tree::new();
        for name in ["a", "b", "c", "d"] {
            tree.insert_bytes(name, name.repeat(600_000), Metadata::new(0o644)).unwrap();
        }
        let mut image = Vec::new();
        let mut options = Options::new("gzip".parse().unwrap(), 0);
        options.block_size = 1 << 20;
        write(&tree, &options, &mut image).unwrap();
        let reader = Reader::open(Cursor::new(image)).unwrap();
        let entries = reader.entries().unwrap();
        let files: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::File).collect();
        let round = || files.iter().try_for_each(|entry| reader.read(&entry.path, 1 << 20).map(drop));
        round().unwrap();
        assert!(reader.lock().unpack_fragments >= super::UNPACK_FRAGMENTS_MIN);
        reader.lock().unpack_fragments = 10 * 600_000;
        round().and_then(|()| round()).unwrap();
        let error = round().unwrap_err();
        let ReadError::Content { source, .. } = &error else { panic!("{error}") };
        let words = source.to_string();
        assert!(words.contains("needed again and again") && words.contains("at offset "), "{words}");
    }
}
