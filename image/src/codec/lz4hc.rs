//! LZ4 with its strong encoder, which can fill an output of fixed size.

use lzzzz::lz4_hc;

use super::LibraryError;

/// The lowest level of the strong encoder; below it the library switches to another one.
pub(super) const FIRST: u8 = 3;

/// The highest level, with the optimal parser.
pub(super) const LAST: u8 = 12;

/// An encoder with a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lz4hc {
    level: u8,
}

impl Lz4hc {
    pub(crate) fn new(level: u8) -> Self {
        Self { level }
    }

    /// Fills `output` with as much of `input` as goes in. Returns how many bytes were read and
    /// how many written. Both are above zero for an input that is not empty and an output of at
    /// least one block.
    pub(crate) fn fill(self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), LibraryError> {
        lz4_hc::compress_fill(input, output, i32::from(self.level))
            .map_err(|error| LibraryError { library: "lz4", message: error.to_string() })
    }
}
