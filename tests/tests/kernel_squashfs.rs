//! The kernel, squashfs-tools and libsquashfs read our squashfs images: the result must equal the directory
//! from which the image was built.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::umount;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use sysext_image::Tree;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::squashfs::{self, Options, Reader};
use tests::needs::{Need, Suite};
use tests::peer::run;
use tests::programs;
use tests::specimen::{self, mount_by_loop_device};

/// Each codec with the kernel that it needs, and the block size. A version does not show how a kernel was
/// configured; kernels of distributions have all of these.
const CODECS: [(&str, (u32, u32), u32); 9] = [
    ("none", (4, 14), 128 << 10),
    ("gzip", (4, 14), 128 << 10),
    ("lz4", (4, 14), 128 << 10),
    ("lz4hc", (4, 14), 128 << 10),
    ("xz:1", (4, 14), 128 << 10),
    ("zstd:3", (4, 14), 128 << 10),
    ("zstd:3", (4, 14), 4 << 10),
    ("zstd:3", (4, 14), 1 << 20),
    ("xz:0", (4, 14), 4 << 10),
];

/// Each codec again, with another block size.
const OTHER_BLOCKS: [(&str, u32); 6] = [
    ("none", 4 << 10),
    ("gzip:1", 1 << 20),
    ("lz4", 4 << 10),
    ("lz4hc:3", 1 << 20),
    ("xz:0", 1 << 20),
    ("zstd:3", 64 << 10),
];

/// Small files in the images with other block sizes: they take most of the time.
const FEW_FILES: usize = 600;

/// Options of mksquashfs that produce different images.
const FOREIGN: [(&str, &[&str]); 12] = [
    ("gzip", &["-comp", "gzip"]),
    ("gzip_level_1", &["-comp", "gzip", "-Xcompression-level", "1", "-Xwindow-size", "10"]),
    ("lz4", &["-comp", "lz4"]),
    ("lz4hc", &["-comp", "lz4", "-Xhc"]),
    ("xz", &["-comp", "xz"]),
    ("xz_with_filters", &["-comp", "xz", "-Xbcj", "x86,arm", "-b", "1M"]),
    ("zstd", &["-comp", "zstd", "-Xcompression-level", "1"]),
    ("zstd_22_small_blocks", &["-comp", "zstd", "-Xcompression-level", "22", "-b", "4K"]),
    ("zstd_tails_in_fragments", &["-comp", "zstd", "-Xcompression-level", "1", "-tailends"]),
    (
        "zstd_without_fragments",
        &["-comp", "zstd", "-Xcompression-level", "1", "-no-fragments", "-no-exports"],
    ),
    (
        "zstd_without_compressed_tables",
        &["-comp", "zstd", "-Xcompression-level", "1", "-noI", "-noX", "-noId"],
    ),
    ("stored", &["-noI", "-noD", "-noF", "-noX", "-no-duplicates", "-nopad"]),
];

fn main() -> ExitCode {
    const SQUASHFS: Need = Need::Filesystem("squashfs");
    let mut suite = Suite::new();
    for (codec, (major, minor), block) in CODECS {
        let words = format!("{}_{}k", codec.replace(':', "_"), block >> 10);
        let needs = [SQUASHFS, Need::Kernel(major, minor), Need::Tool("mount")];
        suite.isolated(&format!("kernel_squashfs_{words}_equals_the_directory"), &needs, move || {
            let bench = Bench::new(codec, block)?;
            mount_by_loop_device("squashfs", &bench.image, &bench.mounted)?;
            specimen::compare(&bench.source, &bench.mounted)
        });
        suite.isolated(
            &format!("peer_unsquashfs_{words}_equals_the_directory"),
            &[Need::Tool("unsquashfs")],
            move || {
                let bench = Bench::new(codec, block)?;
                let out =
                    unsquashfs(&["-no-progress", "-quiet", "-dest"], Some(&bench.mounted), &bench.image)?;
                ensure!(out.is_empty(), "{out}");
                specimen::compare(&bench.source, &bench.mounted)
            },
        );
        suite.isolated(
            &format!("peer_libsquashfs_{words}_equals_the_directory"),
            &[Need::Libsquashfs],
            move || {
                let bench = Bench::new(codec, block)?;
                fs::remove_dir(&bench.mounted)?;
                libsquashfs("unpack", &bench.image, &bench.mounted)?;
                specimen::compare(&bench.source, &bench.mounted)
            },
        );
    }
    let needs = [SQUASHFS, Need::Tool("mount")];
    suite.isolated(
        "kernel_squashfs_with_other_block_sizes_equals_the_directory",
        &[SQUASHFS, Need::Tool("mount"), Need::Tool("unsquashfs")],
        other_blocks,
    );
    suite.isolated(
        "peer_libsquashfs_image_reads_like_in_the_kernel",
        &[SQUASHFS, Need::Tool("mount"), Need::Libsquashfs],
        || {
            let bench = Bench::by_libsquashfs()?;
            mount_by_loop_device("squashfs", &bench.image, &bench.mounted)?;
            reader_agrees(&bench.mounted, &bench.image)
        },
    );
    suite.isolated("kernel_squashfs_comparison_detects_damage", &needs, damage);
    suite.isolated("kernel_squashfs_finds_all_names_in_a_large_directory", &needs, large_directory);
    suite.trial("peer_unsquashfs_agrees_on_the_superblock", &[Need::Tool("unsquashfs")], superblock);
    suite.isolated("kernel_squashfs_reader_equals_the_directory", &[], || {
        for (codec, _, block) in CODECS {
            let bench = Bench::new(codec, block)?;
            reader_agrees(&bench.source, &bench.image).context(codec)?;
        }
        Ok(())
    });
    for (name, arguments) in FOREIGN {
        let name = format!("peer_mksquashfs_{name}_equals_the_directory");
        suite.isolated(&name, &[Need::Tool("mksquashfs")], move || {
            let bench = Bench::foreign(arguments)?;
            reader_agrees(&bench.source, &bench.image)
        });
    }
    suite.isolated("peer_mksquashfs_lzo_is_rejected_by_name", &[Need::Tool("mksquashfs")], || {
        let bench = Bench::foreign(&["-comp", "lzo"])?;
        let error = Reader::open(File::open(&bench.image)?).err().context("it was opened")?;
        let text = format!("{:#}", anyhow::Error::from(error));
        ensure!(text.ends_with("it is compressed with lzo, which is not supported"), "{text}");
        Ok(())
    });
    suite.run()
}

/// The kernel and unsquashfs read every codec with an unusual block size.
fn other_blocks() -> Result<()> {
    let bench = Bench::filled(|source| specimen::fill_with(source, FEW_FILES), "none", 128 << 10)?;
    let tree = Tree::from_directory(&bench.source, &specimen::rules())?;
    for (codec, block) in OTHER_BLOCKS {
        let what = || format!("{codec} in blocks of {block}");
        write(&tree, codec, block, &bench.image)?;
        mount_by_loop_device("squashfs", &bench.image, &bench.mounted)?;
        specimen::compare(&bench.source, &bench.mounted).with_context(what)?;
        umount(&bench.mounted)?;
        unsquashfs(&["-no-progress", "-quiet", "-dest"], Some(&bench.mounted), &bench.image)?;
        specimen::compare(&bench.source, &bench.mounted).with_context(what)?;
        fs::remove_dir_all(&bench.mounted)?;
        fs::create_dir(&bench.mounted)?;
    }
    Ok(())
}

/// A comparison that cannot fail would prove nothing.
fn damage() -> Result<()> {
    let bench = Bench::new("none", 128 << 10)?;
    let content = fs::read(bench.source.join("random"))?;
    let mut image = fs::read(&bench.image)?;
    let found = image.windows(64).position(|window| window == &content[8192..8256]);
    let position = found.context("the content of a stored file is not in the image")?;
    image[position] ^= 1;
    fs::write(&bench.image, image)?;
    mount_by_loop_device("squashfs", &bench.image, &bench.mounted)?;
    match specimen::compare(&bench.source, &bench.mounted) {
        Ok(()) => bail!("a flipped bit was not noticed"),
        Err(error) => {
            ensure!(format!("{error:#}").contains("random"), "another difference: {error:#}");
            Ok(())
        }
    }
}

/// Our reader finds the contents of the directory in the image.
fn reader_agrees(source: &Path, image: &Path) -> Result<()> {
    let reader = Reader::open(File::open(image)?)?;
    let entries = reader.entries()?;
    ensure!(entries.len() == specimen::names_below(source)?.len() + 1);
    let mut inodes = BTreeMap::new();
    for entry in entries {
        entry_agrees(&reader, &entry, &source.join(&entry.path), &mut inodes)
            .with_context(|| entry.path.display().to_string())?;
    }
    Ok(())
}

fn entry_agrees(
    reader: &Reader<File>,
    entry: &Entry,
    path: &Path,
    inodes: &mut BTreeMap<u64, u64>,
) -> Result<()> {
    let found = path.symlink_metadata()?;
    ensure!(u32::from(entry.mode) == found.mode() & 0o7777, "mode {:o}", entry.mode);
    ensure!((entry.uid, entry.gid) == (found.uid(), found.gid()), "another owner");
    ensure!(entry.mtime == specimen::TIMESTAMP, "time is {}", entry.mtime);
    ensure!(*inodes.entry(found.ino()).or_insert(entry.inode) == entry.inode, "a hard link was split");
    for (name, value) in specimen::xattrs(path)? {
        ensure!(entry.xattrs.get(name.as_bytes()) == Some(&value), "{name} is another");
    }
    match &entry.kind {
        EntryKind::Directory => {
            ensure!(found.is_dir());
            return Ok(());
        }
        EntryKind::Symlink(target) => ensure!(fs::read_link(path)? == Path::new(target), "{target:?}"),
        EntryKind::Special(special) => ensure!(specimen::is(*special, &found), "{special:?}"),
        EntryKind::File => {
            let mut content = Vec::new();
            reader.file(entry)?.read_to_end(&mut content)?;
            ensure!(content == fs::read(path)?, "other content");
        }
    }
    ensure!(u64::from(entry.links) == found.nlink(), "{} links", entry.links);
    Ok(())
}

/// The kernel finds names through the index of a directory: it must find existing names, and none between two
/// of them. It reads blocks again for each name, so not all are tried.
fn large_directory() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (image, mounted) = (directory.path().join("image.raw"), directory.path().join("mounted"));
    fs::create_dir(&mounted)?;
    let mut tree = Tree::new();
    let name =
        |number: u32| format!("many/{number:05}{}", "n".repeat(usize::try_from(number % 90).unwrap_or(0)));
    for number in 0..20_000 {
        let metadata = sysext_image::tree::Metadata::new(0o644);
        tree.insert_bytes(name(number), number.to_string(), metadata)?;
    }
    write(&tree, "zstd:3", 128 << 10, &image)?;
    mount_by_loop_device("squashfs", &image, &mounted)?;
    ensure!(fs::read_dir(mounted.join("many"))?.count() == 20_000);
    for number in (0..20_000).step_by(61) {
        let path = mounted.join(name(number));
        ensure!(fs::read_to_string(&path)? == number.to_string(), "{}", path.display());
        ensure!(!mounted.join(name(number) + "0").exists());
    }
    Ok(())
}

fn superblock() -> Result<()> {
    for (codec, expected) in [
        ("gzip:9", "Compression gzip"),
        ("gzip:1", "compression-level 1"),
        ("gzip:12", "Compression gzip"),
        ("lz4", "Compression lz4"),
        ("lz4hc", "High Compression option specified"),
        ("xz", "Compression xz"),
        ("zstd", "Compression zstd"),
        ("zstd:3", "compression-level 3"),
        ("none", "Inodes are uncompressed"),
    ] {
        let image = tempfile::NamedTempFile::new()?;
        write(&tests::sample::extension()?, codec, 64 << 10, image.path())?;
        let text = unsquashfs(&["-stat"], None, image.path())?;
        for expected in
            [expected, "Block size 65536", "Filesystem is exportable via NFS", "Duplicates are removed"]
        {
            ensure!(text.contains(expected), "{codec}: no {expected:?} in\n{text}");
        }
    }
    Ok(())
}

/// Returns the output: unsquashfs exits with success after some errors that it prints.
fn unsquashfs(arguments: &[&str], directory: Option<&Path>, image: &Path) -> Result<String> {
    let output = Command::new("unsquashfs").args(arguments).args(directory).arg(image).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && words.is_empty(), "unsquashfs: {}: {words}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes libsquashfs unpack an image to a directory, or pack a directory into an image.
fn libsquashfs(verb: &str, from: &Path, to: &Path) -> Result<()> {
    run(&programs::libsquashfs().to_string_lossy(), &[verb, &from.to_string_lossy(), &to.to_string_lossy()])?;
    Ok(())
}

/// A directory with every kind of entry, and an image of it.
struct Bench {
    _directory: tempfile::TempDir,
    source: PathBuf,
    image: PathBuf,
    mounted: PathBuf,
}

impl Bench {
    fn new(codec: &str, block: u32) -> Result<Self> {
        Self::filled(specimen::fill, codec, block)
    }

    fn filled(fill: fn(&Path) -> Result<()>, codec: &str, block: u32) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let [source, image, mounted] =
            ["source", "image.raw", "mounted"].map(|name| directory.path().join(name));
        fs::create_dir(&mounted)?;
        fill(&source)?;
        write(&Tree::from_directory(&source, &specimen::rules())?, codec, block, &image)?;
        Ok(Self { _directory: directory, source, image, mounted })
    }

    /// With an image by libsquashfs, which packs no devices and keeps the times of files.
    fn by_libsquashfs() -> Result<Self> {
        let bench = Self::new("none", 128 << 10)?;
        fs::remove_file(&bench.image)?;
        for device in specimen::DEVICES {
            fs::remove_file(bench.source.join(device))?;
        }
        let time = Timespec { tv_sec: specimen::TIMESTAMP, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        let names = specimen::names_below(&bench.source)?;
        for name in names.iter().map(PathBuf::as_path).chain([Path::new("")]) {
            utimensat(CWD, bench.source.join(name), &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        libsquashfs("pack", &bench.source, &bench.image)?;
        Ok(bench)
    }

    /// With an image by mksquashfs.
    fn foreign(arguments: &[&str]) -> Result<Self> {
        let bench = Self::new("none", 128 << 10)?;
        fs::remove_file(&bench.image)?;
        let time = specimen::TIMESTAMP.to_string();
        let output = Command::new("mksquashfs")
            .args([&bench.source, &bench.image])
            .args(["-quiet", "-no-progress", "-all-time", &time])
            .args(arguments)
            .output()?;
        ensure!(output.status.success(), "mksquashfs: {}", String::from_utf8_lossy(&output.stderr));
        Ok(bench)
    }
}

fn write(tree: &Tree, codec: &str, block: u32, image: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(image)?);
    let mut options = Options::new(codec.parse()?, u64::try_from(specimen::TIMESTAMP)?);
    options.block_size = block;
    let written = squashfs::write(tree, &options, &mut out)?;
    out.flush()?;
    ensure!(fs::metadata(image)?.len() == written.size);
    Ok(())
}
