//! LZ4, fast or strong. Either encoder can fill an output of fixed size.

use lzzzz::{lz4, lz4_hc};

use super::LibraryError;

/// The lowest level of the strong encoder; below it the library switches to another one.
pub(super) const FIRST: u8 = 3;

/// The highest level, with the optimal parser.
pub(super) const LAST: u8 = 12;

/// An encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lz4 {
    /// The fast one.
    Fast,
    /// The strong one, with a level.
    Strong(u8),
}

impl Lz4 {
    /// Fills `output` with as much of `input` as goes in. Returns how many bytes were read and
    /// how many written. Both are above zero for an input that is not empty and an output of at
    /// least one block.
    pub(crate) fn fill(self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), LibraryError> {
        match self {
            Self::Fast => lz4::compress_fill(input, output),
            Self::Strong(level) => lz4_hc::compress_fill(input, output, i32::from(level)),
        }
        .map_err(|error| LibraryError { library: "lz4", message: error.to_string() })
    }
}
