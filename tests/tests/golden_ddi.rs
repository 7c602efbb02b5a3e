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
const ROOT_HASH: &str = "3e0ccdca400924457fb85ff388f1f57de6a28b189478cbc7b59b7a941585ddaa";

/// Digest of the tree in a file of its own.
const TREE: &str = "c79f2de4952c5b4325fa93809c71488b9b7188a83b48f823098aeaf216c1255b";

/// Architecture, size of a sector, key, and the digest of the image.
const IMAGES: [(Architecture, Sector, Option<&str>, &str); 7] = [
    (
        Architecture::X86_64,
        Sector::Bytes512,
        None,
        "777d671a9d87ab86f930d045c9c1259f3f54a67185f19a671c49219aa9d20672",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes4096,
        None,
        "ce48afe62a4c6e83cd3a907bdf1d24b1af30d4d4431aecd03d8daab33b138d0c",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("rsa"),
        "afe600ef801bcc339e54b906f4fa9ffdcbf01e4159bc99a355875087500954cb",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p256"),
        "1dc0691001726625313ca8801202705dab6385cfd71deec03274eefe19dcbba4",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p384"),
        "d0169f4cfae3c126186f807533f0e4ef737e9671e2ac894c3a0dd13b467b1e18",
    ),
    (
        Architecture::Arm64,
        Sector::Bytes512,
        Some("rsa"),
        "69e204091f8f5b13a23b1d4d9ee1bf67c5449ef6fc431bad22efd1fddfa70a1f",
    ),
    (
        Architecture::Riscv64,
        Sector::Bytes512,
        Some("rsa"),
        "0e0a3fea626765ff6d6ef280ca79f7f3120bee3e314590a74b1c8b4549bb066e",
    ),
];

/// Digest of an image of `/usr` with a seed.
const SEEDED: &str = "09651f5499dfb1300afeb1d616c8106ee52949dfcb0f89b39a42bad150cacb21";

/// The partitions of the first signed image.
const PARTITIONS: &str = "\
disk 09a4e220-d4d0-4a0c-8309-22969663dbe8 12550144 bytes
root-x86-64 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 3e0ccdca-4009-2445-7fb8-5ff388f1f57d 12386304 at 20480 flags 1000000000000000
root-x86-64-verity 2c7357ed-ebd2-46d9-aec1-23d437ec2bf5 e6a28b18-9478-cbc7-b59b-7a941585ddaa 106496 at 12406784 flags 1000000000000000
root-x86-64-verity-sig 41092b05-9fc8-4523-994f-2def0408b176 06d016be-835b-4c3d-861e-ba7c9e8895e2 16384 at 12513280 flags 1000000000000000
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
