//! A directory with every kind of entry that an image may contain, and a comparison with an extracted or
//! mounted image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, major, makedev, minor, mknodat};
use rustix::io::Errno;
use sysext_image::tree::{Device, Modes, Owner, Rules, Special, Specials};

use crate::sample::{self, Random};

/// The time of all files in the images.
pub const TIMESTAMP: i64 = 1_700_000_000;

/// Random reads that are compared in each large file.
const RANDOM_READS: usize = 300;

/// Small files in one directory: their names need more than one block.
const SMALL_FILES: usize = 5000;

/// Special files.
pub const DEVICES: [&str; 4] = ["char", "char-far", "block", "fifo"];

/// The least number of names in a specimen.
const FEWEST: usize = 500;

/// The extended attributes that the images keep.
const XATTRS: [&str; 3] = ["security.capability", "user.extension-release.strict", "user.long"];

/// Rules that preserve everything.
pub fn rules() -> Rules {
    let xattrs = XATTRS.map(String::from).into();
    Rules { owner: Owner::Keep, modes: Modes::Keep, xattrs, specials: Specials::Keep }
}

/// Fills the directory, which must not exist. Needs root for owners and devices.
pub fn fill(root: &Path) -> Result<()> {
    fill_with(root, SMALL_FILES)
}

/// The same, with another number of small files in one directory.
pub fn fill_with(root: &Path, small_files: usize) -> Result<()> {
    let mut random = Random::new(3);
    let at = |path: &str| root.join(path);
    for directory in ["", "edges", "equal", "many", "owned", "sticky"] {
        fs::create_dir(at(directory))?;
    }
    for size in sample::edges() {
        fs::write(at(&format!("edges/text-{size}")), random.text(size))?;
        fs::write(at(&format!("edges/random-{size}")), random.bytes(size))?;
    }
    for number in 0..small_files {
        fs::write(at(&format!("many/{number}-{}", "m".repeat(number % 40))), number.to_string())?;
    }
    // Equal files, and files of which only the ends are equal.
    for size in [40, 5000, 20_000, 700_000] {
        let (text, noise) = (random.text(size), random.bytes(size));
        for name in ["one", "other", "third"] {
            fs::write(at(&format!("equal/text-{size}-{name}")), &text)?;
            fs::write(at(&format!("equal/random-{size}-{name}")), &noise)?;
        }
    }
    let mut end = random.text(1_100_000);
    for name in ["one", "other", "third"] {
        end[1000] ^= 1;
        fs::write(at(&format!("equal/end-{name}")), &end)?;
        end[2000] ^= 3;
    }
    for number in 0..300 {
        let size = usize::try_from(random.below(30_000))?;
        fs::write(at(&format!("many/text-{number}")), random.text(size))?;
    }
    fs::write(at("text"), random.text(9_000_000))?;
    fs::write(at("random"), random.bytes(1_000_003))?;
    let mut mixed = Vec::new();
    for _ in 0..60 {
        let length = usize::try_from(random.below(200_000))?;
        mixed.extend(if random.below(2) == 0 { random.bytes(length) } else { random.text(length) });
    }
    fs::write(at("mixed"), mixed)?;
    File::create(at("zero"))?.set_len(20_000_000)?;
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
    for (name, kind, device) in [
        ("char", FileType::CharacterDevice, makedev(1, 3)),
        ("char-far", FileType::CharacterDevice, makedev(4095, 1_048_575)),
        ("block", FileType::BlockDevice, makedev(259, 70_000)),
        ("fifo", FileType::Fifo, 0),
    ] {
        mknodat(CWD, at(name), kind, Mode::from_bits_truncate(0o640), device)?;
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o640))?;
    }
    symlink("small", at("owned/link"))?;
    lchown(at("owned/link"), Some(5), Some(6))?;
    for (path, mode) in [("edges/text-1", 0o400), ("edges/text-4096", 0o4755), ("sticky", 0o1777)] {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode))?;
    }
    // Revision 2, effective, CAP_NET_RAW permitted. A change of the owner would remove it.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&at("edges/text-65536"), "security.capability", &capability)?;
    set_xattr(&at("edges/text-0"), "user.extension-release.strict", b"0")?;
    set_xattr(&at("sticky"), "user.long", &random.bytes(3000))?;
    // Attributes of several files: few files, the only attribute, and in addition to others.
    let [often, seldom] = [random.bytes(200), random.bytes(40)];
    for number in 0..300 {
        set_xattr(&at(&format!("many/text-{number}")), "user.long", &often)?;
    }
    for name in ["one", "other", "third"] {
        set_xattr(&at(&format!("equal/text-5000-{name}")), "user.long", &seldom)?;
        set_xattr(&at(&format!("equal/random-20000-{name}")), "user.long", &often)?;
        set_xattr(&at(&format!("equal/random-20000-{name}")), "security.capability", &capability)?;
    }
    set_xattr(&at("equal/text-20000-other"), "user.long", &random.bytes(3500))?;
    set_xattr(&at("equal/random-5000-other"), "user.long", &random.bytes(3500))?;
    set_xattr(&at("edges/text-8192"), "user.long", &random.bytes(3900))?;
    set_xattr(&at("edges/text-8193"), "user.not-kept", b"x")
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result<()> {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty())
        .with_context(|| format!("cannot set {name} of {}", path.display()))
}

/// A property that a tool does not restore from an image, although the image contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Hard links become separate files.
    HardLinks,
    /// Setuid and setgid bits.
    SetUser,
    /// An extended attribute of this name.
    Attribute(&'static str),
}

/// Removes from the directory what a tool is known to lose, so that everything else can be compared. If the
/// tool does restore it, that is a difference.
pub fn lose(root: &Path, losses: &[Loss]) -> Result<()> {
    let names = names_below(root)?;
    for loss in losses {
        let mut met = false;
        for name in &names {
            met |= lose_one(&root.join(name), *loss).with_context(|| name.display().to_string())?;
        }
        ensure!(met, "{loss:?}: there is none to lose");
    }
    Ok(())
}

/// Returns whether there was anything to remove.
fn lose_one(path: &Path, loss: Loss) -> Result<bool> {
    let found = path.symlink_metadata()?;
    let lost = match loss {
        Loss::HardLinks => {
            let lost = found.is_file() && found.nlink() > 1;
            if lost {
                let copy = path.with_extension("copy");
                fs::copy(path, &copy)?;
                chown(&copy, Some(found.uid()), Some(found.gid()))?;
                fs::rename(copy, path)?;
            }
            lost
        }
        Loss::SetUser => {
            let lost = found.is_file() && found.mode() & 0o6000 != 0;
            if lost {
                fs::set_permissions(path, fs::Permissions::from_mode(found.mode() & !0o6000))?;
            }
            lost
        }
        Loss::Attribute(name) => match rustix::fs::lremovexattr(path, name) {
            Ok(()) => true,
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => false,
            Err(error) => bail!("cannot remove {name}: {error}"),
        },
    };
    Ok(lost)
}

/// Mounts an image through a loop device.
pub fn mount_by_loop_device(filesystem: &str, image: &Path, at: &Path) -> Result<()> {
    let status =
        Command::new("mount").args(["-t", filesystem, "-o", "loop,ro"]).args([image, at]).status()?;
    ensure!(status.success(), "mount: {status}");
    Ok(())
}

/// Fails at the first difference, with its path.
pub fn compare(source: &Path, mounted: &Path) -> Result<()> {
    compare_with_reads(source, mounted, RANDOM_READS)
}

/// The same, with another number of random reads.
pub fn compare_with_reads(source: &Path, mounted: &Path, reads: usize) -> Result<()> {
    let names = names_below(source)?;
    ensure!(names == names_below(mounted)?, "not the same names");
    ensure!(names.len() > FEWEST, "only {} names", names.len());
    let mut inodes: BTreeMap<u64, u64> = BTreeMap::new();
    for name in names.iter().map(PathBuf::as_path).chain([Path::new("")]) {
        let (ours, theirs) = (source.join(name).symlink_metadata()?, mounted.join(name).symlink_metadata()?);
        if let Some(known) = inodes.get(&ours.ino()) {
            // The rest was compared under the first name.
            ensure!(*known == theirs.ino(), "{}: hard links of one file are two files", name.display());
            continue;
        }
        inodes.insert(ours.ino(), theirs.ino());
        compare_one(&source.join(name), &mounted.join(name), reads)
            .with_context(|| name.display().to_string())?;
    }
    Ok(())
}

fn compare_one(source: &Path, mounted: &Path, reads: usize) -> Result<()> {
    let (expected, found) = (source.symlink_metadata()?, mounted.symlink_metadata()?);
    ensure!(expected.mode() == found.mode(), "mode {:o} became {:o}", expected.mode(), found.mode());
    ensure!((expected.uid(), expected.gid()) == (found.uid(), found.gid()), "another owner");
    ensure!(found.mtime() == TIMESTAMP, "time is {}", found.mtime());
    ensure!(xattrs(source)? == xattrs(mounted)?, "other extended attributes");
    ensure!(listed(mounted)?.is_none_or(|count| count == xattrs(source).map_or(0, |xattrs| xattrs.len())));
    if expected.is_dir() {
        // The file system of the directory may count links in another way.
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
    if !expected.is_file() {
        ensure!(expected.rdev() == found.rdev(), "another device");
        return Ok(());
    }
    let content = fs::read(source)?;
    // Random reads first, while nothing is cached: readers then decompress parts of clusters.
    if content.len() > 100_000 {
        read_at_random(&content, mounted, reads)?;
    }
    ensure!(content == fs::read(mounted)?, "other content");
    Ok(())
}

fn read_at_random(content: &[u8], mounted: &Path, reads: usize) -> Result<()> {
    let mut random = Random::new(content.len() as u64);
    let file = File::open(mounted)?;
    for _ in 0..reads {
        let start = usize::try_from(random.below(content.len() as u64))?;
        let length = usize::try_from(random.below(20_000))?.min(content.len() - start);
        let mut found = vec![0; length];
        file.read_exact_at(&mut found, start as u64)?;
        ensure!(found == content[start..start + length], "other content in {length} bytes at {start}");
    }
    Ok(())
}

/// The attributes of a file that images keep.
pub fn xattrs(path: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let mut found = BTreeMap::new();
    // Most files have none, and one query for each is slow in an emulated machine.
    if listed(path)? == Some(0) {
        return Ok(found);
    }
    for name in XATTRS {
        let mut value = vec![0; 65_536];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.insert(name, value);
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => bail!("cannot read {name}: {error}"),
        }
    }
    Ok(found)
}

/// The number of listed attributes; `None` if the file cannot have any.
fn listed(path: &Path) -> Result<Option<usize>> {
    let mut names = [0; 4096];
    match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => {
            Ok(Some(names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).count()))
        }
        Err(Errno::OPNOTSUPP) => Ok(None),
        Err(error) => bail!("cannot list the attributes: {error}"),
    }
}

/// Every path below a directory, sorted.
pub fn names_below(root: &Path) -> Result<Vec<PathBuf>> {
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

/// Whether a file on disk is this special file.
pub fn is(special: Special, found: &fs::Metadata) -> bool {
    let device = Device { major: major(found.rdev()), minor: minor(found.rdev()) };
    let kind = FileType::from_raw_mode(found.mode());
    match special {
        Special::Character(expected) => kind == FileType::CharacterDevice && device == expected,
        Special::Block(expected) => kind == FileType::BlockDevice && device == expected,
        Special::Fifo => kind == FileType::Fifo,
    }
}
