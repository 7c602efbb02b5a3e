//! Estimates from a sample how much smaller an image would be with zstd. The default codec also supports older kernels;
//! a publisher whose nodes are all new enough should know what that costs.

use std::io;

use sysext_image::tree::{ContentError, Kind, Metadata};
use sysext_image::{Codec, Format, Tree, erofs};

use super::write::FormatCodec;
use crate::recipe::Recipe;

/// The size of one piece in bytes: zstd compresses this much at once, so a separate piece compresses as well as in the
/// image.
const PIECE: u64 = 256 << 10;

/// The number of pieces, at equal distances: both codecs compress these 4 MiB in a tenth of a second.
const PIECES: u64 = 16;

/// The minimum content in bytes. Less than this gives a small image with every codec.
const CONTENT_MIN: u64 = 4 * PIECE;

/// The sizes of a sample with both codecs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Saving {
    /// With the codec of the image, in bytes.
    pub(crate) codec: u64,
    /// With zstd, in bytes.
    pub(crate) zstd: u64,
    /// Uncompressed, in bytes.
    pub(crate) sample: u64,
}

impl Saving {
    /// How much smaller zstd is, in percent; negative if it is larger.
    pub(crate) fn percent(&self) -> f64 {
        100.0 * (1.0 - self.zstd as f64 / self.codec as f64)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    #[error(transparent)]
    Content(ContentError),
    #[error(transparent)]
    Tree(sysext_image::tree::TreeError),
    #[error(transparent)]
    Codec(sysext_image::codec::CodecError),
    #[error(transparent)]
    Image(erofs::WriteError),
}

/// Compares the codec of an erofs image with zstd. There is no result if the image has another format or already uses
/// zstd, if the target system does not support zstd, or if the content is small.
pub(crate) fn saving(
    recipe: &Recipe,
    codec: FormatCodec,
    tree: &Tree,
) -> Result<Option<Saving>, SampleError> {
    let FormatCodec::Erofs(codec @ (Codec::Lz4 | Codec::Lz4hc { .. })) = codec else { return Ok(None) };
    let zstd: Codec = "zstd".parse().map_err(SampleError::Codec)?;
    let is_possible = match recipe.image.kernel {
        sysext_image::Floor::Kernel(_) => true,
        profile => profile.codecs(Format::Erofs).contains(&zstd.name()),
    };
    let sample = if is_possible { sample(tree)? } else { None };
    let Some(sample) = sample else { return Ok(None) };
    let length = sample.len() as u64;
    let mut pieces = Tree::new();
    pieces.insert_bytes("sample", sample, Metadata::new(0o644)).map_err(SampleError::Tree)?;
    let size = |codec| {
        let written = erofs::write(&pieces, &erofs::Options::new(codec, 0), io::sink());
        written.map(|written| written.size).map_err(SampleError::Image)
    };
    Ok(Some(Saving { codec: size(codec)?, zstd: size(zstd)?, sample: length }))
}

/// Pieces of the concatenated contents of all files; nothing if these are small.
fn sample(tree: &Tree) -> Result<Option<Vec<u8>>, SampleError> {
    let contents = || {
        tree.entries().filter_map(|entry| match &entry.node.kind {
            Kind::File(content) => Some(content),
            _ => None,
        })
    };
    let whole: u64 = contents().map(|content| content.size()).sum();
    if whole < CONTENT_MIN {
        return Ok(None);
    }
    let distance = (whole / PIECES).max(PIECE);
    let mut sample = Vec::new();
    let mut start = 0; // of this file in the concatenation
    for content in contents() {
        let end = start + content.size();
        // All pieces that overlap this file
        let first = start.saturating_sub(PIECE - 1).div_ceil(distance);
        for number in first..end.div_ceil(distance) {
            let piece = number * distance;
            let (from, to) = (piece.max(start), (piece + PIECE).min(end));
            let length = usize::try_from(to - from).expect("at most a piece");
            let before = sample.len();
            sample.resize(before + length, 0);
            content.read_at(from - start, &mut sample[before..]).map_err(SampleError::Content)?;
        }
        start = end;
    }
    Ok(Some(sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&[u8]]) -> Tree {
        let mut tree = Tree::new();
        for (number, bytes) in files.iter().enumerate() {
            tree.insert_bytes(format!("usr/{number:03}"), *bytes, Metadata::new(0o644)).unwrap();
        }
        tree
    }

    #[test]
    fn small_tree_is_its_own_sample_and_smaller_one_has_none() {
        let files: Vec<Vec<u8>> = (1..=40).map(|byte| vec![byte; 50_000]).collect();
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        assert_eq!(sample(&tree(&files)).unwrap(), Some(files.concat()));
        assert_eq!(sample(&tree(&files[..5])).unwrap(), None);
    }

    #[test]
    fn sample_of_a_large_tree_has_equal_distances() {
        let bytes: Vec<u8> = (0..12_000_000_u32).map(|position| (position >> 12).to_le_bytes()[0]).collect();
        let files: Vec<&[u8]> = bytes.chunks(700_000).collect();
        let sample = sample(&tree(&files)).unwrap().unwrap();
        assert_eq!(sample.len() as u64, PIECE * PIECES);
        for (number, piece) in sample.chunks(256 << 10).enumerate() {
            assert!(bytes[number * 750_000..].starts_with(piece), "piece {number}");
        }
    }

    #[test]
    fn only_an_erofs_image_without_zstd_is_compared() {
        let recipe = |kernel: &str| {
            let mut recipe = Recipe::plain("x", "1", sysext_manifests::architecture::Architecture::X86_64);
            recipe.image.kernel = kernel.parse().unwrap();
            recipe
        };
        let text: Vec<u8> = (0..400_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let tree = tree(&[&text]);
        let of = |kernel: &str, codec: &str| {
            saving(&recipe(kernel), FormatCodec::Erofs(codec.parse().unwrap()), &tree).unwrap()
        };
        let found = of("5.15", "lz4hc").unwrap();
        assert!(found.percent() > 5.0 && found.sample == text.len() as u64, "{found:?}");
        assert_eq!(of("6.10", "zstd"), None);
        assert_eq!(of("5.15", "none"), None);
        assert_eq!(of("flatcar", "lz4hc"), None);
        assert!(of("debian-13", "lz4hc").is_some());
    }
}
