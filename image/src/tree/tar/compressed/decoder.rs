//! One stream at a time, whichever library unpacks it.

use flate2::{Decompress, FlushDecompress, Status};
use liblzma::stream::{self, Action, Stream, TELL_UNSUPPORTED_CHECK};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::tree::tar::error::Defect;
use crate::tree::tar::magic::Compression;

/// How much memory unpacking xz may take, in bytes: `xz -9` asks for 65 MiB, a dictionary of 64 and a bit.
const XZ_MEMORY: u64 = 80 << 20;

/// How far back zstd may look, as a power of two, in bytes: 128 MiB, which `zstd --ultra -22` asks for. What
/// is packed with `--long=28` and more is not unpacked by `zstd -d` either, unless it is told to.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What the library calls a window that is larger.
const ZSTD_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// How far back a member of gzip looks, as a power of two, in bytes: there is no other.
const GZIP_WINDOW_LOG: u8 = 15;

/// What the library says where its fast way found something wrong and its slow way was asked what it was.
const GZIP_FORGOTTEN: &str = "repeated call with bad state";

/// Unpacks one stream.
pub(super) enum Decoder {
    Gzip(Decompress),
    Xz(Stream),
    /// How much the library wants of the next block: given no more, it stops where the block begins that it
    /// cannot read.
    Zstd(DCtx<'static>, usize),
}

/// What became of some input.
pub(super) struct Step {
    /// How much of it was read, in bytes.
    pub(super) read: usize,
    /// How much was unpacked, in bytes.
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

    /// Unpacks what it can of `input` into `output`. An error comes with how much of `input` was read.
    ///
    /// With no input it gives what it still has.
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
        // The library's own words are of a whole file, which this is not.
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
