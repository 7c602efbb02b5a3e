//! What an image of one tree is, to the byte, for each codec and any number of threads.
//!
//! A changed digest means that images built before can no longer be rebuilt: keep the old writer
//! under its id, and give the new one another.

use std::num::NonZero;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use sysext_image::squashfs::{self, Options, Written};
use tests::needs::Suite;
use tests::sample;

/// The time of everything in the images.
const TIMESTAMP: u64 = 1_700_000_000;

/// Codec, size of a block, writer id, size and digest of the image of the sample.
const IMAGES: [(&str, u32, &str, u64, &str); 18] = [
    (
        "none",
        128 << 10,
        "squashfs-1/none-b128k",
        6_475_776,
        "18df5d0c48fd0975d7ac0955dc8f29ae05f2be5ff744fc29a32fecb7f81bf84e",
    ),
    (
        "gzip:1",
        128 << 10,
        "squashfs-1/gzip-1-b128k/libdeflate-1.26",
        2_539_520,
        "6187df321dd083b911943ee626cadb5119f96417b13d7de9292f33af0fa919d1",
    ),
    (
        "gzip:9",
        128 << 10,
        "squashfs-1/gzip-9-b128k/libdeflate-1.26",
        2_400_256,
        "32cf661630c8a7450a753471d20d6eb0521b2079dba110bfdf88b30d6bbaff49",
    ),
    (
        "gzip:12",
        128 << 10,
        "squashfs-1/gzip-12-b128k/libdeflate-1.26",
        2_351_104,
        "b6e2ceda7a56fb0d05323d581d9c843a40917c09289448b958e0d3052cc03a76",
    ),
    (
        "lz4",
        128 << 10,
        "squashfs-1/lz4-b128k/lz4-1.10.0",
        3_493_888,
        "84d4be838b8ddf8155c6aaf5f753be0f8f3bb505cbba776483d03220cef951f7",
    ),
    (
        "lz4hc:3",
        128 << 10,
        "squashfs-1/lz4hc-3-b128k/lz4-1.10.0",
        3_063_808,
        "8160d962758e4089bc227c8e29530206eea3971fa5eee63bfa5951cdd17bd201",
    ),
    (
        "lz4hc:12",
        128 << 10,
        "squashfs-1/lz4hc-12-b128k/lz4-1.10.0",
        3_043_328,
        "0433955a3ab00cdb2f249b039b0ba630e94f3c4a16f533ed0b696f10ee002451",
    ),
    (
        "xz:0",
        128 << 10,
        "squashfs-1/xz-0-b128k/liblzma-5.8.4",
        2_383_872,
        "2a8de36c6271f20450f9d562aea881f0b859914fa05ed517e0c37293ef3ccdfc",
    ),
    (
        "xz:6",
        128 << 10,
        "squashfs-1/xz-6-b128k/liblzma-5.8.4",
        2_310_144,
        "3d18be7120b42142d5132998ad076fe5a4aa8c5d356e78137c6b9049f7e210a7",
    ),
    (
        "zstd:1",
        128 << 10,
        "squashfs-1/zstd-1-w17-c12-h13-s1-m6-t0-x1-b128k/zstd-1.5.7",
        3_072_000,
        "c810234184bc9c772c0231c13fdb36adc62592622cbed91c0f542390e6dc87cd",
    ),
    (
        "zstd:3",
        128 << 10,
        "squashfs-1/zstd-3-w17-c15-h16-s2-m5-t0-x2-b128k/zstd-1.5.7",
        2_662_400,
        "8858d29119a317357e00568b0393fb4f1d02f9f71bd24e21602ec01e74f6ce34",
    ),
    (
        "zstd:9",
        128 << 10,
        "squashfs-1/zstd-9-w17-c16-h17-s5-m4-t8-x5-b128k/zstd-1.5.7",
        2_457_600,
        "448afad4a5f07f8438bbaaf160aa39a990c7cd74775578fd387a84d816810305",
    ),
    (
        "zstd:15",
        128 << 10,
        "squashfs-1/zstd-15-w17-c18-h17-s6-m3-t256-x7-b128k/zstd-1.5.7",
        2_306_048,
        "e26a858615e462c822f77652a983f05976e69c46bd06190cb0f2a1e612336dd8",
    ),
    (
        "zstd:19",
        128 << 10,
        "squashfs-1/zstd-19-w17-c18-h17-s5-m3-t256-x9-b128k/zstd-1.5.7",
        2_301_952,
        "c67b531ab13151595ebdbd7968ea31ffdc497f3040317fa6ce493adf29a002aa",
    ),
    (
        "zstd:22",
        128 << 10,
        "squashfs-1/zstd-22-w17-c18-h17-s11-m3-t999-x9-b128k/zstd-1.5.7",
        2_301_952,
        "b94382cf9445fbfbac1ff08ce74ccd16d42733f901c4ce6cb2caf2fe6d7d468b",
    ),
    (
        "zstd:3",
        4 << 10,
        "squashfs-1/zstd-3-w12-c15-h16-s2-m5-t0-x2-b4k/zstd-1.5.7",
        4_296_704,
        "e7a743400c82898cd68cb9de63c24080e0d91139e83154b47f538420fb915740",
    ),
    (
        "zstd:15",
        1024 << 10,
        "squashfs-1/zstd-15-w20-c21-h20-s6-m3-t256-x7-b1024k/zstd-1.5.7",
        2_097_152,
        "bdabc89702713f87d5fc14a3647aa1ee87171473a01ed02ec4532eb1d48c84b5",
    ),
    (
        "xz:6",
        1024 << 10,
        "squashfs-1/xz-6-b1024k/liblzma-5.8.4",
        2_088_960,
        "03d457235cbf62e7614d5837c2e8d7aca6abb4603df9b2767f77de8f6abec662",
    ),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_squashfs_image_is_the_same_to_the_byte", &[], images);
    suite.trial("golden_squashfs_image_is_the_same_with_any_number_of_threads", &[], threads);
    suite.trial("golden_squashfs_timestamp_changes_times_and_nothing_else", &[], timestamp);
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
    for codec in ["none", "gzip:1", "lz4", "lz4hc:3", "xz:0", "zstd:3"] {
        let one = write(codec, 128 << 10, 1, TIMESTAMP, std::io::sink())?;
        for threads in [2, 4] {
            let more = write(codec, 128 << 10, threads, TIMESTAMP, std::io::sink())?;
            ensure!(more == one, "{codec}: another image with {threads} threads");
        }
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
