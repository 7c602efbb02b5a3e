//! Compresses blocks.

use libdeflater::{CompressionError, CompressionLvl, Compressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use lzzzz::{lz4, lz4_hc};
use zstd_safe::{CCtx, ResetDirective};

use super::{Codec, zstd};
use crate::codec::LibraryError;

/// The acceleration of the fast LZ4 encoder: none.
const LZ4_ACCELERATION: i32 = 1;

/// The smallest dictionary of an xz stream in bytes.
const XZ_DICTIONARY_MIN: u32 = 4096;

/// A compressor for one thread.
pub(in crate::squashfs) enum Encoder {
    None,
    Gzip(Compressor),
    Lz4,
    Lz4hc { level: u8 },
    Xz { level: u8 },
    Zstd(CCtx<'static>),
}

impl Encoder {
    /// For blocks of up to 2^`block_log` bytes.
    pub(in crate::squashfs) fn new(codec: Codec, block_log: u8) -> Result<Self, LibraryError> {
        Ok(match codec {
            Codec::None => Self::None,
            Codec::Gzip { level } => {
                let level = CompressionLvl::new(level.into())
                    .map_err(|_| LibraryError { library: "libdeflate", message: "no such level".into() })?;
                Self::Gzip(Compressor::new(level))
            }
            Codec::Lz4 => Self::Lz4,
            Codec::Lz4hc { level } => Self::Lz4hc { level },
            Codec::Xz { level } => Self::Xz { level },
            Codec::Zstd { level } => Self::Zstd(zstd::Parameters::of(level, block_log).context()?),
        })
    }

    /// Appends `input` to `out`, compressed if that is smaller. Returns whether it was compressed.
    pub(in crate::squashfs) fn append(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, LibraryError> {
        let start = out.len();
        out.resize(start + input.len().saturating_sub(1), 0);
        match self.compress(input, &mut out[start..])? {
            Some(length) => {
                out.truncate(start + length);
                Ok(true)
            }
            None => {
                out.truncate(start);
                out.extend_from_slice(input);
                Ok(false)
            }
        }
    }

    /// Compresses `input` and returns the length; `None` if it does not fit into `output`.
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Result<Option<usize>, LibraryError> {
        match self {
            _ if output.is_empty() => Ok(None),
            Self::None => Ok(None),
            Self::Gzip(compressor) => match compressor.zlib_compress(input, output) {
                Ok(length) => Ok(Some(length)),
                Err(CompressionError::InsufficientSpace) => Ok(None),
            },
            // It fails only if the output is full.
            Self::Lz4 => Ok(lz4::compress(input, output, LZ4_ACCELERATION).ok()),
            Self::Lz4hc { level } => Ok(lz4_hc::compress(input, output, i32::from(*level)).ok()),
            Self::Xz { level } => xz(*level, input, output),
            Self::Zstd(context) => match context.compress2(output, input) {
                Ok(length) => Ok(Some(length)),
                Err(code) if zstd_safe::get_error_name(code) == ZSTD_TOO_SMALL => {
                    context.reset(ResetDirective::SessionOnly).map_err(zstd::failed)?;
                    Ok(None)
                }
                Err(code) => Err(zstd::failed(code)),
            },
        }
    }
}

/// The message of zstd for a full output. This API has no other name for the condition.
const ZSTD_TOO_SMALL: &str = "Destination buffer is too small";

fn xz(level: u8, input: &[u8], output: &mut [u8]) -> Result<Option<usize>, LibraryError> {
    let failed =
        |error: liblzma::stream::Error| LibraryError { library: "liblzma", message: error.to_string() };
    // The kernel supports a dictionary up to the block size; more than the input is useless.
    let dictionary = u32::try_from(input.len()).unwrap_or(u32::MAX >> 1).next_power_of_two();
    let mut options = LzmaOptions::new_preset(level.into()).map_err(failed)?;
    options.dict_size(dictionary.max(XZ_DICTIONARY_MIN));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(failed)?;
    let status = stream.process(input, output, Action::Finish).map_err(failed)?;
    Ok((status == Status::StreamEnd).then(|| usize::try_from(stream.total_out()).unwrap_or(output.len())))
}
