//! Decompresses blocks, which may be damaged or hostile.

use libdeflater::Decompressor;
use liblzma::stream::{Action, Status, Stream};
use lzzzz::lz4;
use zstd_safe::DCtx;

use crate::squashfs::format::Compression;

/// How much memory decompressing one xz block may take in bytes: the dictionary of the largest block, and
/// tables.
const XZ_MEMORY: u64 = 4 << 20;

/// A decompressor.
pub(in crate::squashfs) enum Decoder {
    Gzip(Decompressor),
    Lz4,
    Xz,
    Zstd(DCtx<'static>),
}

/// A block could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{library}: {message}")]
pub struct DecodeError {
    /// The name of the library.
    pub library: &'static str,
    /// Its error message.
    pub message: String,
}

impl Decoder {
    pub(in crate::squashfs) fn new(compression: Compression) -> Result<Self, DecodeError> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(Decompressor::new()),
            Compression::Lz4 => Self::Lz4,
            Compression::Xz => Self::Xz,
            Compression::Zstd => {
                let context = DCtx::try_create();
                Self::Zstd(context.ok_or_else(|| failed("zstd", "no memory"))?)
            }
        })
    }

    /// Decompresses `input` and returns how much of `output` it fills. It is an error if it does not fit.
    pub(in crate::squashfs) fn decode(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, DecodeError> {
        match self {
            Self::Gzip(decompressor) => {
                decompressor.zlib_decompress(input, output).map_err(|error| failed("libdeflate", error))
            }
            Self::Lz4 => lz4::decompress(input, output).map_err(|error| failed("lz4", error)),
            Self::Xz => xz(input, output),
            Self::Zstd(context) => context
                .decompress(output, input)
                .map_err(|code| failed("zstd", zstd_safe::get_error_name(code))),
        }
    }
}

fn xz(input: &[u8], output: &mut [u8]) -> Result<usize, DecodeError> {
    let mut stream = Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(|error| failed("liblzma", error))?;
    match stream.process(input, output, Action::Finish).map_err(|error| failed("liblzma", error))? {
        Status::StreamEnd => Ok(usize::try_from(stream.total_out()).unwrap_or(output.len())),
        _ => Err(failed("liblzma", "the stream is truncated or has trailing data")),
    }
}

fn failed(library: &'static str, message: impl ToString) -> DecodeError {
    DecodeError { library, message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squashfs::codec::{Codec, Encoder};

    #[test]
    fn every_codec_and_level_restores_what_it_compressed() {
        let input: Vec<u8> = (0..30_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let levels = (0..=22).flat_map(|level| {
            [Codec::Gzip { level }, Codec::Lz4hc { level }, Codec::Xz { level }, Codec::Zstd { level }]
        });
        for codec in levels.filter(|codec| codec.checked().is_ok()).chain([Codec::Lz4]) {
            let mut encoder = Encoder::new(codec, 17).unwrap();
            let mut decoder = Decoder::new(codec.compression()).unwrap();
            let mut packed = b"before".to_vec();
            // Twice: a compressor must not depend on the previous block.
            for _ in 0..2 {
                packed.truncate(6);
                assert!(encoder.append(&input, &mut packed).unwrap(), "{codec}");
                let mut back = vec![0; input.len()];
                assert_eq!(decoder.decode(&packed[6..], &mut back), Ok(input.len()), "{codec}");
                assert!(back == input, "{codec}");
            }
            assert!(decoder.decode(&packed[6..], &mut vec![0; input.len() - 1]).is_err(), "{codec}");
            assert!(
                decoder.decode(&packed[6..packed.len() - 1], &mut vec![0; input.len()]).is_err(),
                "{codec}"
            );
        }
    }

    #[test]
    fn incompressible_blocks_are_stored_and_the_next_block_works() {
        let mut state = 1u64;
        let random: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        for codec in ["none", "gzip:1", "lz4", "lz4hc:3", "xz:1", "zstd:1"] {
            let codec: Codec = codec.parse().unwrap();
            let mut encoder = Encoder::new(codec, 12).unwrap();
            for input in [&random[..], &[7], &[]] {
                let mut out = vec![1, 2, 3];
                assert!(!encoder.append(input, &mut out).unwrap(), "{codec}");
                assert_eq!(out[3..], *input);
            }
            let shrinks = encoder.append(&[5; 5000], &mut Vec::new()).unwrap();
            assert_eq!(shrinks, codec != Codec::None, "{codec}");
        }
    }
}
