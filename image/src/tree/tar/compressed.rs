//! Decompresses archives in bounded memory, from front to back. They may consist of several streams, as
//! `pigz`, `xz -T`, `pzstd` and `cat` create them.
//!
//! ```text
//! gzip    member …, then zeros to the end, if any
//! xz      stream, zeros in fours, stream, …
//! zstd    frame …, some of which may be skippable frames
//! ```
//!
//! Any other data after the last stream is an error.

mod decoder;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use self::decoder::{Decoder, Step};
use super::error::{Defect, TarError};
use super::magic::{Compression, MAGIC_MAX, MagicMatch};

/// How much of the compressed data is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// A compressed archive that is being read.
pub(super) struct Compressed<'a> {
    reader: Box<dyn Read + 'a>,
    compression: Compression,
    /// Bytes that were read; `start..end` are not consumed yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of the byte at `start` in the compressed data.
    offset: u64,
    /// Whether the reader is at its end.
    is_over: bool,
    state: State,
}

enum State {
    /// In a stream.
    Within(Decoder),
    /// After a stream.
    Between,
    /// At the end.
    Ended,
}

impl<'a> Compressed<'a> {
    /// Reads data that begin with a stream of this compression.
    pub(super) fn new(reader: Box<dyn Read + 'a>, compression: Compression) -> Self {
        let buffer = vec![0; PIECE];
        let (start, end, offset) = (0, 0, 0);
        Self { reader, compression, buffer, start, end, offset, is_over: false, state: State::Between }
    }

    /// Decompresses into `output`, at least one byte. Returns 0 at the end.
    pub(super) fn read(&mut self, output: &mut [u8]) -> Result<usize, TarError> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            self.fill(1)?;
            match &mut self.state {
                State::Ended => return Ok(0),
                State::Between => self.state = self.next()?,
                State::Within(decoder) => {
                    let input = &self.buffer[self.start..self.end];
                    let step = decoder.step(input, output);
                    let Step { read, written, is_end } =
                        step.map_err(|(read, defect)| self.defect(read as u64, defect))?;
                    self.consume(read);
                    if is_end {
                        self.state = State::Between;
                    }
                    if written > 0 {
                        return Ok(written);
                    }
                    if read == 0 && !is_end {
                        // With any input it would have made progress.
                        return Err(self.defect(0, Defect::Truncated));
                    }
                }
            }
        }
    }

    /// Finds out what follows a stream.
    fn next(&mut self) -> Result<State, TarError> {
        let zeros = self.zeros()?;
        self.fill(MAGIC_MAX)?;
        let rest = &self.buffer[self.start..self.end];
        if rest.is_empty() {
            return match self.compression {
                Compression::Xz if zeros % 4 != 0 => Err(self.defect(0, Defect::Trailing)),
                _ => Ok(State::Ended),
            };
        }
        let may_follow = match self.compression {
            Compression::Gzip => zeros == 0,
            Compression::Xz => zeros % 4 == 0,
            Compression::Zstd => true,
        };
        match self.compression.begins(rest) {
            MagicMatch::Yes if may_follow => {
                let decoder = Decoder::new(self.compression);
                Ok(State::Within(decoder.map_err(|defect| self.defect(0, defect))?))
            }
            MagicMatch::TooShort if may_follow => Err(self.defect(rest.len() as u64, Defect::Truncated)),
            _ => Err(self.defect(0, Defect::Trailing)),
        }
    }

    /// Skips zeros where they are allowed, and returns their number.
    fn zeros(&mut self) -> Result<u64, TarError> {
        let mut zeros = 0;
        if self.compression == Compression::Zstd || self.offset == 0 {
            return Ok(zeros);
        }
        loop {
            self.fill(1)?;
            let rest = &self.buffer[self.start..self.end];
            let count = rest.iter().take_while(|byte| **byte == 0).count();
            let is_all = count == rest.len();
            self.consume(count);
            zeros += count as u64;
            if !is_all || count == 0 {
                return Ok(zeros);
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads until `least` bytes are buffered, or up to the end.
    fn fill(&mut self, least: usize) -> Result<(), TarError> {
        while self.end - self.start < least && !self.is_over {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_over = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(TarError::Read { offset, source });
                }
            }
        }
        Ok(())
    }

    /// A defect this many bytes after what was consumed.
    fn defect(&self, ahead: u64, defect: Defect) -> TarError {
        TarError::Unpack { compression: self.compression, offset: self.offset + ahead, defect }
    }
}
