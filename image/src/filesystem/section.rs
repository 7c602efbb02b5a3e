//! A part of a file that is read like a file of its own, and that records where it was read.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A part of a file or another seekable source.
#[derive(Debug)]
pub struct Section<R> {
    source: R,
    start: u64,
    length: u64,
    position: u64,
    trace: Trace,
}

/// Records where a section was read last, for error messages, and whether a certain byte was read.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Traced>);

#[derive(Debug, Default)]
struct Traced {
    last: AtomicU64,
    watched: AtomicU64,
    is_seen: AtomicBool,
}

impl Trace {
    /// Offset in bytes at which the last read began, from the start of the file.
    pub fn offset(&self) -> u64 {
        self.0.last.load(Ordering::Relaxed)
    }

    /// Starts to watch for reads of the byte at this offset from the start of the file.
    pub fn watch(&self, offset: u64) {
        self.0.watched.store(offset, Ordering::Relaxed);
        self.0.is_seen.store(false, Ordering::Relaxed);
    }

    /// Whether the watched byte was read.
    pub fn is_seen(&self) -> bool {
        self.0.is_seen.load(Ordering::Relaxed)
    }

    fn read(&self, offset: u64, length: u64) {
        self.0.last.store(offset, Ordering::Relaxed);
        let watched = self.0.watched.load(Ordering::Relaxed);
        if watched.checked_sub(offset).is_some_and(|ahead| ahead < length) {
            self.0.is_seen.store(true, Ordering::Relaxed);
        }
    }
}

impl<R> Section<R> {
    /// The `length` bytes of `source` from `start` on. The source may be shorter.
    pub fn new(source: R, start: u64, length: u64) -> Self {
        let length = length.min(u64::MAX - start);
        Self { source, start, length, position: 0, trace: Trace::default() }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The trace of this section, which stays valid after the section is moved.
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// The source.
    pub fn into_inner(self) -> R {
        self.source
    }
}

impl<R: Read + Seek> Read for Section<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        // Cannot overflow: the position is below the length, and `start + length` fits.
        let offset = self.start + self.position;
        self.trace.read(offset, wanted as u64);
        self.source.seek(SeekFrom::Start(offset))?;
        let count = self.source.read(&mut buffer[..wanted])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R> Seek for Section<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_section_is_bounded_and_traces_reads() {
        let mut section = Section::new(Cursor::new(b"0123456789".to_vec()), 2, 5);
        let trace = section.trace();
        let mut text = String::new();
        section.read_to_string(&mut text).unwrap();
        assert_eq!(text, "23456");
        assert_eq!(section.seek(SeekFrom::End(-2)).unwrap(), 3);
        let mut two = [0; 4];
        assert_eq!(section.read(&mut two).unwrap(), 2);
        assert_eq!((&two[..2], trace.offset()), (&b"56"[..], 5));
        assert_eq!(section.seek(SeekFrom::Start(99)).unwrap(), 99);
        assert_eq!(section.read(&mut two).unwrap(), 0);
        assert!(section.seek(SeekFrom::Current(-100)).is_err());
    }

    #[test]
    fn a_section_beyond_its_source_does_not_overflow() {
        let mut section = Section::new(Cursor::new(b"0123".to_vec()), u64::MAX - 1, u64::MAX);
        assert_eq!(section.length(), 1);
        assert_eq!(section.read(&mut [0; 4]).unwrap(), 0);
    }
}
