//! A disk with the content of a directory, created without mounting.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Block size in bytes. Extended attributes larger than a block are lost.
const BLOCK: u64 = 4096;

/// Free space in bytes for a trial to write. Unused blocks take no space.
const SPARE: u64 = 256 << 20;

/// Creates an ext4 image of the directory with owners, devices, attributes and links.
pub(super) fn make(directory: &Path, image: &Path) -> Result<()> {
    let size = (size_of(directory)? + SPARE).next_multiple_of(BLOCK);
    let file = File::create(image).with_context(|| format!("cannot make {}", image.display()))?;
    file.set_len(size).with_context(|| format!("cannot make {} {size} bytes long", image.display()))?;
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-b", &BLOCK.to_string(), "-i", &BLOCK.to_string(), "-O", "^has_journal"]);
    let output = command.arg("-d").args([directory, image]).output().context("cannot run mkfs.ext4")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The space for a directory, including inodes of 256 bytes and indexes.
fn size_of(directory: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
        let metadata = entry.metadata().with_context(|| format!("cannot look at {:?}", entry.path()))?;
        let content = metadata.len() + metadata.len() / 64;
        // One block for attributes, and part of one for inode and name.
        size += content.next_multiple_of(BLOCK) + 2 * BLOCK;
        if metadata.is_dir() {
            size += size_of(&entry.path())?;
        }
    }
    Ok(size)
}
