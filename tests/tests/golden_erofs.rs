//! What an image of one tree is, to the byte, for each codec and any number of threads.
//!
//! A changed digest means that images built before can no longer be rebuilt: keep the old writer
//! under its id, and give the new one another. `BLESS=1` writes the dumps anew.

use std::fs::{self, File};
use std::io::{BufWriter, Seek as _, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sysext_image::erofs::{self, Options, Written};
use sysext_image::{Filesystem, dump};
use tests::needs::Suite;
use tests::sample;

/// The time of everything in the images.
const TIMESTAMP: u64 = 1_700_000_000;

/// Where the dumps lie.
const DUMPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/erofs");

/// Codec, writer id, size and digest of the image of the sample.
const IMAGES: [(&str, &str, u64, &str); 8] = [
    ("none", "erofs-1/none", 12_386_304, "fceeb70daff08569c8abefff64659c5eedce96be71c2569101802166fb3f18e1"),
    (
        "lz4hc",
        "erofs-1/lz4hc-12-c64k/lz4-1.10.0",
        3_145_728,
        "3b5282b7f8e0030f8a28c10b7a669da095c68823b4b68bde65a199da647c5452",
    ),
    (
        "lz4hc:3",
        "erofs-1/lz4hc-3-c64k/lz4-1.10.0",
        3_162_112,
        "85d44040a2317be8a812f9fee34a87a4cd37b0bdf9c719d34e29492b2c262c37",
    ),
    (
        "zstd:1",
        "erofs-1/zstd-1-w18-c13-h14-s1-m6-t0-x1-i256k/zstd-1.5.7",
        3_072_000,
        "c5b98635be3cd7ac180fc46f4cca500bac230f630d847c566860d5c4d1c40a2a",
    ),
    (
        "zstd:3",
        "erofs-1/zstd-3-w18-c17-h17-s1-m4-t0-x2-i256k/zstd-1.5.7",
        2_514_944,
        "a7dc63270868a9fc9df6c6835c998ead8d456703ea73c8ab1e96f114d9544131",
    ),
    (
        "zstd:9",
        "erofs-1/zstd-9-w18-c18-h19-s5-m4-t8-x5-i256k/zstd-1.5.7",
        2_506_752,
        "107c6df03aae81258b2e00b054c0e5452b1132a027483ecfa582fafbbe622fa5",
    ),
    (
        "zstd:15",
        "erofs-1/zstd-15-w18-c18-h19-s6-m3-t128-x7-i256k/zstd-1.5.7",
        2_355_200,
        "f5a2a3278c74dbe974771dbb121f6587ce2740ebc283bfb95f1485f67acb29ab",
    ),
    (
        "zstd:19",
        "erofs-1/zstd-19-w18-c19-h19-s8-m3-t256-x9-i256k/zstd-1.5.7",
        2_342_912,
        "27aae1e1d96542dd435b71f360d6cc0454a4758158885ae82d8a688a780a390a",
    ),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_erofs_image_is_the_same_to_the_byte", &[], images);
    suite.trial("golden_erofs_image_is_the_same_with_any_number_of_threads", &[], threads);
    suite.trial("golden_erofs_dump_is_the_same", &[], dumps);
    suite.trial("golden_erofs_timestamp_changes_the_superblock_and_nothing_else", &[], timestamp);
    suite.run()
}

fn images() -> Result<()> {
    let mut differences = String::new();
    for (codec, writer, size, sha256) in IMAGES {
        let written = write(codec, 2, TIMESTAMP, std::io::sink())?;
        let found = (written.writer.to_string(), written.size, hex(&written.sha256));
        if found != (writer.to_owned(), size, sha256.to_owned()) {
            differences += &format!("{codec}: {found:?}\n");
        }
    }
    ensure!(differences.is_empty(), "images have changed:\n{differences}");
    Ok(())
}

fn threads() -> Result<()> {
    for codec in ["none", "lz4hc", "zstd"] {
        let one = write(codec, 1, TIMESTAMP, std::io::sink())?;
        for threads in [2, 4] {
            let more = write(codec, threads, TIMESTAMP, std::io::sink())?;
            ensure!(more == one, "{codec}: another image with {threads} threads");
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
        let path = Path::new(DUMPS).join(format!("{codec}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text)?;
        }
        let expected = fs::read_to_string(&path).with_context(|| format!("no dump at {}", path.display()))?;
        let text = String::from_utf8(text)?;
        let changed = expected.lines().zip(text.lines()).find(|(expected, found)| expected != found);
        if let Some((expected, found)) = changed {
            anyhow::bail!("{}:\nexpected {expected}\nfound    {found}", path.display());
        }
        ensure!(text == expected, "{}: another number of lines", path.display());
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
    ensure!(one.len() == other.len() && one[..4096] != other[..4096]);
    // One file has an owner beyond 16 bits, and so an inode with a time of its own.
    let differing = (4096..one.len()).filter(|position| one[*position] != other[*position]).count();
    ensure!(differing == 1, "{differing} bytes differ behind the superblock");
    Ok(())
}

fn write(codec: &str, threads: usize, timestamp: u64, out: impl std::io::Write) -> Result<Written> {
    let mut options = Options::new(codec.parse()?, timestamp);
    options.threads = NonZero::new(threads);
    Ok(erofs::write(&sample::extension()?, &options, out)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
