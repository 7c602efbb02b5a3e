//! An image that is verified while it is read.

use std::io::{self, Read, Seek, SeekFrom};

use super::error::VerifyError;
use super::reader::Verifier;

/// Reads an image and verifies each block against the root hash.
///
/// An invalid block is an error of the kind `InvalidData` that contains a [`VerifyError`].
#[derive(Debug)]
pub struct Checked<D, H> {
    image: D,
    verifier: Verifier<H>,
    position: u64,
    /// The last block that was read, if it is valid.
    block: Option<u64>,
    buffer: Vec<u8>,
}

impl<D: Read + Seek, H: Read + Seek> Checked<D, H> {
    /// Reads `image` with its tree.
    pub fn new(image: D, verifier: Verifier<H>) -> Self {
        Self { image, verifier, position: 0, block: None, buffer: Vec::new() }
    }

    /// The size of the image in bytes, as covered by the tree.
    pub fn size(&self) -> u64 {
        self.verifier.superblock().data_size()
    }

    fn load(&mut self, number: u64) -> Result<(), VerifyError> {
        if self.block == Some(number) {
            return Ok(());
        }
        self.block = None;
        let size = self.verifier.superblock().data_block;
        let offset = number * u64::from(size);
        self.buffer.resize(size as usize, 0);
        self.image
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.image.read_exact(&mut self.buffer))
            .map_err(|source| VerifyError::ReadData { offset, source })?;
        self.verifier.verify_block(number, &self.buffer)?;
        self.block = Some(number);
        Ok(())
    }
}

impl<D: Read + Seek, H: Read + Seek> Read for Checked<D, H> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.position >= self.size() {
            return Ok(0);
        }
        let size = u64::from(self.verifier.superblock().data_block);
        self.load(self.position / size).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let start = usize::try_from(self.position % size).expect("a block has at most 512 KiB");
        let read = out.len().min(self.buffer.len() - start);
        out[..read].copy_from_slice(&self.buffer[start..start + read]);
        self.position += read as u64;
        Ok(read)
    }
}

impl<D: Read + Seek, H: Read + Seek> Seek for Checked<D, H> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the image");
        self.position = position.ok_or_else(outside)?;
        Ok(self.position)
    }
}
