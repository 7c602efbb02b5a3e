//! The kernel and the tools of others judge our erofs images: what they read must be what was in
//! the directory that the image was made from.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use sysext_image::Tree;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::erofs::{self, Reader};
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared};
use tests::sample;
use tests::specimen::{self, mount_by_loop_device};

/// Codecs for their oldest kernel or the one that is named, and the oldest kernel that reads them.
const SETTINGS: [(&str, (u32, u32)); 7] = [
    ("none", (5, 15)),
    ("lz4", (5, 15)),
    ("lz4@6.1", (6, 1)),
    ("lz4hc", (5, 15)),
    ("lz4hc:9@6.1", (6, 1)),
    ("zstd:3", (6, 10)),
    ("zstd:12", (6, 10)),
];

fn main() -> ExitCode {
    const EROFS: Need = Need::Filesystem("erofs");
    let mut suite = Suite::new();
    for (setting, (major, minor)) in SETTINGS {
        let needs = [EROFS, Need::Kernel(major, minor), Need::Tool("mount")];
        let name = format!("kernel_erofs_{setting}_by_loop_device_is_the_directory");
        suite.isolated(&name, &needs, move || {
            is_the_directory(setting, |image, at| mount_by_loop_device("erofs", image, at))
        });
        // Mounting a file without a loop device came with 6.12.
        let needs = [EROFS, Need::Kernel(6, 12)];
        let name = format!("kernel_erofs_{setting}_by_file_is_the_directory");
        suite.isolated(&name, &needs, move || is_the_directory(setting, mount_by_file));
        let name = format!("kernel_erofs_{setting}_reader_agrees_with_the_directory");
        suite.isolated(&name, &[], move || reader_agrees(setting));
        let name = format!("peer_fsck_erofs_extracts_{setting}");
        suite.isolated(&name, &[Need::Peer(Peer::Sid)], move || extracts(setting));
    }
    suite.isolated("kernel_erofs_damage_is_noticed_by_this_test", &[EROFS, Need::Tool("mount")], damage);
    // Debian 12's knows neither zstd nor fragments.
    for setting in ["none", "lz4", "lz4hc"] {
        let name = format!("peer_fsck_erofs_of_the_host_accepts_{setting}");
        suite.isolated(&name, &[Need::Tool("fsck.erofs")], move || fsck(setting));
    }
    suite.run()
}

fn is_the_directory(setting: &str, mount: fn(&Path, &Path) -> Result<()>) -> Result<()> {
    let bench = Bench::new(setting)?;
    mount(&bench.image, &bench.mounted)?;
    specimen::compare(&bench.source, &bench.mounted)
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
    mount_by_loop_device("erofs", &bench.image, &bench.mounted)?;
    match specimen::compare(&bench.source, &bench.mounted) {
        Ok(()) => bail!("a flipped bit was not noticed"),
        Err(error) => {
            ensure!(format!("{error:#}").contains("random"), "another difference: {error:#}");
            Ok(())
        }
    }
}

fn reader_agrees(setting: &str) -> Result<()> {
    let bench = Bench::new(setting)?;
    let reader = Reader::open(File::open(&bench.image)?)?;
    let entries = reader.entries()?;
    ensure!(entries.len() == specimen::names_below(&bench.source)?.len() + 1);
    for entry in entries {
        agrees(&reader, &entry, &bench.source.join(&entry.path))
            .with_context(|| entry.path.display().to_string())?;
    }
    Ok(())
}

fn agrees(reader: &Reader<File>, entry: &Entry, path: &Path) -> Result<()> {
    let found = path.symlink_metadata()?;
    ensure!(u32::from(entry.mode) == found.mode() & 0o7777, "mode");
    ensure!((entry.uid, entry.gid) == (found.uid(), found.gid()), "owner");
    let xattrs = specimen::xattrs(path)?.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value));
    ensure!(entry.xattrs == xattrs.collect(), "attributes");
    match &entry.kind {
        EntryKind::Directory => ensure!(found.is_dir(), "type"),
        EntryKind::Symlink(target) => ensure!(fs::read_link(path)? == Path::new(target), "target"),
        EntryKind::Special(special) => ensure!(specimen::is(*special, &found), "{special:?}"),
        EntryKind::File => {
            let mut content = Vec::new();
            reader.file(entry)?.read_to_end(&mut content)?;
            ensure!(u64::from(entry.links) == found.nlink(), "links");
            ensure!(content == fs::read(path)?, "content");
        }
    }
    Ok(())
}

fn fsck(setting: &str) -> Result<()> {
    let bench = Bench::new(setting)?;
    let output = Command::new("fsck.erofs").arg("--extract").arg(&bench.image).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What erofs-utils 1.9 extracts is the directory, content and all.
fn extracts(setting: &str) -> Result<()> {
    let bench = Bench::new(setting)?;
    let shared = Path::new("/mnt/bench");
    Peer::Sid.enter(&[Shared { host: bench.directory.path(), peer: shared }])?;
    let mut extract = std::ffi::OsString::from("--extract=");
    extract.push(shared.join("extracted"));
    let image = shared.join("image.raw");
    let output = Command::new("fsck.erofs").arg(extract).arg("--xattrs").arg(image).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(!words.contains("<E>"), "{words}");
    let (source, extracted) = (shared.join("source"), shared.join("extracted"));
    let names = specimen::names_below(&source)?;
    ensure!(names == specimen::names_below(&extracted)?, "not the same names");
    for name in names {
        let (expected, found) = (source.join(&name), extracted.join(&name));
        let kind = expected.symlink_metadata()?;
        ensure!(kind.mode() == found.symlink_metadata()?.mode(), "{}: mode", name.display());
        if kind.is_file() {
            ensure!(fs::read(&expected)? == fs::read(&found)?, "{}: content", name.display());
        }
    }
    Ok(())
}

/// A directory with all that an image may hold, and an image of it.
struct Bench {
    directory: tempfile::TempDir,
    source: PathBuf,
    image: PathBuf,
    mounted: PathBuf,
}

impl Bench {
    fn new(setting: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let [source, image, mounted] =
            ["source", "image.raw", "mounted"].map(|name| directory.path().join(name));
        fs::create_dir(&mounted)?;
        specimen::fill(&source)?;
        let tree = Tree::from_directory(&source, &specimen::rules())?;
        let mut out = BufWriter::new(File::create(&image)?);
        let options = sample::options(setting, u64::try_from(specimen::TIMESTAMP)?)?;
        let written = erofs::write(&tree, &options, &mut out)?;
        out.flush()?;
        ensure!(fs::metadata(&image)?.len() == written.size);
        Ok(Self { directory, source, image, mounted })
    }
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
