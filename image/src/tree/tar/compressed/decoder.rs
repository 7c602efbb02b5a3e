//! Decompresses one stream, with the library for its compression.

use flate2::{Decompress, FlushDecompress, Status};
use liblzma::stream::{self, Action, Stream, TELL_UNSUPPORTED_CHECK};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::tree::tar::error::Defect;
use crate::tree::tar::magic::Compression;

/// How much memory decompressing xz may take, in bytes: `xz -9` needs 65 MiB, mostly for its dictionary.
const XZ_MEMORY: u64 = 80 << 20;

/// The maximum window of zstd, as a power of two, in bytes: 128 MiB, which `zstd --ultra -22` needs. `zstd
/// -d` has the same limit by default and rejects archives made with `--long=28` or more.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The message of the library for a larger window.
const ZSTD_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// The window of gzip, as a power of two, in bytes. All members have it.
const GZIP_WINDOW_LOG: u8 = 15;

/// The message of the library after an error of its fast path, whose cause is lost.
const GZIP_FORGOTTEN: &str = "repeated call with bad state";

/// Decompresses one stream.
pub(super) enum Decoder {
    Gzip(Decompress),
    Xz(Stream),
    /// With the number of bytes that the library requests: if it gets no more, it stops at the start of an
    /// invalid block.
    Zstd(DCtx<'static>, usize),
}

/// The result of a step.
pub(super) struct Step {
    /// Consumed input, in bytes.
    pub(super) read: usize,
    /// Output, in bytes.
    pub(super) written: usize,
    /// Whether the stream ends here.
    pub(super) is_end: bool,
}

impl Decoder {
    pub(super) fn new(compression: Compression) -> Result<Self, Defect> {
        match compression {
            Compression::Gzip => Ok(Self::Gzip(Decompress::new_gzip(GZIP_WINDOW_LOG))),
            Compression::Xz => Stream::new_stream_decoder(XZ_MEMORY, TELL_UNSUPPORTED_CHECK)
                .map(Self::Xz)
                .map_err(|error| Defect::Damaged(error.to_string())),
            Compression::Zstd => {
                let mut context = DCtx::create();
                context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(zstd_defect)?;
                Ok(Self::Zstd(context, 1))
            }
        }
    }

    /// Decompresses as much of `input` as fits into `output`. An error includes the number of bytes consumed.
    ///
    /// With empty input it returns buffered output.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, (usize, Defect)> {
        match self {
            Self::Gzip(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output, FlushDecompress::None);
                let after = (decoder.total_in(), decoder.total_out());
                let (read, written) = (difference(before.0, after.0), difference(before.1, after.1));
                let status = status.map_err(|error| {
                    let said = error.message().filter(|said| *said != GZIP_FORGOTTEN);
                    (read, Defect::Damaged(said.unwrap_or("invalid data").to_owned()))
                })?;
                Ok(Step { read, written, is_end: status == Status::StreamEnd })
            }
            Self::Xz(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder.process(input, output, Action::Run);
                let after = (decoder.total_in(), decoder.total_out());
                let (read, written) = (difference(before.0, after.0), difference(before.1, after.1));
                let status = status.map_err(|error| (read, xz_defect(error)))?;
                Ok(Step { read, written, is_end: status == stream::Status::StreamEnd })
            }
            Self::Zstd(context, wanted) => {
                let mut from = InBuffer::around(&input[..input.len().min(*wanted)]);
                let mut into = OutBuffer::around(output);
                let hint =
                    context.decompress_stream(&mut into, &mut from).map_err(|code| (0, zstd_defect(code)))?;
                *wanted = hint.max(1);
                Ok(Step { read: from.pos(), written: into.pos(), is_end: hint == 0 })
            }
        }
    }
}

fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after - before).expect("no more than a buffer has")
}

fn xz_defect(error: stream::Error) -> Defect {
    match error {
        stream::Error::MemLimit => Defect::Memory { limit: XZ_MEMORY },
        // The library's own messages assume a whole file.
        stream::Error::Data => Defect::Damaged("invalid data or a wrong checksum".to_owned()),
        stream::Error::Format => Defect::Damaged("invalid header".to_owned()),
        stream::Error::Options => Defect::Damaged("unknown filter".to_owned()),
        stream::Error::UnsupportedCheck => Defect::Damaged("unknown type of checksum".to_owned()),
        error => Defect::Damaged(error.to_string()),
    }
}

fn zstd_defect(code: usize) -> Defect {
    match zstd_safe::get_error_name(code) {
        ZSTD_TOO_LARGE => Defect::Memory { limit: 1 << ZSTD_WINDOW_LOG },
        said => Defect::Damaged(said.to_owned()),
    }
}
