//! A part of an image that is read like a file of its own.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A range of a shared image, with a position of its own.
#[derive(Debug)]
pub struct Window<R> {
    image: Arc<Mutex<R>>,
    range: Range<u64>,
    position: u64,
}

impl<R> Window<R> {
    pub(super) fn new(image: &Arc<Mutex<R>>, range: Range<u64>) -> Self {
        Self { image: Arc::clone(image), range, position: 0 }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Its range in the image, in bytes.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }
}

impl<R> Clone for Window<R> {
    /// The clone is at its start.
    fn clone(&self) -> Self {
        Self::new(&self.image, self.range.clone())
    }
}

impl<R: Read + Seek> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.size().saturating_sub(self.position);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image.seek(SeekFrom::Start(self.range.start + self.position))?;
        let read = image.read(&mut out[..most])?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<R> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let outside =
            || io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the partition");
        self.position = position.ok_or_else(outside)?;
        Ok(self.position)
    }
}
