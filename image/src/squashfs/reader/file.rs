//! Reads the content of a file, block by block.

use std::fmt;
use std::io::{self, Read, Seek};

use super::blocks::{get_32, get_64};
use super::inode::File;
use super::{Fault, Reader};
use crate::squashfs::format::{BLOCK_STORED, Tail};

/// The content of a file in an image.
pub struct FileReader<'a, R: Read + Seek + Send> {
    reader: &'a Reader<R>,
    file: File,
    /// Bytes of the file that were decompressed.
    unpacked: u64,
    /// Offset of the next block.
    next: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were returned.
    taken: usize,
}

impl<'a, R: Read + Seek + Send> FileReader<'a, R> {
    pub(super) fn new(reader: &'a Reader<R>, file: File) -> Self {
        let next = file.start;
        Self { reader, file, unpacked: 0, next, buffer: Vec::new(), taken: 0 }
    }

    /// Decompresses the next block or the tail.
    fn unpack(&mut self) -> Result<(), Fault> {
        let block = 1 << self.reader.superblock.block_log;
        let left = self.file.size - self.unpacked;
        let length = usize::try_from(left.min(block)).expect("no more than a block");
        self.buffer.clear();
        self.taken = 0;
        match self.file.tail {
            Some(tail) if left < block => self.unpack_tail(tail, length)?,
            _ => self.unpack_block(length)?,
        }
        self.unpacked += length as u64;
        Ok(())
    }

    fn unpack_block(&mut self, length: usize) -> Result<(), Fault> {
        let mut blocks = self.reader.lock();
        let mut lengths = self.file.lengths;
        let packed = u32::from_le_bytes(blocks.array(&mut lengths)?);
        let mut buffer = vec![0; length];
        if packed != 0 {
            blocks.block(self.next, packed, &mut buffer)?;
        }
        self.next = self.next.saturating_add((packed & !BLOCK_STORED).into());
        self.file.lengths = lengths;
        self.buffer = buffer;
        Ok(())
    }

    fn unpack_tail(&mut self, tail: Tail, length: usize) -> Result<(), Fault> {
        let superblock = &self.reader.superblock;
        let offset = superblock.fragment_table;
        if tail.fragment >= superblock.fragments {
            return Err(Fault::Damaged {
                offset,
                what: "the tail of a file is in a fragment that does not exist",
            });
        }
        let mut blocks = self.reader.lock();
        let mut cursor = blocks.entry(offset, tail.fragment, 16)?;
        let entry: [u8; 16] = blocks.array(&mut cursor)?;
        let offset = get_64(&entry, 0);
        let fragment = blocks.fragment(offset, get_32(&entry, 8), 1 << superblock.block_log)?;
        let start = usize::try_from(tail.offset).unwrap_or(usize::MAX);
        let found = fragment.get(start..).and_then(|rest| rest.get(..length));
        let found =
            found.ok_or(Fault::Damaged { offset, what: "a tail extends past the end of its fragment" })?;
        self.buffer.extend_from_slice(found);
        Ok(())
    }
}

impl<R: Read + Seek + Send> Read for FileReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() && self.unpacked < self.file.size && !buffer.is_empty() {
            self.unpack().map_err(|fault| match fault {
                Fault::Io { source, .. } => source,
                fault => io::Error::new(io::ErrorKind::InvalidData, fault),
            })?;
        }
        let count = buffer.len().min(self.buffer.len() - self.taken);
        buffer[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

impl<R: Read + Seek + Send> fmt::Debug for FileReader<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("size", &self.file.size).finish_non_exhaustive()
    }
}
