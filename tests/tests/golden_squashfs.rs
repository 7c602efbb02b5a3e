//! The exact bytes of an image of one tree, for each codec and any number of threads.
//!
//! A changed digest means that older images cannot be rebuilt any more: keep the old writer under its id, and
//! give the new one another id. `BLESS=1` writes a new dump.

use std::io::Cursor;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sysext_image::squashfs::{self, Options, Written};
use sysext_image::{Filesystem, dump};
use tests::needs::Suite;
use tests::sample::{self, same};

/// The time of all files in the images.
const TIMESTAMP: u64 = 1_700_000_000;

/// The content of every image of the sample, with any codec.
const DUMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/squashfs/dump.txt");

/// Codec, block size, writer id, size and digest of the image of the sample.
const IMAGES: [(&str, u32, &str, u64, &str); 18] = [
    (
        "none",
        128 << 10,
        "squashfs-1/none-b128k",
        6_877_184,
        "3d84457e35274e43c1661dd96276ef20594d202a5b129e6782fb0ab66c5fca24",
    ),
    (
        "gzip:1",
        128 << 10,
        "squashfs-1/gzip-1-b128k/libdeflate-1.26",
        2_732_032,
        "bfae03b9cb302c119fb461ecf803cd58b89885ca6ed085e9521ed64fd22ef385",
    ),
    (
        "gzip:9",
        128 << 10,
        "squashfs-1/gzip-9-b128k/libdeflate-1.26",
        2_584_576,
        "2fb6c40a8da7a3ad1ab8f03b849418b1c2d5a448ec087573880b47bad50c2a07",
    ),
    (
        "gzip:12",
        128 << 10,
        "squashfs-1/gzip-12-b128k/libdeflate-1.26",
        2_535_424,
        "d96a8e0fe1dbf1d9ee2fa552c5da3bd023fd49b003187f640701dd7441eb7de4",
    ),
    (
        "lz4",
        128 << 10,
        "squashfs-1/lz4-b128k/lz4-1.10.0",
        3_731_456,
        "7d9cd9deaacc4248b8f23e9f3971a48ef2d3e4fbbdf82216173929faf6cfbae2",
    ),
    (
        "lz4hc:3",
        128 << 10,
        "squashfs-1/lz4hc-3-b128k/lz4-1.10.0",
        3_284_992,
        "ff5befe2ea4a8d39f7982039adbf6c8b996d45f5ea292ac4bea68f770e63e787",
    ),
    (
        "lz4hc:12",
        128 << 10,
        "squashfs-1/lz4hc-12-b128k/lz4-1.10.0",
        3_268_608,
        "21f4aaaf915b77fb4617455217fce76df63f7bddb3572a2bfdcc79e441f8ce2f",
    ),
    (
        "xz:0",
        128 << 10,
        "squashfs-1/xz-0-b128k/liblzma-5.8.4",
        2_564_096,
        "d40f99479d43d68d83757470b8f2295ccf5b914f401cb74cfb2db11ceffacb25",
    ),
    (
        "xz:6",
        128 << 10,
        "squashfs-1/xz-6-b128k/liblzma-5.8.4",
        2_490_368,
        "1ae9e4e9e76689c5942f13feceb43a76b058bbed61500f209255af0c355fffa0",
    ),
    (
        "zstd:1",
        128 << 10,
        "squashfs-1/zstd-1-w17-c12-h13-s1-m6-t0-x1-b128k/zstd-1.5.7",
        3_293_184,
        "daf394c0a3f7f7144863177c64f8ca3abba71ebd85902efa6894b6e700bcc9d0",
    ),
    (
        "zstd:3",
        128 << 10,
        "squashfs-1/zstd-3-w17-c15-h16-s2-m5-t0-x2-b128k/zstd-1.5.7",
        2_859_008,
        "22898ffbf20f6ae42d9332939c45de0dd522ff3baeefeadcc31598870a90bfa1",
    ),
    (
        "zstd:9",
        128 << 10,
        "squashfs-1/zstd-9-w17-c16-h17-s5-m4-t8-x5-b128k/zstd-1.5.7",
        2_641_920,
        "3442c1b03b8e1e4575e9da13cebb95458bbb5f88dd06dd9df2fb9f9ceb403d7c",
    ),
    (
        "zstd:15",
        128 << 10,
        "squashfs-1/zstd-15-w17-c18-h17-s6-m3-t256-x7-b128k/zstd-1.5.7",
        2_482_176,
        "6f995fa08cac645264d9e5999d39e79fade0669d3a6b1de8fb84c99a0aca67a9",
    ),
    (
        "zstd:19",
        128 << 10,
        "squashfs-1/zstd-19-w17-c18-h17-s5-m3-t256-x9-b128k/zstd-1.5.7",
        2_478_080,
        "93d97d42cb33b2ab4dcd4848d4fe3bfa6684315077b0c06d071d7e6591d83ed6",
    ),
    (
        "zstd:22",
        128 << 10,
        "squashfs-1/zstd-22-w17-c18-h17-s11-m3-t999-x9-b128k/zstd-1.5.7",
        2_478_080,
        "af4886816f250eb45c6f006ed137b1955d6fef15184e4cd8349cebfd0dd6e9ab",
    ),
    (
        "zstd:3",
        4 << 10,
        "squashfs-1/zstd-3-w12-c15-h16-s2-m5-t0-x2-b4k/zstd-1.5.7",
        4_571_136,
        "85b9e947c9be7ff140b7ba0cd3a413806d382022e04682ad179d8b7e83c5a424",
    ),
    (
        "zstd:15",
        1024 << 10,
        "squashfs-1/zstd-15-w20-c21-h20-s6-m3-t256-x7-b1024k/zstd-1.5.7",
        2_273_280,
        "e11b250999969c76b938fe506538f9ad13a4cf704b17ae6dfa063fb936be6a02",
    ),
    (
        "xz:6",
        1024 << 10,
        "squashfs-1/xz-6-b1024k/liblzma-5.8.4",
        2_269_184,
        "48ca198c2bca5caf7f806db7c4d3e7af34b022380151ce4f7ee651515b3b14d3",
    ),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_squashfs_image_has_the_stored_bytes", &[], images);
    suite.trial("golden_squashfs_image_is_independent_of_thread_count", &[], threads);
    suite.trial("golden_squashfs_dump_matches_the_stored_text", &[], dumps);
    suite.trial("golden_squashfs_timestamp_changes_only_times", &[], timestamp);
    suite.run()
}

fn images() -> Result<()> {
    let mut differences = String::new();
    for (codec, block, writer, size, sha256) in IMAGES {
        let written = write(codec, block, 2, TIMESTAMP, std::io::sink())?;
        let found = (written.writer.to_string(), written.size, hex(&written.sha256));
        if found != (writer.to_owned(), size, sha256.to_owned()) {
            differences += &format!("{codec}, {block}: {found:?}\n");
        }
    }
    ensure!(differences.is_empty(), "images have changed:\n{differences}");
    Ok(())
}

fn threads() -> Result<()> {
    for codec in ["none", "gzip:1", "lz4", "lz4hc:3", "xz:0", "zstd:3", "zstd:15"] {
        let one = write(codec, 128 << 10, 1, TIMESTAMP, std::io::sink())?;
        for threads in [2, 4] {
            let more = write(codec, 128 << 10, threads, TIMESTAMP, std::io::sink())?;
            ensure!(more == one, "{codec}: another image with {threads} threads");
        }
    }
    Ok(())
}

/// The sizes of files decide which ones are in fragments, not the codec.
fn dumps() -> Result<()> {
    for codec in ["none", "gzip:1", "lz4hc:3", "xz:0", "zstd:3"] {
        let mut image = Cursor::new(Vec::new());
        write(codec, 128 << 10, 2, TIMESTAMP, &mut image)?;
        let mut text = Vec::new();
        dump(&Filesystem::open(image)?, &mut text)?;
        same(Path::new(DUMP), &String::from_utf8(text)?).context(codec)?;
    }
    Ok(())
}

fn timestamp() -> Result<()> {
    let image = |timestamp| -> Result<Vec<u8>> {
        let mut image = Vec::new();
        write("none", 128 << 10, 1, timestamp, &mut image)?;
        Ok(image)
    };
    let (one, other) = (image(TIMESTAMP)?, image(TIMESTAMP + 1)?);
    ensure!(one.len() == other.len());
    let differing = (0..one.len()).filter(|position| one[*position] != other[*position]).count();
    let inodes = u32::from_le_bytes(one[4..8].try_into()?);
    ensure!(differing == usize::try_from(inodes)? + 1, "{differing} bytes differ with {inodes} inodes");
    Ok(())
}

fn write(
    codec: &str,
    block: u32,
    threads: usize,
    timestamp: u64,
    out: impl std::io::Write,
) -> Result<Written> {
    let mut options = Options::new(codec.parse()?, timestamp);
    options.block_size = block;
    options.threads = NonZero::new(threads);
    Ok(squashfs::write(&sample::extension()?, &options, out)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
