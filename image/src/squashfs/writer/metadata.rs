//! Writes tables: blocks of 8 KiB, each with its length before it.

use super::error::WriteError;
use crate::squashfs::codec::Encoder;
use crate::squashfs::format::{METADATA, METADATA_STORED, Place};

/// A table under construction.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Complete blocks, with their lengths.
    written: Vec<u8>,
    /// Offset of each block.
    blocks: Vec<u64>,
    /// The incomplete last block.
    pending: Vec<u8>,
}

impl Table {
    /// The place of the next byte.
    pub(super) fn place(&self) -> Place {
        let offset = u16::try_from(self.pending.len()).expect("less than a block is pending");
        Place { block: self.written.len() as u64, offset }
    }

    pub(super) fn append(&mut self, mut bytes: &[u8], encoder: &mut Encoder) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let count = bytes.len().min(METADATA - self.pending.len());
            let (now, later) = bytes.split_at(count);
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == METADATA {
                self.flush(encoder)?;
            }
        }
        Ok(())
    }

    /// The table and the offset of each of its blocks.
    pub(super) fn finish(mut self, encoder: &mut Encoder) -> Result<(Vec<u8>, Vec<u64>), WriteError> {
        if !self.pending.is_empty() {
            self.flush(encoder)?;
        }
        Ok((self.written, self.blocks))
    }

    fn flush(&mut self, encoder: &mut Encoder) -> Result<(), WriteError> {
        let start = self.written.len();
        self.blocks.push(start as u64);
        self.written.extend_from_slice(&[0; 2]);
        let smaller = encoder.append(&self.pending, &mut self.written).map_err(WriteError::Tables)?;
        let length = u16::try_from(self.written.len() - start - 2).expect("at most 8 KiB");
        let length = if smaller { length } else { length | METADATA_STORED };
        self.written[start..start + 2].copy_from_slice(&length.to_le_bytes());
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squashfs::Codec;

    #[test]
    fn a_table_is_split_into_blocks_with_their_lengths() {
        let mut encoder = Encoder::new(Codec::None, 17).unwrap();
        let mut table = Table::default();
        table.append(&[1; METADATA - 1], &mut encoder).unwrap();
        assert_eq!(table.place(), Place { block: 0, offset: 8191 });
        table.append(&[2], &mut encoder).unwrap();
        assert_eq!(table.place(), Place { block: 8194, offset: 0 });
        table.append(&[3; 10], &mut encoder).unwrap();
        let (bytes, blocks) = table.finish(&mut encoder).unwrap();
        assert_eq!(blocks, [0, 8194]);
        assert_eq!(bytes[..3], [0x00, 0xa0, 1]);
        assert_eq!(bytes[8193..8199], [2, 10, 0x80, 3, 3, 3]);
        assert_eq!(bytes.len(), 8194 + 12);
    }
}
