//! The bytes of the image: the file system, and the disk image around it.

use std::fmt;
use std::io::{self, BufWriter, Read as _, Seek as _};

use sysext_image::codec::CodecError;
use sysext_image::{Codec, Format, ddi, erofs, squashfs};
use sysext_manifests::digest::{Hasher, Sha256};

use super::{BakeError, Request, Wrapping};
use crate::failure::Hint;
use crate::recipe::Recipe;
use crate::store::Pending;

/// The size of the write buffer, in bytes.
const BUFFER: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error(transparent)]
    Erofs(erofs::WriteError),
    #[error(transparent)]
    Squashfs(squashfs::WriteError),
    #[error(transparent)]
    Disk(ddi::WriteError),
    #[error("cannot read the image back")]
    Digest(#[source] io::Error),
    #[error("cannot write the end")]
    Flush(#[source] io::Error),
}

impl Hint for ImageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Erofs(error) => error.hint(),
            Self::Squashfs(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Digest(_) | Self::Flush(_) => None,
        }
    }
}

/// A codec with its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatCodec {
    Erofs(Codec),
    Squashfs(squashfs::Codec),
}

impl FormatCodec {
    /// The name without the level, for the catalog.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Erofs(codec) => codec.name(),
            Self::Squashfs(codec) => codec.name(),
        }
    }
}

impl fmt::Display for FormatCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Erofs(codec) => write!(f, "{codec}"),
            Self::Squashfs(codec) => write!(f, "{codec}"),
        }
    }
}

/// The codec of the recipe, or the default for its oldest kernel, which must support it.
pub(crate) fn codec(recipe: &Recipe) -> Result<FormatCodec, BakeError> {
    let image = &recipe.image;
    let text = image.codec.as_deref().unwrap_or_else(|| image.kernel.codec(image.format));
    let name = text.split(':').next().unwrap_or_default();
    let parsed = match image.format {
        Format::Erofs => text.parse().map(FormatCodec::Erofs),
        Format::Squashfs => text.parse().map(FormatCodec::Squashfs),
    };
    // An invalid level is invalid with every kernel. For an unknown name, the floor lists the valid ones.
    if matches!(parsed, Ok(_) | Err(CodecError::Unknown { .. })) {
        image.kernel.check(image.format, name).map_err(BakeError::Floor)?;
    }
    parsed.map_err(BakeError::Codec)
}

pub(super) struct Written {
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    pub(super) writer: String,
    pub(super) verity: Option<String>,
}

pub(super) fn write(
    request: &Request<'_>,
    codec: FormatCodec,
    pending: &mut Pending,
) -> Result<Written, ImageError> {
    let signer = match request.wrapping {
        Wrapping::Bare => {
            let out = BufWriter::with_capacity(BUFFER, pending.file());
            let (written, _) = filesystem(request, codec, out)?;
            return Ok(written);
        }
        Wrapping::Disk(signer) => signer,
    };
    let architecture = request.architecture.as_str().parse();
    let architecture = architecture.expect("checked before anything was staged");
    let out = BufWriter::with_capacity(BUFFER, &*pending.file());
    let disk = ddi::Writer::new(out, ddi::Options::new(architecture)).map_err(ImageError::Disk)?;
    let (inside, disk) = filesystem(request, codec, disk)?;
    let written = match signer {
        None => disk.finish().map_err(ImageError::Disk)?,
        Some(signer) => {
            let sign = |root_hash: &_| ddi::Signature::new(signer, root_hash);
            disk.finish_signed(sign).map_err(ImageError::Disk)?.0
        }
    };
    Ok(Written {
        size: written.size,
        sha256: digest(pending).map_err(ImageError::Digest)?,
        writer: inside.writer,
        verity: Some(written.root_hash.to_string()),
    })
}

/// Writes the file system; returns the writer.
fn filesystem<W: io::Write>(
    request: &Request<'_>,
    codec: FormatCodec,
    mut out: W,
) -> Result<(Written, W), ImageError> {
    let tree = &request.staged.tree;
    let written = match codec {
        FormatCodec::Erofs(codec) => {
            let kernel = request.recipe.image.kernel.kernel();
            let options = erofs::Options::new(codec, request.epoch);
            let options = erofs::Options { kernel, progress: request.progress.clone(), ..options };
            let written = erofs::write(tree, &options, &mut out).map_err(ImageError::Erofs)?;
            let sha256 = Sha256::from_bytes(written.sha256);
            Written { size: written.size, sha256, writer: written.writer.to_string(), verity: None }
        }
        FormatCodec::Squashfs(codec) => {
            let options = squashfs::Options::new(codec, request.epoch);
            let options = squashfs::Options { progress: request.progress.clone(), ..options };
            let written = squashfs::write(tree, &options, &mut out).map_err(ImageError::Squashfs)?;
            let sha256 = Sha256::from_bytes(written.sha256);
            Written { size: written.size, sha256, writer: written.writer.to_string(), verity: None }
        }
    };
    out.flush().map_err(ImageError::Flush)?;
    Ok((written, out))
}

/// The digest of the whole file: the partition table at its start is written last, so it cannot be computed on the way.
fn digest(pending: &mut Pending) -> io::Result<Sha256> {
    let file = pending.file();
    file.rewind()?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
