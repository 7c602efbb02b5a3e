//! The parameters of Zstandard's levels, in our own table, so that a new version of the library, which may
//! tune its levels, does not change the meaning of a level here.

use std::fmt;

use zstd_safe::{CCtx, CParameter, Strategy};

use crate::codec::LibraryError;

/// log2 of the block, in bytes, that the table was made for.
const TABLE_LOG: u8 = 17;

/// One line per level: chain log, hash log, search log, minimal match, target length, strategy
/// (1 fast, 2 dfast, 3 greedy, 4 lazy, 5 lazy2, 6 btlazy2, 7 btopt, 8 btultra, 9 btultra2).
const LEVELS: [(u8, u8, u8, u8, u16, u8); 22] = [
    (12, 13, 1, 6, 0, 1),
    (13, 15, 1, 5, 0, 1),
    (15, 16, 2, 5, 0, 2),
    (17, 17, 2, 4, 0, 2),
    (16, 17, 3, 4, 2, 3),
    (16, 17, 3, 4, 4, 4),
    (16, 17, 3, 4, 8, 5),
    (16, 17, 4, 4, 8, 5),
    (16, 17, 5, 4, 8, 5),
    (16, 17, 6, 4, 8, 5),
    (17, 17, 5, 4, 8, 6),
    (18, 17, 7, 4, 12, 6),
    (18, 17, 3, 4, 12, 7),
    (18, 17, 4, 3, 32, 7),
    (18, 17, 6, 3, 256, 7),
    (18, 17, 6, 3, 128, 8),
    (18, 17, 8, 3, 256, 8),
    (18, 17, 10, 3, 512, 8),
    (18, 17, 5, 3, 256, 9),
    (18, 17, 7, 3, 512, 9),
    (18, 17, 9, 3, 512, 9),
    (18, 17, 11, 3, 999, 9),
];

/// All parameters of the compressor for one level and block size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::squashfs) struct Parameters {
    level: u8,
    window_log: u8,
    chain_log: u8,
    hash_log: u8,
    search_log: u8,
    min_match: u8,
    target_length: u16,
    strategy: u8,
}

impl Parameters {
    /// The parameters of a level, with blocks of 2^`block_log` bytes.
    pub(in crate::squashfs) fn of(level: u8, block_log: u8) -> Self {
        let row = usize::from(level).clamp(1, LEVELS.len()) - 1;
        let (chain_log, hash_log, search_log, min_match, target_length, strategy) = LEVELS[row];
        // Larger blocks need larger tables; for smaller ones the library shrinks them.
        let grown = block_log.saturating_sub(TABLE_LOG);
        Self {
            level,
            window_log: block_log,
            chain_log: chain_log + grown,
            hash_log: hash_log + grown,
            search_log,
            min_match,
            target_length,
            strategy,
        }
    }

    pub(super) fn context(self) -> Result<CCtx<'static>, LibraryError> {
        let mut context = CCtx::try_create()
            .ok_or_else(|| LibraryError { library: "zstd", message: "no memory".into() })?;
        for parameter in [
            CParameter::WindowLog(self.window_log.into()),
            CParameter::ChainLog(self.chain_log.into()),
            CParameter::HashLog(self.hash_log.into()),
            CParameter::SearchLog(self.search_log.into()),
            CParameter::MinMatch(self.min_match.into()),
            CParameter::TargetLength(self.target_length.into()),
            CParameter::Strategy(self.strategy()),
            CParameter::EnableLongDistanceMatching(false),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(context)
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

pub(super) fn failed(code: usize) -> LibraryError {
    LibraryError { library: "zstd", message: zstd_safe::get_error_name(code).to_owned() }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, window_log, chain_log, hash_log, search_log, min_match, target_length, strategy } =
            self;
        write!(
            f,
            "zstd-{level}-w{window_log}-c{chain_log}-h{hash_log}-s{search_log}-m{min_match}-t{target_length}-x{strategy}"
        )
    }
}
