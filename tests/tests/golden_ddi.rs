//! The exact bytes of a disk image around one file system, for each architecture, sector size and key, and any
//! number of threads.
//!
//! The file system is uncompressed erofs, whose bytes are pinned by `golden_erofs`. A changed digest here means
//! that the same release has another image, and another root hash to sign or to pin.

use std::fs;
use std::io::Cursor;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sysext_image::ddi::{self, Architecture, Designator, Options, Reader, Sector, Seed, Writer};
use sysext_image::pkcs7::{Certificate, PrivateKey, Signer};
use sysext_image::verity::{Builder, Parameters};
use sysext_image::{Codec, Filesystem, Format, dump, erofs, squashfs};
use sysext_manifests::digest::Sha256;
use tests::needs::Suite;
use tests::sample::{self, same};

/// The time of all files in the file system.
const TIMESTAMP: u64 = 1_700_000_000;

/// Keys that are only for tests.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../image/fixtures");

/// The directory of the dumps.
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// The root hash of the sample in any disk image, as long as no seed is given.
const ROOT_HASH: &str = "795caa0f1bfca865b091010d2c69b17a4a557f85b610dce2e59dced42a3ca477";

/// Digest of the tree in a file of its own.
const TREE: &str = "55ea6bd781bb825e2305955ed5ed70085805e7fdd0683df94ba5932f33641e8a";

/// Architecture, size of a sector, key, and the digest of the image.
const IMAGES: [(Architecture, Sector, Option<&str>, &str); 7] = [
    (
        Architecture::X86_64,
        Sector::Bytes512,
        None,
        "aae083dc282ffcfad53319a3bb22b2a74206481d1130dacfe28565de0fde5835",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes4096,
        None,
        "50c746ac600a63d92d206ce0ca435506b34c81c3f0dd52eccd05b3310c75457c",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("rsa"),
        "937f36997c650cbd21ac927fbd11ac6aa741f2f6b162818d6d04edeeffb9bbdf",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p256"),
        "43d023f15072ac3913f965945db1f21506a0226ab92ee3157ab285d10f81efa6",
    ),
    (
        Architecture::X86_64,
        Sector::Bytes512,
        Some("p384"),
        "3a251063265959b2f4e26b84fc3bdd73d80ce93ce1399add8dd4c6bbbf599bdf",
    ),
    (
        Architecture::Arm64,
        Sector::Bytes512,
        Some("rsa"),
        "c5474c4899c2fc8cc5626236931dcdd6542d015d4fe2d97bf7ff8d62451363ca",
    ),
    (
        Architecture::Riscv64,
        Sector::Bytes512,
        Some("rsa"),
        "8f84ae30da6c0d7912a1273b711ef43b53b94bb6289295a79e2356b6bf838f1d",
    ),
];

/// Digest of an image of `/usr` with a seed.
const SEEDED: &str = "dec64378a83248edb9666ef6f750bf365581660719aeb33e297d34b32f84a72c";

/// Digest of a signed image around squashfs.
const AROUND_SQUASHFS: &str = "b59642d02f38e58cd6aeba5ad50ba9b449545e3f067f3fe6bf07fbe274c2496e";

/// What the two filesystems hold, as their own golden tests have it.
const DUMPS: [(Format, &str); 2] =
    [(Format::Erofs, "erofs/none.txt"), (Format::Squashfs, "squashfs/dump.txt")];

/// The partitions of the first signed image.
const PARTITIONS: &str = "\
disk afecc3bc-41b8-4f94-8877-e63e58272a2a 12955648 bytes
root-x86-64 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 795caa0f-1bfc-a865-b091-010d2c69b17a 12787712 at 20480 flags 1000000000000000
root-x86-64-verity 2c7357ed-ebd2-46d9-aec1-23d437ec2bf5 4a557f85-b610-dce2-e59d-ced42a3ca477 110592 at 12808192 flags 1000000000000000
root-x86-64-verity-sig 41092b05-9fc8-4523-994f-2def0408b176 2631990c-4b16-45e6-9cf8-8e1004cfc31e 16384 at 12918784 flags 1000000000000000
";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_ddi_image_has_the_stored_bytes", &[], images);
    suite.trial("golden_ddi_image_is_independent_of_thread_count", &[], threads);
    suite.trial("golden_ddi_partitions_match_the_stored_text", &[], partitions);
    suite.trial("golden_ddi_dump_equals_that_of_the_filesystem", &[], dumps);
    suite.trial("golden_verity_tree_has_the_stored_bytes", &[], tree);
    suite.run()
}

/// The file system is written directly into the image.
fn write(options: Options, key: Option<&str>, format: Format) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, options)?;
    filesystem(&mut writer, format)?;
    match key {
        None => drop(writer.finish()?),
        Some(name) => {
            let signer = signer(name)?;
            writer.finish_signed(|root_hash| ddi::Signature::new(&signer, root_hash))?;
        }
    }
    Ok(out.into_inner())
}

fn filesystem(out: impl std::io::Write, format: Format) -> Result<()> {
    let tree = sample::extension()?;
    match format {
        Format::Erofs => drop(erofs::write(&tree, &erofs::Options::new(Codec::None, TIMESTAMP), out)?),
        Format::Squashfs => {
            let options = squashfs::Options::new("none".parse()?, TIMESTAMP);
            squashfs::write(&tree, &options, out)?;
        }
    }
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
        let image = write(Options { sector, ..Options::new(architecture) }, key, Format::Erofs)?;
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
    let found = Sha256::of(&write(options, Some("rsa"), Format::Erofs)?).to_string();
    if found != SEEDED {
        differences += &format!("usr with a seed: {found}\n");
    }
    let image = write(Options::new(Architecture::X86_64), Some("p256"), Format::Squashfs)?;
    let found = Sha256::of(&image).to_string();
    if found != AROUND_SQUASHFS {
        differences += &format!("around squashfs: {found}\n");
    }
    ensure!(differences.is_empty(), "images have changed:\n{differences}");
    Ok(())
}

fn threads() -> Result<()> {
    let options = Options::new(Architecture::X86_64);
    let one = write(Options { threads: NonZero::new(1), ..options }, None, Format::Erofs)?;
    for threads in [2, 4] {
        let more = write(Options { threads: NonZero::new(threads), ..options }, None, Format::Erofs)?;
        ensure!(more == one, "another image with {threads} threads");
    }
    Ok(())
}

fn partitions() -> Result<()> {
    let image = write(Options::new(Architecture::X86_64), Some("rsa"), Format::Erofs)?;
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

/// A signed image, read through its hash tree, contains the same as the file system alone.
fn dumps() -> Result<()> {
    for (format, path) in DUMPS {
        let image = write(Options::new(Architecture::X86_64), Some("p256"), format)?;
        let mut text = Vec::new();
        dump(&Filesystem::open(Reader::open(Cursor::new(image))?.checked()?)?, &mut text)?;
        same(&Path::new(TEXTS).join(path), &String::from_utf8(text)?)?;
    }
    Ok(())
}

fn tree() -> Result<()> {
    let mut image = Vec::new();
    filesystem(&mut image, Format::Erofs)?;
    let mut builder = Builder::new(Parameters::from_seed(&Seed::of_first_block(&image)), None);
    builder.update(&image);
    let tree = builder.finish()?;
    let mut file = Vec::new();
    tree.write_to(&mut file)?;
    let found = (tree.root_hash().to_string(), Sha256::of(&file).to_string());
    ensure!(found == (ROOT_HASH.to_owned(), TREE.to_owned()), "the tree has changed: {found:?}");
    Ok(())
}
