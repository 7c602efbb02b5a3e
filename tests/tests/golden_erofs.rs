//! The exact bytes of an image of one tree, for each codec and any number of threads.
//!
//! A changed digest means that older images cannot be rebuilt any more: keep the old writer under its id, and
//! give the new one another id. `BLESS=1` writes new dumps.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use sysext_image::erofs::{self, Written};
use sysext_image::{Filesystem, dump};
use tests::needs::Suite;
use tests::sample::{self, same};

/// The time of all files in the images.
const TIMESTAMP: u64 = 1_700_000_000;

/// The directory of the dumps.
const DUMPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/erofs");

/// The image of the sample for each setting: a codec, and the oldest kernel if that is not the oldest one with
/// the codec. BLESS=1 writes it again.
const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/erofs/images.txt");

/// The settings: one for each supported writer id, and both values of every option.
const SETTINGS: [&str; 14] = [
    "none",
    "lz4",
    "lz4@6.1",
    "lz4hc",
    "lz4hc:3",
    "lz4hc:12",
    "lz4hc@6.1",
    "lz4hc:12@6.1",
    "lz4hc:3@6.12",
    "zstd:1",
    "zstd:3",
    "zstd:9",
    "zstd:15",
    "zstd:19",
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_erofs_image_has_the_stored_bytes", &[], images);
    suite.trial("golden_erofs_image_is_independent_of_thread_count", &[], threads);
    suite.trial("golden_erofs_dump_matches_the_stored_text", &[], dumps);
    suite.trial("golden_erofs_timestamp_changes_only_the_superblock", &[], timestamp);
    suite.run()
}

fn images() -> Result<()> {
    let mut text = String::new();
    for setting in SETTINGS {
        let Written { writer, size, sha256 } = write(setting, 2, TIMESTAMP, std::io::sink())?;
        text += &format!("{setting} {writer} {size} {}\n", hex(&sha256));
    }
    same(Path::new(IMAGES), &text)
}

fn threads() -> Result<()> {
    for setting in ["none", "lz4", "lz4@6.1", "lz4hc", "lz4hc@6.1", "zstd", "zstd:15"] {
        let one = write(setting, 1, TIMESTAMP, std::io::sink())?;
        for threads in [2, 4] {
            let more = write(setting, threads, TIMESTAMP, std::io::sink())?;
            ensure!(more == one, "{setting}: another image with {threads} threads");
        }
    }
    Ok(())
}

fn dumps() -> Result<()> {
    for codec in ["none", "lz4hc", "zstd"] {
        let mut image = BufWriter::new(tempfile::tempfile()?);
        write(codec, 2, TIMESTAMP, &mut image)?;
        let mut image: File = image.into_inner()?;
        image.rewind()?;
        let mut text = Vec::new();
        dump(&Filesystem::open(image)?, &mut text)?;
        same(&Path::new(DUMPS).join(format!("{codec}.txt")), &String::from_utf8(text)?)?;
    }
    Ok(())
}

fn timestamp() -> Result<()> {
    let image = |timestamp| -> Result<Vec<u8>> {
        let mut image = Vec::new();
        write("none", 1, timestamp, &mut image)?;
        image.flush()?;
        Ok(image)
    };
    let (one, other) = (image(TIMESTAMP)?, image(TIMESTAMP + 1)?);
    let superblock = 1024..1152;
    ensure!(one.len() == other.len() && one[superblock.clone()] != other[superblock.clone()]);
    // One file has an owner above 16 bits, and therefore an inode with its own time.
    let differing = (0..one.len())
        .filter(|position| !superblock.contains(position) && one[*position] != other[*position])
        .count();
    ensure!(differing == 1, "{differing} bytes differ behind the superblock");
    Ok(())
}

fn write(setting: &str, threads: usize, timestamp: u64, out: impl std::io::Write) -> Result<Written> {
    let mut options = sample::options(setting, timestamp)?;
    options.threads = NonZero::new(threads);
    Ok(erofs::write(&sample::extension()?, &options, out)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
