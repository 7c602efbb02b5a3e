//! A tree that is generated in code, the same on every machine, and comparison with stored texts.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use sysext_image::erofs::Options;
use sysext_image::tree::{Metadata, Tree, TreeError};

/// A reproducible stream of numbers (xorshift64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts with this seed, which must not be zero.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % end
    }

    /// Bytes that no codec can compress.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }

    /// Bytes that every codec compresses to about a third.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..300).map(|n| self.bytes(2 + n % 9)).collect();
        let mut text = Vec::new();
        while text.len() < length {
            text.extend_from_slice(&words[usize::try_from(self.below(300)).unwrap_or(0)]);
        }
        text.truncate(length);
        text
    }
}

/// Parses options for an erofs image such as `zstd:3`, or `lz4hc@6.1` for an older kernel than the default.
pub fn options(setting: &str, timestamp: u64) -> Result<Options> {
    let (codec, kernel) = setting.split_once('@').unzip();
    let mut options = Options::new(codec.unwrap_or(setting).parse()?, timestamp);
    if let Some(kernel) = kernel {
        options.kernel = kernel.parse()?;
    }
    Ok(options)
}

/// Compares a text with a file; with BLESS=1 it writes the file instead.
pub fn same(path: &Path, text: &str) -> Result<()> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text)?;
    }
    let expected = fs::read_to_string(path).with_context(|| format!("no text at {}", path.display()))?;
    let changed = expected.lines().zip(text.lines()).find(|(expected, found)| expected != found);
    if let Some((expected, found)) = changed {
        bail!("{}:\nexpected {expected}\nfound    {found}", path.display());
    }
    ensure!(text == expected, "{}: another number of lines", path.display());
    Ok(())
}

/// Sizes around those at which the layout of a file changes.
pub fn edges() -> Vec<usize> {
    let around = |size: usize| [size - 1, size, size + 1];
    let edges = [4064, 4096, 8192, 65_536, 131_072, 262_144].map(around);
    [vec![0, 1], edges.concat()].concat()
}

/// An extension with every kind of entry, including a file of several segments.
pub fn extension() -> Result<Tree, TreeError> {
    let mut random = Random::new(1);
    let mut tree = Tree::new();
    let (file, program) = (Metadata::new(0o644), Metadata::new(0o755));
    tree.insert_bytes("usr/bin/program", random.text(4_500_000), program.clone())?;
    tree.insert_link("usr/bin/other-name", "usr/bin/program")?;
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    tree.insert_bytes("usr/bin/ping", random.text(70_000), program.xattr("security.capability", capability))?;
    tree.insert_bytes("usr/bin/sudo", random.text(50_000), Metadata::new(0o4755))?;
    tree.insert_symlink("usr/bin/link", "../lib/target", Metadata::new(0o777))?;
    let strict = Metadata::new(0o644).xattr("user.extension-release.strict", "0");
    tree.insert_bytes("usr/lib/extension-release.d/extension-release.sample", "ID=_any\n", strict)?;
    tree.insert_bytes("usr/lib/large-ids", "x", file.clone().owner(70_000, 80_000))?;
    tree.insert_bytes("usr/lib/random", random.bytes(300_000), file.clone())?;
    tree.insert_bytes("usr/lib/zero", vec![0; 6_000_000], file.clone())?;
    for size in edges() {
        tree.insert_bytes(format!("usr/share/edges/{size}"), random.text(size), file.clone())?;
    }
    let twin = random.text(120_000);
    for name in ["one", "other"] {
        tree.insert_bytes(format!("usr/lib/equal/{name}"), twin.clone(), file.clone())?;
        let marked = file.clone().xattr("user.mark", "an attribute of many").xattr("user.name", name);
        for number in 0..20 {
            let content = random.text(300 + 700 * number);
            tree.insert_bytes(format!("usr/lib/marked/{name}-{number}"), content, marked.clone())?;
        }
    }
    for number in 0..400 {
        tree.insert_bytes(format!("usr/share/many/entry-{number}"), number.to_string(), file.clone())?;
    }
    tree.insert_directory("usr/share/empty", Metadata::new(0o1777))?;
    tree.insert_bytes(format!("usr/share/{}", "n".repeat(255)), "long", file)?;
    Ok(tree)
}
