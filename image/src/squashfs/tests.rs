//! Tests that images are read back as written, and that damaged ones are errors.

mod hostile;
mod round_trip;

use std::error::Error;
use std::io::Cursor;

use super::*;
use crate::tree::{Device, Metadata, Special, Tree};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const CODECS: [&str; 6] = ["none", "gzip:1", "lz4", "lz4hc:3", "xz:0", "zstd:3"];

/// A reproducible stream of numbers (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Compresses to about a third.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..300).map(|n| self.bytes(2 + n % 9)).collect();
        let mut text = Vec::new();
        while text.len() < length {
            text.extend_from_slice(&words[self.below(words.len())]);
        }
        text.truncate(length);
        text
    }
}

fn image(tree: &Tree, codec: &str) -> Result<Vec<u8>> {
    image_of_blocks(tree, codec, 128 << 10)
}

fn image_of_blocks(tree: &Tree, codec: &str, block_size: u32) -> Result<Vec<u8>> {
    let mut image = Vec::new();
    let mut options = Options::new(codec.parse()?, 1_700_000_000);
    options.block_size = block_size;
    let written = write(tree, &options, &mut image)?;
    assert_eq!(written.size, image.len() as u64);
    assert_eq!(written.size % 4096, 0);
    Ok(image)
}

/// A small image with every kind of entry, to be damaged.
fn victim(codec: &str) -> Result<Vec<u8>> {
    let mut random = Random(11);
    let mut tree = Tree::new();
    let long = Metadata::new(0o644).xattr("user.a", "b").xattr("security.b", random.bytes(100));
    tree.insert_bytes("text", random.text(30_000), long)?;
    tree.insert_bytes("zeros", vec![0; 70_000], Metadata::new(0o644))?;
    tree.insert_bytes("usr/tail", random.bytes(5000), Metadata::new(0o755).owner(1, 1 << 20))?;
    tree.insert_symlink("usr/link", "tail", Metadata::new(0o777))?;
    let device = Device { major: 1, minor: 3 };
    tree.insert_special("usr/null", Special::Character(device), Metadata::new(0o666).xattr("user.n", ""))?;
    for number in 0..12 {
        tree.insert_bytes(format!("many/{number}{}", "n".repeat(150)), "", Metadata::new(0o600))?;
    }
    image_of_blocks(&tree, codec, 4096)
}

fn open(image: &[u8]) -> std::result::Result<Reader<Cursor<&[u8]>>, ReadError> {
    Reader::open(Cursor::new(image))
}
