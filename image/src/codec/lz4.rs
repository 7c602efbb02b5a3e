//! The two LZ4 encoders. Both can fill an output of fixed size.

use lzzzz::{lz4, lz4_hc};

use super::LibraryError;

/// The lowest level of the high-compression encoder; below it the library uses another one.
pub(super) const FIRST: u8 = 3;

/// The highest level, which uses the optimal parser.
pub(super) const LAST: u8 = 12;

/// An LZ4 encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lz4 {
    /// The fast encoder.
    Fast,
    /// The high-compression encoder, with its level.
    Strong(u8),
}

impl Lz4 {
    /// Compresses as much of `input` as fits into `output`. Returns the number of bytes read and written.
    /// Both are above zero if `input` is not empty and `output` has at least one block.
    pub(crate) fn fill(self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), LibraryError> {
        match self {
            Self::Fast => lz4::compress_fill(input, output),
            Self::Strong(level) => lz4_hc::compress_fill(input, output, i32::from(level)),
        }
        .map_err(|error| LibraryError { library: "lz4", message: error.to_string() })
    }
}
