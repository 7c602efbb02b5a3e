//! What zstd would save, by a sample: publishers who know that all their nodes are new enough should know the
//! price of the default, which suits older kernels too.

use std::io;

use sysext_image::tree::{ContentError, Kind, Metadata};
use sysext_image::{Codec, Format, Tree, erofs};

use super::write::FormatCodec;
use crate::recipe::Recipe;

/// What is compressed at once by our zstd, in bytes: a piece is neither better nor worse for being alone.
const PIECE: u64 = 256 << 10;

/// How many pieces are taken, at equal distances: both codecs compress these 4 MiB in a tenth of a second.
const PIECES: u64 = 16;

/// The least content, in bytes. Below it an image is small whatever the codec.
const CONTENT_MIN: u64 = 4 * PIECE;

/// What a sample of the content says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Saving {
    /// What the codec makes of the sample, in bytes.
    pub(crate) codec: u64,
    /// What zstd makes of it, in bytes.
    pub(crate) zstd: u64,
    /// Length of the sample in bytes.
    pub(crate) sample: u64,
}

impl Saving {
    /// How much smaller zstd is, in percent; negative if it is larger.
    pub(crate) fn percent(&self) -> f64 {
        100.0 * (1.0 - self.zstd as f64 / self.codec as f64)
    }
}

/// Why there is no estimate.
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

/// Compares the codec of an erofs image with zstd. There is nothing to compare where the image has another
/// format or zstd already, where the system that it is for has no zstd, and where it is small.
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

/// Pieces of the files' contents, as if these were one behind the other; none if they are short.
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
    let mut start = 0; // of this file, in the whole
    for content in contents() {
        let end = start + content.size();
        // From the piece that reaches into this file on, all that begin before its end
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
    fn a_small_tree_is_taken_whole_and_a_smaller_one_not_at_all() {
        let files: Vec<Vec<u8>> = (1..=40).map(|byte| vec![byte; 50_000]).collect();
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        assert_eq!(sample(&tree(&files)).unwrap(), Some(files.concat()));
        assert_eq!(sample(&tree(&files[..5])).unwrap(), None);
    }

    #[test]
    fn of_a_large_tree_pieces_are_taken_at_equal_distances() {
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
