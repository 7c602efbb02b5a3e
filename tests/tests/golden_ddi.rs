//! What a disk image around one filesystem is, to the byte, for each architecture, size of sector and
//! key, and any number of threads.
//!
//! The filesystem is uncompressed erofs, whose bytes `golden_erofs` holds. A changed digest here means
//! that the same release has another image, and another root hash to be signed or pinned.

use std::fs;
use std::io::Cursor;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sysext_image::ddi::{self, Architecture, Designator, Options, Reader, Sector, Seed, Writer};
use sysext_image::pkcs7::{Certificate, PrivateKey, Signer};
use sysext_image::verity::{Builder, Parameters};
use sysext_image::{Codec, erofs};
use sysext_manifests::digest::Sha256;
use tests::needs::Suite;
use tests::sample;

/// The time of everything in the filesystem.
const TIMESTAMP: u64 = 1_700_000_000;

/// Keys that nobody trusts.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../image/fixtures");

/// The root hash of the sample, whatever is around it, as long as no seed is given.
const ROOT_HASH: &str = "ab1b5ac1134fde7608c57129de8c90241dbb57f0f6c00509678806a1580ff6f0";

/// Digest of the tree in a file of its own.
const TREE: &str = "e56bc3701d97d7966c3a20132ae101f54f24d295b4d10ab6af58d7484bf025d2";

/// Architecture, size of a sector, key, and the digest of the image.
const IMAGES: [(Architecture, Sector, Option<&str>, &str); 7] = [
    (
        Architecture::X86_64,
        Sector::Bytes512,
        None,
        "8256c43f44bbd4ffca071c08cf3d7b2be08cfade1fc205daff8290aa00e0550a",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes4096,
        None,
        "ba32aadf4737a05bfbff62ce47dabb9805ac72fa222e2167d10603ed6279ae89",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("rsa"),
        "cb2cc1eb0ea613eb7b49113ff534b2decfeab0a26db1f7ef0ebf1b6652987aee",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p256"),
        "3c74d5db02483bc6a5cf39f242a05f9b636a9b1c8d6ff60a718b42152070d67b",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p384"),
        "dab26cc52f8f37ac7c8614ab67781c80dd4c92603452674a6c704d88e131bba8",
    ),
    (
        Architecture::Arm64,
        Sector::Bytes512,
        Some("rsa"),
        "e16dc1a928ecff34e0d943b6023fa5550ad71fe041cc9417c03ec7acf338d0da",
    ),
    (
        Architecture::Riscv64,
        Sector::Bytes512,
        Some("rsa"),
        "33034298b7ac3b2688dd5f63b18d83d2563f5425a40b29c3d949c3129fba99f6",
    ),
];

/// Digest of an image of `/usr` with a seed.
const SEEDED: &str = "c079f2220d5c2699172354bf01323b11501f1cf30768f304f377774a0b4d354f";

/// The partitions of the first signed image.
const PARTITIONS: &str = "\
disk e02a562b-327f-4cb9-8483-2d892b000cf2 12959744 bytes
root-x86-64 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 ab1b5ac1-134f-de76-08c5-7129de8c9024 12791808 at 20480 flags 1000000000000000
root-x86-64-verity 2c7357ed-ebd2-46d9-aec1-23d437ec2bf5 1dbb57f0-f6c0-0509-6788-06a1580ff6f0 110592 at 12812288 flags 1000000000000000
root-x86-64-verity-sig 41092b05-9fc8-4523-994f-2def0408b176 4509b4ff-5a5f-4656-a522-04276c0dbe35 16384 at 12922880 flags 1000000000000000
";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_ddi_image_is_the_same_to_the_byte", &[], images);
    suite.trial("golden_ddi_image_is_the_same_with_any_number_of_threads", &[], threads);
    suite.trial("golden_ddi_partitions_are_the_same", &[], partitions);
    suite.trial("golden_verity_tree_is_the_same_to_the_byte", &[], tree);
    suite.run()
}

/// The filesystem goes straight into the image, as it is written.
fn write(options: Options, key: Option<&str>) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, options)?;
    filesystem(&mut writer)?;
    match key {
        None => drop(writer.finish()?),
        Some(name) => {
            let signer = signer(name)?;
            writer.finish_signed(|root_hash| ddi::Signature::new(&signer, root_hash))?;
        }
    }
    Ok(out.into_inner())
}

fn filesystem(out: impl std::io::Write) -> Result<()> {
    erofs::write(&sample::extension()?, &erofs::Options::new(Codec::None, TIMESTAMP), out)?;
    Ok(())
}

fn signer(name: &str) -> Result<Signer> {
    let path = |ending: &str| Path::new(FIXTURES).join(format!("test-only-{name}.{ending}"));
    let key = PrivateKey::from_pem(&fs::read_to_string(path("key")).context("the fixtures are there")?)?;
    Ok(Signer::new(key, Certificate::parse(&fs::read(path("crt"))?)?)?)
}

fn images() -> Result<()> {
    let mut differences = String::new();
    for (architecture, sector, key, expected) in IMAGES {
        let image = write(Options { sector, ..Options::new(architecture) }, key)?;
        let reader = Reader::open(Cursor::new(&image))?;
        reader.verify()?;
        let root_hash = reader.root_hash().context("it has verity")?.to_string();
        if root_hash != ROOT_HASH {
            differences += &format!("{architecture} {sector:?}: root hash {root_hash}\n");
        }
        if let Some(key) = key {
            reader.verify_signature(&[signer(key)?.certificate().clone()])?;
        }
        let found = Sha256::of(&image).to_string();
        if found != expected {
            differences += &format!("{architecture} {sector:?} {key:?}: {found}\n");
        }
    }
    let seed = Some(Seed(*b"0123456789abcdef"));
    let designator = Designator::Usr;
    let options = Options { designator, seed, ..Options::new(Architecture::X86_64) };
    let found = Sha256::of(&write(options, Some("rsa"))?).to_string();
    if found != SEEDED {
        differences += &format!("usr with a seed: {found}\n");
    }
    ensure!(differences.is_empty(), "images have changed:\n{differences}");
    Ok(())
}

fn threads() -> Result<()> {
    let options = Options::new(Architecture::X86_64);
    let one = write(Options { threads: NonZero::new(1), ..options }, None)?;
    for threads in [2, 4] {
        let more = write(Options { threads: NonZero::new(threads), ..options }, None)?;
        ensure!(more == one, "another image with {threads} threads");
    }
    Ok(())
}

fn partitions() -> Result<()> {
    let image = write(Options::new(Architecture::X86_64), Some("rsa"))?;
    let reader = Reader::open(Cursor::new(&image))?;
    let mut text = format!("disk {} {} bytes\n", reader.table().disk, reader.table().size());
    for partition in &reader.table().partitions {
        text += &format!(
            "{} {} {} {} at {} flags {:016x}\n",
            partition.name, partition.kind, partition.id, partition.size, partition.offset, partition.flags
        );
    }
    ensure!(text == PARTITIONS, "the partitions have changed:\n{text}");
    Ok(())
}

fn tree() -> Result<()> {
    let mut image = Vec::new();
    filesystem(&mut image)?;
    let mut builder = Builder::new(Parameters::from_seed(&Seed::of_first_block(&image)), None);
    builder.update(&image);
    let tree = builder.finish()?;
    let mut file = Vec::new();
    tree.write_to(&mut file)?;
    let found = (tree.root_hash().to_string(), Sha256::of(&file).to_string());
    ensure!(found == (ROOT_HASH.to_owned(), TREE.to_owned()), "the tree has changed: {found:?}");
    Ok(())
}
