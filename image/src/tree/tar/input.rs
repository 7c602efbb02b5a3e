//! Reads the bytes of an archive, and stores the content of its files.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::compressed::Compressed;
use super::error::TarError;
use super::header::BLOCK;
use super::magic::{FileKind, MAGIC_MAX};
use crate::progress::{Progress, Stage};
use crate::spool::Spool;
use crate::tree::{Content, Shared};

/// How much is copied at a time, in bytes.
const PIECE: usize = 128 << 10;

/// An archive that is being read.
pub(super) struct Input<'a> {
    source: Source<'a>,
    offset: u64,
}

enum Source<'a> {
    /// Read once. Content is copied to the spool, which is taken out while it is copied.
    Stream { reader: Reader<'a>, spool: Option<Spool> },
    /// Content is not copied.
    File { file: Shared, length: u64 },
}

/// A stream.
enum Reader<'a> {
    Plain(Box<dyn Read + 'a>),
    Compressed(Box<Compressed<'a>>),
}

/// A file that is read from its start and counts progress.
pub(super) struct Counted<'a> {
    file: File,
    progress: &'a Progress,
}

impl<'a> Counted<'a> {
    pub(super) fn new(mut file: File, progress: &'a Progress) -> Result<Self, TarError> {
        let length = file.rewind().and_then(|()| file.metadata());
        let length = length.map_err(|source| TarError::Read { offset: 0, source })?.len();
        progress.begin(Stage::Reading, length);
        Ok(Self { file, progress })
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// The type of a file, from its first bytes.
pub(super) fn kind(file: &File) -> Result<FileKind, TarError> {
    let mut first = [0; MAGIC_MAX];
    let mut length = 0;
    while length < MAGIC_MAX {
        match file.read_at(&mut first[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(TarError::Read { offset: 0, source }),
        }
    }
    Ok(FileKind::of(&first[..length]))
}

impl<'a> Input<'a> {
    pub(super) fn stream(reader: &'a mut dyn Read, scratch: &Path) -> Result<Self, TarError> {
        let mut first = Vec::with_capacity(MAGIC_MAX);
        (&mut *reader)
            .take(MAGIC_MAX as u64)
            .read_to_end(&mut first)
            .map_err(|source| TarError::Read { offset: 0, source })?;
        let kind = FileKind::of(&first);
        let whole: Box<dyn Read + 'a> = Box::new(io::Cursor::new(first).chain(reader));
        let reader = match kind {
            FileKind::Plain => Reader::Plain(whole),
            FileKind::Compressed(compression) => {
                Reader::Compressed(Box::new(Compressed::new(whole, compression)))
            }
            FileKind::Unsupported(format) => return Err(TarError::UnsupportedFormat { format }),
        };
        let spool = Spool::new(scratch).map_err(TarError::Spool)?;
        Ok(Self { source: Source::Stream { reader, spool: Some(spool) }, offset: 0 })
    }

    pub(super) fn file(file: Shared) -> Result<Self, TarError> {
        let found = file.file().metadata().map_err(|source| TarError::Read { offset: 0, source })?;
        Ok(Self { source: Source::File { file, length: found.len() }, offset: 0 })
    }

    /// Offset of the next byte in the archive.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next block; `None` at the end of the archive.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            BLOCK => Ok(Some(block)),
            0 => Ok(None),
            _ => Err(TarError::Truncated { offset: self.offset }),
        }
    }

    /// `size` bytes of content, which the caller has bounded.
    pub(super) fn bytes(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let mut bytes = Vec::new();
        self.pieces(size, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.padding(size)?;
        Ok(bytes)
    }

    /// Content of any size.
    pub(super) fn content(&mut self, size: u64) -> Result<Content, TarError> {
        let content = match &mut self.source {
            Source::File { file, length } => {
                let (file, offset) = (file.clone(), self.offset);
                let end = offset.checked_add(size).filter(|end| end <= length);
                self.offset = end.ok_or(TarError::Truncated { offset: *length })?;
                Content::Section { file, offset, size }
            }
            Source::Stream { spool, .. } => {
                let mut taken = spool.take().expect("the spool is put back before the next entry");
                let begin = taken.length();
                self.pieces(size, |piece| taken.append(piece).map_err(TarError::Spool))?;
                let content = Content::spooled(&taken, begin);
                if let Source::Stream { spool, .. } = &mut self.source {
                    *spool = Some(taken);
                }
                content
            }
        };
        self.padding(size)?;
        Ok(content)
    }

    fn pieces(
        &mut self,
        size: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        let piece = |left: u64| usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let mut buffer = vec![0; piece(size)];
        let mut left = size;
        while left > 0 {
            let wanted = piece(left);
            if self.fill(&mut buffer[..wanted])? < wanted {
                return Err(TarError::Truncated { offset: self.offset });
            }
            take(&buffer[..wanted])?;
            left -= wanted as u64;
        }
        Ok(())
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.source, Source::Stream { reader: Reader::Compressed(_), .. })
    }

    /// Reads and ignores everything after the end of the archive. That verifies the checksums of compressed
    /// data, and lets the writer of a pipe finish.
    pub(super) fn finish(&mut self) -> Result<(), TarError> {
        if let Source::File { .. } = self.source {
            return Ok(());
        }
        let mut buffer = vec![0; PIECE];
        while self.fill(&mut buffer)? > 0 {}
        Ok(())
    }

    fn padding(&mut self, size: u64) -> Result<(), TarError> {
        let rest = usize::try_from(size % BLOCK as u64).expect("less than a block");
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..(BLOCK - rest) % BLOCK];
        if self.fill(padding)? < padding.len() {
            return Err(TarError::Truncated { offset: self.offset });
        }
        Ok(())
    }

    /// Fills the buffer, or less at the end of the archive.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let read = match &mut self.source {
                Source::Stream { reader: Reader::Compressed(compressed), .. } => Ok(compressed.read(rest)?),
                Source::Stream { reader: Reader::Plain(reader), .. } => reader.read(rest),
                Source::File { file, .. } => file.file().read_at(rest, self.offset),
            };
            match read {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
        Ok(filled)
    }
}
