//! The kernel and the tools of others judge our erofs images: what they read must be what was in
//! the directory that the image was made from.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::XattrFlags;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use sysext_image::erofs::{self, EntryKind, Options, Reader};
use sysext_image::tree::{Modes, Owner, Rules, Tree};
use tests::needs::{Need, Suite};

#[path = "erofs/sample.rs"]
mod sample;

use sample::Random;

/// The time of everything in the images.
const TIMESTAMP: i64 = 1_700_000_000;

/// How many reads at random places of each large file are compared.
const RANDOM_READS: usize = 300;

/// The extended attributes that the images keep.
const XATTRS: [&str; 3] = ["security.capability", "user.extension-release.strict", "user.long"];

fn main() -> ExitCode {
    const EROFS: Need = Need::Filesystem("erofs");
    let mut suite = Suite::new();
    let kernels = [("none", (5, 15)), ("lz4hc", (5, 15)), ("zstd", (6, 10))];
    for (codec, (major, minor)) in kernels {
        let needs = [EROFS, Need::Kernel(major, minor), Need::Tool("mount")];
        let name = format!("kernel_erofs_{codec}_by_loop_device_is_the_directory");
        suite.isolated(&name, &needs, move || is_the_directory(codec, mount_by_loop_device));
        // Mounting a file without a loop device came with 6.12.
        let needs = [EROFS, Need::Kernel(6, 12)];
        let name = format!("kernel_erofs_{codec}_by_file_is_the_directory");
        suite.isolated(&name, &needs, move || is_the_directory(codec, mount_by_file));
    }
    suite.isolated("kernel_erofs_damage_is_noticed_by_this_test", &[EROFS, Need::Tool("mount")], damage);
    suite.isolated("kernel_erofs_reader_agrees_with_the_directory", &[], reader_agrees);
    // Debian 12's knows no zstd.
    for codec in ["none", "lz4hc"] {
        let name = format!("peer_fsck_erofs_accepts_{codec}");
        suite.isolated(&name, &[Need::Tool("fsck.erofs")], move || fsck(codec));
    }
    suite.run()
}

fn is_the_directory(codec: &str, mount: fn(&Path, &Path) -> Result<()>) -> Result<()> {
    let bench = Bench::new(codec)?;
    mount(&bench.image, &bench.mounted)?;
    compare(&bench.source, &bench.mounted)
}

/// A comparison that cannot fail would prove nothing.
fn damage() -> Result<()> {
    let bench = Bench::new("none")?;
    let content = fs::read(bench.source.join("random"))?;
    let mut image = fs::read(&bench.image)?;
    let found = image.windows(64).position(|window| window == &content[8192..8256]);
    let position = found.context("the content of a stored file is not in the image")?;
    image[position] ^= 1;
    fs::write(&bench.image, image)?;
    mount_by_loop_device(&bench.image, &bench.mounted)?;
    match compare(&bench.source, &bench.mounted) {
        Ok(()) => bail!("a flipped bit was not noticed"),
        Err(error) => {
            ensure!(format!("{error:#}").contains("random"), "another difference: {error:#}");
            Ok(())
        }
    }
}

fn reader_agrees() -> Result<()> {
    for codec in ["none", "lz4hc", "zstd"] {
        let bench = Bench::new(codec)?;
        let reader = Reader::open(File::open(&bench.image)?)?;
        let entries = reader.entries()?;
        ensure!(entries.len() == names_below(&bench.source)?.len() + 1);
        for entry in entries {
            let path = bench.source.join(&entry.path);
            let found = path.symlink_metadata()?;
            let words = || format!("{codec}: {}", entry.path.display());
            ensure!(u32::from(entry.mode) == found.mode() & 0o7777, "{}", words());
            ensure!((entry.uid, entry.gid) == (found.uid(), found.gid()), "{}", words());
            let xattrs = xattrs(&path)?.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value));
            ensure!(entry.xattrs == xattrs.collect(), "{}", words());
            match &entry.kind {
                EntryKind::Directory => ensure!(found.is_dir(), "{}", words()),
                EntryKind::Symlink(target) => {
                    ensure!(fs::read_link(&path)? == Path::new(target), "{}", words());
                }
                EntryKind::File => {
                    let mut content = Vec::new();
                    reader.file(&entry)?.read_to_end(&mut content)?;
                    ensure!(u64::from(entry.links) == found.nlink(), "{}", words());
                    ensure!(content == fs::read(&path)?, "{}", words());
                }
            }
        }
    }
    Ok(())
}

fn fsck(codec: &str) -> Result<()> {
    let bench = Bench::new(codec)?;
    let output = Command::new("fsck.erofs").arg("--extract").arg(&bench.image).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A directory with all that an image may hold, and an image of it.
struct Bench {
    _directory: tempfile::TempDir,
    source: PathBuf,
    image: PathBuf,
    mounted: PathBuf,
}

impl Bench {
    fn new(codec: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let [source, image, mounted] =
            ["source", "image.raw", "mounted"].map(|name| directory.path().join(name));
        fs::create_dir(&mounted)?;
        fill(&source)?;
        let xattrs = XATTRS.map(String::from).into();
        let rules = Rules { owner: Owner::Keep, modes: Modes::Keep, xattrs };
        let tree = Tree::from_directory(&source, &rules)?;
        let mut out = BufWriter::new(File::create(&image)?);
        let options = Options::new(codec.parse()?, u64::try_from(TIMESTAMP)?);
        let written = erofs::write(&tree, &options, &mut out)?;
        out.flush()?;
        ensure!(fs::metadata(&image)?.len() == written.size);
        Ok(Self { _directory: directory, source, image, mounted })
    }
}

fn fill(root: &Path) -> Result<()> {
    let mut random = Random::new(3);
    let at = |path: &str| root.join(path);
    for directory in ["", "edges", "many", "owned", "sticky"] {
        fs::create_dir(at(directory))?;
    }
    for size in sample::edges() {
        fs::write(at(&format!("edges/text-{size}")), random.text(size))?;
        fs::write(at(&format!("edges/random-{size}")), random.bytes(size))?;
    }
    for number in 0..5000 {
        fs::write(at(&format!("many/{number}-{}", "m".repeat(number % 40))), number.to_string())?;
    }
    fs::write(at("text"), random.text(9_000_000))?;
    fs::write(at("random"), random.bytes(1_000_003))?;
    let mut mixed = Vec::new();
    for _ in 0..60 {
        let length = usize::try_from(random.below(200_000))?;
        mixed.extend(if random.below(2) == 0 { random.bytes(length) } else { random.text(length) });
    }
    fs::write(at("mixed"), mixed)?;
    File::create(at("zero"))?.set_len(10_000_000)?;
    fs::write(at(&"n".repeat(255)), "a long name")?;
    let deep = (0..40).fold(at("deep"), |path, number| path.join(format!("level-{number}")));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("bottom"), "deep")?;
    fs::hard_link(at("text"), at("owned/name-of-text"))?;
    fs::hard_link(at("text"), at("deep/name-of-text"))?;
    for length in [1, 100, 4000, 4064, 4065, 4095] {
        symlink("t".repeat(length), at(&format!("link-{length}")))?;
    }
    for (name, uid, gid) in [("small", 1000, 100), ("large", 100_000, 1 << 30)] {
        fs::write(at(&format!("owned/{name}")), random.text(20_000))?;
        chown(at(&format!("owned/{name}")), Some(uid), Some(gid))?;
    }
    symlink("small", at("owned/link"))?;
    lchown(at("owned/link"), Some(5), Some(6))?;
    for (path, mode) in [("edges/text-1", 0o400), ("edges/text-4096", 0o4755), ("sticky", 0o1777)] {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode))?;
    }
    // Revision 2, effective, CAP_NET_RAW permitted. Changing the owner would remove it.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&at("edges/text-65536"), "security.capability", &capability)?;
    set_xattr(&at("edges/text-0"), "user.extension-release.strict", b"0")?;
    set_xattr(&at("sticky"), "user.long", &random.bytes(3000))?;
    set_xattr(&at("edges/text-8192"), "user.long", &random.bytes(3900))?;
    set_xattr(&at("edges/text-8193"), "user.not-kept", b"x")
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result<()> {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty())
        .with_context(|| format!("cannot set {name} of {}", path.display()))
}

fn mount_by_loop_device(image: &Path, at: &Path) -> Result<()> {
    let status = Command::new("mount").args(["-t", "erofs", "-o", "loop,ro"]).args([image, at]).status()?;
    ensure!(status.success(), "mount: {status}");
    Ok(())
}

fn mount_by_file(image: &Path, at: &Path) -> Result<()> {
    let context = rustix::mount::fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let source = CString::new(image.as_os_str().as_bytes())?;
    rustix::mount::fsconfig_set_string(&context, "source", &source)?;
    rustix::mount::fsconfig_create(&context).context("cannot mount the file without a loop device")?;
    let mount =
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&mount, "", rustix::fs::CWD, at, flags)?;
    Ok(())
}

/// Fails at the first difference, naming it.
fn compare(source: &Path, mounted: &Path) -> Result<()> {
    let names = names_below(source)?;
    ensure!(names == names_below(mounted)?, "not the same names");
    ensure!(names.len() > 5000, "only {} names", names.len());
    let mut inodes: BTreeMap<u64, u64> = BTreeMap::new();
    for name in names.iter().map(PathBuf::as_path).chain([Path::new("")]) {
        compare_one(&source.join(name), &mounted.join(name)).with_context(|| name.display().to_string())?;
        let (ours, theirs) = (source.join(name).symlink_metadata()?, mounted.join(name).symlink_metadata()?);
        let known = *inodes.entry(ours.ino()).or_insert(theirs.ino());
        ensure!(known == theirs.ino(), "{}: hard links of one file are two files", name.display());
    }
    Ok(())
}

fn compare_one(source: &Path, mounted: &Path) -> Result<()> {
    let (expected, found) = (source.symlink_metadata()?, mounted.symlink_metadata()?);
    ensure!(expected.mode() == found.mode(), "mode {:o} became {:o}", expected.mode(), found.mode());
    ensure!((expected.uid(), expected.gid()) == (found.uid(), found.gid()), "another owner");
    ensure!(found.mtime() == TIMESTAMP, "time is {}", found.mtime());
    ensure!(xattrs(source)? == xattrs(mounted)?, "other extended attributes");
    ensure!(listed(mounted)?.is_none_or(|count| count == xattrs(source).map_or(0, |xattrs| xattrs.len())));
    if expected.is_dir() {
        // The directory's filesystem may not count its links so.
        let mut links = 2;
        for entry in fs::read_dir(mounted)? {
            let entry = entry?;
            let kind = entry.path().symlink_metadata()?.file_type();
            ensure!(entry.file_type()? == kind, "{}: listed as another type", entry.path().display());
            links += u64::from(kind.is_dir());
        }
        ensure!(found.nlink() == links, "{links} links became {}", found.nlink());
        return Ok(());
    }
    ensure!(expected.nlink() == found.nlink(), "{} links became {}", expected.nlink(), found.nlink());
    ensure!(expected.len() == found.len(), "{} bytes became {}", expected.len(), found.len());
    if expected.is_symlink() {
        ensure!(fs::read_link(source)? == fs::read_link(mounted)?, "another target");
        return Ok(());
    }
    let content = fs::read(source)?;
    // First in disorder, while nothing is cached: readers decompress parts of clusters then.
    if content.len() > 100_000 {
        read_at_random(&content, mounted)?;
    }
    ensure!(content == fs::read(mounted)?, "other content");
    Ok(())
}

fn read_at_random(content: &[u8], mounted: &Path) -> Result<()> {
    let mut random = Random::new(content.len() as u64);
    let file = File::open(mounted)?;
    for _ in 0..RANDOM_READS {
        let start = usize::try_from(random.below(content.len() as u64))?;
        let length = usize::try_from(random.below(20_000))?.min(content.len() - start);
        let mut found = vec![0; length];
        file.read_exact_at(&mut found, start as u64)?;
        ensure!(found == content[start..start + length], "other content in {length} bytes at {start}");
    }
    Ok(())
}

/// The attributes that images keep, of those a file has.
fn xattrs(path: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in XATTRS {
        let mut value = vec![0; 65_536];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name, value);
            }
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => {}
            Err(error) => bail!("cannot read {name}: {error}"),
        }
    }
    Ok(found)
}

/// How many attributes a file lists; `None` where it cannot have any.
fn listed(path: &Path) -> Result<Option<usize>> {
    let mut names = vec![0; 65_536];
    match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => {
            Ok(Some(names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).count()))
        }
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => bail!("cannot list the attributes: {error}"),
    }
}

/// Every path below a directory, sorted.
fn names_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let name: OsString = entry.file_name();
            let path = directory.join(name);
            if entry.path().symlink_metadata()?.is_dir() {
                pending.push(path.clone());
            }
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}
