//! The outputs of an image. Its bytes are produced twice: once to compute the UUID, once to write them.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::WriteError;
use crate::erofs::format::{BLOCK, BLOCK_USIZE};
use crate::progress::Progress;
use crate::spool::Spool;
use crate::tree::Content;

/// How much of a file is in memory at once while it is copied.
const COPY: usize = 256 * 1024;

/// Receives the bytes of an image, in order.
pub(super) trait Output: Sized {
    /// The number of bytes so far.
    fn position(&self) -> u64;

    /// A buffer for copying content.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Writes bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError>;

    /// Writes a range of the content of the file `path`.
    fn content(&mut self, path: &Path, content: &Content, range: Range<u64>) -> Result<(), WriteError> {
        let failed = |source| WriteError::Content { path: path.to_owned(), source };
        let mut opened = content.open().map_err(failed)?;
        opened.seek(SeekFrom::Start(range.start)).map_err(|error| failed(content.unreadable(error)))?;
        let end = range.end;
        self.copy(range, |offset, part| content.fill(&mut opened, offset, part).map_err(failed))?;
        if end == content.size() { content.at_end(&mut opened).map_err(failed) } else { Ok(()) }
    }

    /// Writes a range of the spool.
    fn spooled(&mut self, spool: &Spool, range: Range<u64>) -> Result<(), WriteError> {
        self.copy(range, |offset, part| Ok(spool.read(offset, part)?))
    }

    /// Copies `range` through the buffer, which `fill` fills with the bytes at an offset.
    fn copy(
        &mut self,
        range: Range<u64>,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let mut buffer = std::mem::take(self.buffer());
        let mut offset = range.start;
        let mut result = Ok(());
        while offset < range.end && result.is_ok() {
            let length = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
            let part = &mut buffer[..length];
            result = fill(offset, part).and_then(|()| self.bytes(part));
            offset += length as u64;
        }
        *self.buffer() = buffer;
        result
    }

    /// Writes zeros up to `position`.
    fn pad_to(&mut self, position: u64) -> Result<(), WriteError> {
        const ZEROS: [u8; BLOCK_USIZE] = [0; BLOCK_USIZE];
        while self.position() < position {
            let rest = usize::try_from(position - self.position()).unwrap_or(usize::MAX);
            self.bytes(&ZEROS[..rest.min(ZEROS.len())])?;
        }
        Ok(())
    }

    /// Writes zeros up to the end of the block.
    fn pad(&mut self) -> Result<(), WriteError> {
        self.pad_to(self.position().next_multiple_of(BLOCK))
    }
}

/// Counts bytes, and hashes all except compressed ones, whose digest is already known.
pub(super) struct Measure<'a> {
    progress: &'a Progress,
    position: u64,
    digest: Sha256,
    buffer: Vec<u8>,
}

impl<'a> Measure<'a> {
    /// Starts at `position`.
    pub(super) fn new(position: u64, progress: &'a Progress) -> Self {
        Self { progress, position, digest: Sha256::new(), buffer: vec![0; COPY] }
    }

    /// Hashes bytes that are not part of the image.
    pub(super) fn salt(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The digest of all hashed bytes.
    pub(super) fn digest(self) -> [u8; 32] {
        self.digest.finalize().into()
    }
}

impl Output for Measure<'_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.digest.update(bytes);
        self.position += bytes.len() as u64;
        self.progress.add(bytes.len() as u64);
        Ok(())
    }

    fn spooled(&mut self, _: &Spool, range: Range<u64>) -> Result<(), WriteError> {
        self.position += range.end - range.start;
        self.progress.add(range.end - range.start);
        Ok(())
    }
}

/// Collects the bytes of the first block.
#[derive(Default)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    buffer: Vec<u8>,
}

impl Output for Head {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.resize(BLOCK_USIZE, 0);
        &mut self.buffer
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes the image and hashes all of it.
pub(super) struct Image<'a, W> {
    out: W,
    progress: &'a Progress,
    position: u64,
    digest: Sha256,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Image<'a, W> {
    pub(super) fn new(out: W, progress: &'a Progress) -> Self {
        Self { out, progress, position: 0, digest: Sha256::new(), buffer: vec![0; COPY] }
    }

    /// Size and digest of the image.
    pub(super) fn finish(mut self) -> Result<(u64, [u8; 32]), WriteError> {
        self.out.flush().map_err(|source| WriteError::Output { offset: self.position, source })?;
        Ok((self.position, self.digest.finalize().into()))
    }
}

impl<W: Write> Output for Image<'_, W> {
    fn position(&self) -> u64 {
        self.position
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(|source| WriteError::Output { offset: self.position, source })?;
        self.digest.update(bytes);
        self.position += bytes.len() as u64;
        self.progress.add(bytes.len() as u64);
        Ok(())
    }
}
