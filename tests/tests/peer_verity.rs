//! dm-verity compared with `veritysetup`: the same bytes for the same image, and the same verdict on images
//! that were changed.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, bail, ensure};
use sysext_image::verity::{
    Appended, Builder, HashTree, Parameters, RootHash, Verifier, VerifyError, append,
};
use tests::needs::{Need, Suite};

const BLOCK: u64 = 4096;

const UUID: [u8; 16] = [0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
const UUID_TEXT: &str = "abcdef01-0203-0405-0607-08090a0b0c0d";

/// Salts for veritysetup, `-` for none.
const SALTS: [&str; 4] = ["-", "00", "0123456789abcdef", SALT_OF_32];
const SALT_OF_32: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn main() -> ExitCode {
    let tool = [Need::Tool("veritysetup")];
    let mut suite = Suite::new();
    suite.trial("peer_veritysetup_creates_the_same_tree", &tool, same_tree);
    suite.trial("peer_veritysetup_creates_the_same_tree_after_the_image", &tool, same_image);
    suite.trial("peer_veritysetup_trees_with_other_block_sizes_are_readable", &tool, other_blocks);
    suite.trial("peer_veritysetup_rejects_what_we_reject", &tool, refused);
    suite.run()
}

/// A directory with an image whose blocks all differ.
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new(blocks: u64) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut image = Vec::new();
        for word in 0..blocks * BLOCK / 8 {
            image.extend_from_slice(&(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1).to_le_bytes());
        }
        fs::write(directory.path().join("image"), image)?;
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn veritysetup(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("veritysetup");
        command.current_dir(self.directory.path()).args(arguments).env("LC_ALL", "C");
        command.output().context("cannot run veritysetup")
    }

    /// Runs `veritysetup format`, and returns the root hash that it prints.
    fn format(&self, salt: &str, hashes: &str, options: &[&str]) -> Result<RootHash> {
        let given = ["format", "--salt", salt, "--uuid", UUID_TEXT, "image", hashes];
        let output = self.veritysetup(&[&given[..], options].concat())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Root hash:"));
        let line = line.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(line.parse()?)
    }

    /// Whether `veritysetup verify` accepts the image, otherwise its message.
    fn verify(&self, hashes: &str, root: RootHash, options: &[&str]) -> Result<Option<String>> {
        self.verify_data("image", hashes, root, options)
    }

    /// The same, for another image.
    fn verify_data(
        &self,
        data: &str,
        hashes: &str,
        root: RootHash,
        options: &[&str],
    ) -> Result<Option<String>> {
        let root = root.to_string();
        let output = self.veritysetup(&[&["verify", data, hashes, &root][..], options].concat())?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((!output.status.success()).then_some(complaint))
    }

    fn tree(&self, salt: &str) -> Result<HashTree> {
        let mut builder = Builder::new(parameters(salt)?, None);
        std::io::copy(&mut File::open(self.path("image"))?, &mut builder)?;
        Ok(builder.finish()?)
    }

    /// Flips a bit of a file; a second call restores it.
    fn flip(&self, name: &str, offset: u64) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ 1], offset)?;
        Ok(())
    }

    fn ours(&self, hashes: &str, offset: u64, root: RootHash) -> Result<(), VerifyError> {
        let open = |path: &Path| File::open(path).expect("the trial has made it");
        let mut verifier = Verifier::open(open(&self.path(hashes)), offset, root)?;
        let size = verifier.superblock().data_size();
        verifier.verify_range(&mut open(&self.path("image")), 0..size)
    }
}

fn parameters(salt: &str) -> Result<Parameters> {
    let digits = salt.trim_start_matches('-').as_bytes();
    let bytes: Result<Vec<u8>> =
        digits.chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect();
    Ok(Parameters::new(&bytes?, UUID)?)
}

fn same_tree() -> Result<()> {
    // One block has no tree; then each size that adds a block or a level, and batches of a thread
    for blocks in
        [1, 2, 3, 127, 128, 129, 255, 256, 257, 300, 511, 777, 128 * 128 - 1, 128 * 128, 128 * 128 + 1]
    {
        let scratch = Scratch::new(blocks)?;
        for salt in SALTS {
            let root = scratch.format(salt, "theirs", &[])?;
            let tree = scratch.tree(salt)?;
            let mut ours = Vec::new();
            tree.write_to(&mut ours)?;
            let theirs = fs::read(scratch.path("theirs"))?;
            ensure!(
                tree.root_hash() == root,
                "{blocks} blocks, salt {salt}: {} and {root}",
                tree.root_hash()
            );
            ensure!(ours == theirs, "{blocks} blocks, salt {salt}: the trees differ");
            scratch.ours("theirs", 0, root)?;
            fs::remove_file(scratch.path("theirs"))?;
        }
        fs::write(scratch.path("ours"), {
            let mut ours = Vec::new();
            scratch.tree(SALT_OF_32)?.write_to(&mut ours)?;
            ours
        })?;
        let complaint = scratch.verify("ours", scratch.tree(SALT_OF_32)?.root_hash(), &[])?;
        ensure!(complaint.is_none(), "{blocks} blocks: {complaint:?}");
    }
    Ok(())
}

fn same_image() -> Result<()> {
    for blocks in [1, 2, 128, 129, 300] {
        let scratch = Scratch::new(blocks)?;
        fs::copy(scratch.path("image"), scratch.path("both"))?;
        let mut both = OpenOptions::new().read(true).write(true).open(scratch.path("both"))?;
        let Appended { hash_offset, root_hash } = append(&mut both, parameters(SALT_OF_32)?, None)?;

        let offset = format!("--hash-offset={hash_offset}");
        let count = format!("--data-blocks={blocks}");
        let root = scratch.format(SALT_OF_32, "image", &[&offset, &count])?;
        ensure!(root == root_hash, "{blocks} blocks: {root_hash} and {root}");
        let (ours, theirs) = (fs::read(scratch.path("both"))?, fs::read(scratch.path("image"))?);
        // Without a tree after it, veritysetup truncates the block of the superblock
        let end = if blocks == 1 { theirs.len() } else { ours.len() };
        ensure!(ours[..end] == theirs, "{blocks} blocks: the images differ");
        scratch.ours("image", hash_offset, root)?;

        let complaint = scratch.verify_data("both", "both", root, &[&offset])?;
        ensure!(complaint.is_none(), "{blocks} blocks behind their image: {complaint:?}");
        scratch.flip("both", blocks * BLOCK - 1)?;
        let complaint = scratch.verify_data("both", "both", root, &[&offset])?;
        ensure!(complaint.is_some(), "{blocks} blocks behind their image: a bit was flipped");
    }
    Ok(())
}

fn other_blocks() -> Result<()> {
    for (data, hash) in [(512, 512), (1024, 4096), (4096, 512), (4096, 1024), (512, 4096)] {
        for blocks in [1, 17, 40] {
            let scratch = Scratch::new(blocks)?;
            let sizes = [format!("--data-block-size={data}"), format!("--hash-block-size={hash}")];
            let root = scratch.format(SALT_OF_32, "hashes", &sizes.each_ref().map(String::as_str))?;
            scratch.ours("hashes", 0, root).with_context(|| format!("{data} {hash} {blocks}"))?;
            scratch.flip("image", blocks * BLOCK - 1)?;
            let error = scratch.ours("hashes", 0, root).expect_err("a bit was flipped");
            let expected = blocks * BLOCK - data;
            ensure!(matches!(error, VerifyError::Data { offset } if offset == expected), "{error}");
        }
    }
    Ok(())
}

fn refused() -> Result<()> {
    let blocks = 300;
    let scratch = Scratch::new(blocks)?;
    let tree = scratch.tree(SALT_OF_32)?;
    let root = tree.root_hash();
    let mut file = File::create(scratch.path("hashes"))?;
    tree.write_to(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    file.flush()?;
    let both = |what: &str| -> Result<VerifyError> {
        let (ours, theirs) = (scratch.ours("hashes", 0, root), scratch.verify("hashes", root, &[])?);
        match (ours, theirs) {
            (Err(error), Some(_)) => Ok(error),
            (ours, theirs) => bail!("{what}: we say {ours:?}, veritysetup says {theirs:?}"),
        }
    };
    for offset in [0, 4095, 140 * BLOCK, blocks * BLOCK - 1] {
        scratch.flip("image", offset)?;
        let error = both("a block of the image")?;
        let first = offset / BLOCK * BLOCK;
        ensure!(matches!(error, VerifyError::Data { offset } if offset == first), "{error}");
        // Its position is also that of the block
        let complaint = scratch.verify("hashes", root, &[])?.unwrap_or_default();
        ensure!(complaint.contains(&format!("position {first}")), "{complaint}");
        scratch.flip("image", offset)?;
    }
    for (offset, level) in [(BLOCK, 2), (2 * BLOCK - 1, 2), (2 * BLOCK, 1), (5 * BLOCK - 1, 1)] {
        scratch.flip("hashes", offset)?;
        let error = both("a block of the tree")?;
        ensure!(matches!(error, VerifyError::Hash { level: found, .. } if found == level), "{error}");
        scratch.flip("hashes", offset)?;
    }
    // The last hash of the image is missing, and the number of blocks is smaller
    scratch.flip("hashes", 72)?;
    both("the number of blocks")?;
    scratch.flip("hashes", 72)?;
    scratch.ours("hashes", 0, root)?;
    ensure!(scratch.verify("hashes", root, &[])?.is_none(), "the flips were not undone");
    Ok(())
}
