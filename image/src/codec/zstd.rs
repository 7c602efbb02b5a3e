//! Zstandard with our own table of parameters, so that a new version of the library, which may tune its
//! levels, does not change the meaning of a level here.

use std::fmt;

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, Strategy};

use super::LibraryError;

/// The lowest level.
pub(super) const FIRST: u8 = 1;

/// The highest level. Higher levels of the library only help with inputs larger than a cluster.
pub(super) const LAST: u8 = 19;

/// log2 of the window in bytes. Clusters contain little more input than this window, and the kernel
/// allocates a window per stream at mount time.
pub(crate) const WINDOW_LOG: u8 = 18;

/// All parameters of the compressor for one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parameters {
    chain_log: u32,
    hash_log: u32,
    search_log: u32,
    min_match: u32,
    target_length: u32,
    strategy: u8,
}

/// One line per level: chain log, hash log, search log, minimal match, target length, strategy
/// (1 fast, 2 dfast, 3 greedy, 4 lazy, 5 lazy2, 6 btlazy2, 7 btopt, 8 btultra, 9 btultra2).
const LEVELS: [(u32, u32, u32, u32, u32, u8); LAST as usize] = [
    (13, 14, 1, 6, 0, 1),
    (15, 15, 1, 5, 0, 2),
    (17, 17, 1, 4, 0, 2),
    (17, 17, 3, 5, 2, 3),
    (17, 18, 4, 5, 2, 3),
    (18, 19, 3, 5, 4, 4),
    (18, 19, 4, 4, 4, 4),
    (18, 19, 4, 4, 8, 5),
    (18, 19, 5, 4, 8, 5),
    (18, 19, 6, 4, 8, 5),
    (18, 19, 5, 4, 12, 6),
    (19, 19, 7, 4, 12, 6),
    (18, 19, 4, 4, 16, 7),
    (18, 19, 4, 3, 32, 7),
    (18, 19, 5, 3, 64, 7),
    (19, 19, 6, 3, 128, 8),
    (19, 19, 8, 3, 256, 8),
    (19, 19, 6, 3, 128, 9),
    (19, 19, 8, 3, 256, 9),
];

impl Parameters {
    fn of(level: u8) -> Self {
        let row = usize::from(level.clamp(FIRST, LAST) - FIRST);
        let (chain_log, hash_log, search_log, min_match, target_length, strategy) = LEVELS[row];
        Self { chain_log, hash_log, search_log, min_match, target_length, strategy }
    }

    fn strategy(self) -> Strategy {
        match self.strategy {
            1 => Strategy::ZSTD_fast,
            2 => Strategy::ZSTD_dfast,
            3 => Strategy::ZSTD_greedy,
            4 => Strategy::ZSTD_lazy,
            5 => Strategy::ZSTD_lazy2,
            6 => Strategy::ZSTD_btlazy2,
            7 => Strategy::ZSTD_btopt,
            8 => Strategy::ZSTD_btultra,
            _ => Strategy::ZSTD_btultra2,
        }
    }
}

/// Displays a level with all its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described(pub(crate) u8);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = Parameters::of(self.0);
        write!(
            f,
            "zstd-{}-w{WINDOW_LOG}-c{}-h{}-s{}-m{}-t{}-x{}",
            self.0, p.chain_log, p.hash_log, p.search_log, p.min_match, p.target_length, p.strategy
        )
    }
}

/// A compressor for one thread.
pub(crate) struct Zstd {
    context: CCtx<'static>,
}

impl Zstd {
    pub(crate) fn new(level: u8) -> Result<Self, LibraryError> {
        let mut context = CCtx::try_create()
            .ok_or_else(|| LibraryError { library: "zstd", message: "no memory".into() })?;
        let p = Parameters::of(level);
        for parameter in [
            CParameter::WindowLog(WINDOW_LOG.into()),
            CParameter::ChainLog(p.chain_log),
            CParameter::HashLog(p.hash_log),
            CParameter::SearchLog(p.search_log),
            CParameter::MinMatch(p.min_match),
            CParameter::TargetLength(p.target_length),
            CParameter::Strategy(p.strategy()),
            CParameter::EnableLongDistanceMatching(false),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(Self { context })
    }

    /// Compresses all of `input` into one frame. `None` if it does not fit into `output`.
    pub(crate) fn compress(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Option<usize>, LibraryError> {
        match self.context.compress2(output, input) {
            Ok(length) => Ok(Some(length)),
            Err(code) if zstd_safe::get_error_name(code) == TOO_SMALL => {
                self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
                Ok(None)
            }
            Err(code) => Err(failed(code)),
        }
    }

    /// Starts a frame and drops an unfinished one.
    pub(crate) fn begin(&mut self) -> Result<(), LibraryError> {
        self.context.reset(ResetDirective::SessionOnly).map(drop).map_err(failed)
    }

    /// Compresses all of `input` into blocks of the current frame. `None` if they do not fit into `output`:
    /// then nothing can follow them. [`END`] ends the frame.
    pub(crate) fn extend(&mut self, input: &[u8], output: &mut [u8]) -> Result<Option<usize>, LibraryError> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let flush = ZSTD_EndDirective::ZSTD_e_flush;
        let left = self.context.compress_stream2(&mut output, &mut input, flush).map_err(failed)?;
        Ok((left == 0 && input.pos() == input.src.len()).then(|| output.pos()))
    }
}

/// Ends a frame: an empty last block.
pub(crate) const END: [u8; 3] = [1, 0, 0];

/// The message of the library for a full output. This API has no other name for the condition.
const TOO_SMALL: &str = "Destination buffer is too small";

fn failed(code: usize) -> LibraryError {
    LibraryError { library: "zstd", message: zstd_safe::get_error_name(code).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_compresses_and_restores() {
        let input: Vec<u8> = (0..200_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut output = vec![0; zstd_safe::compress_bound(input.len())];
        for level in FIRST..=LAST {
            let length = Zstd::new(level).unwrap().compress(&input, &mut output).unwrap().unwrap();
            let mut back = vec![0; input.len()];
            assert_eq!(zstd_safe::decompress(&mut back[..], &output[..length]).unwrap(), input.len());
            assert!(back == input, "level {level} does not restore its input");
            assert_eq!(zstd_safe::get_frame_content_size(&output[..length]).unwrap(), None);
        }
    }

    #[test]
    fn a_full_output_is_not_an_error_and_the_next_call_works() {
        let input: Vec<u8> = (0..50_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let mut zstd = Zstd::new(3).unwrap();
        assert_eq!(zstd.compress(&input, &mut [0; 100]).unwrap(), None);
        assert!(zstd.compress(&input, &mut vec![0; 100_000]).unwrap().is_some());
    }

    #[test]
    fn a_level_is_described_by_its_parameters() {
        assert_eq!(Described(3).to_string(), "zstd-3-w18-c17-h17-s1-m4-t0-x2");
    }
}
