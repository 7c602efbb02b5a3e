//! The kernel and tools of others read our erofs images: the result must equal the directory from which the
//! image was built.

use std::ffi::{CString, OsString};
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
use tests::peer::{Peer, Shared, run};
use tests::sample;
use tests::specimen::{self, Loss, mount_by_loop_device};

/// Codecs for their oldest kernel or a given one, and the oldest kernel that reads them.
const SETTINGS: [(&str, (u32, u32)); 8] = [
    ("none", (5, 15)),
    ("lz4", (5, 15)),
    ("lz4@6.1", (6, 1)),
    ("lz4hc", (5, 15)),
    ("lz4hc:9@6.1", (6, 1)),
    ("zstd:1", (6, 10)),
    ("zstd:3", (6, 10)),
    ("zstd:15", (6, 10)),
];

/// What erofs-utils 1.9 does not restore: it changes the owner last, and the kernel then removes capabilities.
const LOST_BY_1_9: &[Loss] = &[Loss::Attribute("security.capability")];

/// What erofs-utils 1.5 does not restore: hard links and unknown attributes.
const LOST_BY_1_5: &[Loss] = &[
    Loss::HardLinks,
    Loss::SetUser,
    Loss::Attribute("security.capability"),
    Loss::Attribute("user.extension-release.strict"),
    Loss::Attribute("user.long"),
];

fn main() -> ExitCode {
    const EROFS: Need = Need::Filesystem("erofs");
    let mut suite = Suite::new();
    for (setting, (major, minor)) in SETTINGS {
        let needs = [EROFS, Need::Kernel(major, minor), Need::Tool("mount")];
        let name = format!("kernel_erofs_{setting}_by_loop_device_equals_the_directory");
        suite.isolated(&name, &needs, move || {
            is_the_directory(setting, |image, at| mount_by_loop_device("erofs", image, at))
        });
        // Linux 6.12 is the first to mount a file without a loop device.
        let needs = [EROFS, Need::Kernel(6, 12)];
        let name = format!("kernel_erofs_{setting}_by_file_equals_the_directory");
        suite.isolated(&name, &needs, move || is_the_directory(setting, mount_by_file));
        let name = format!("kernel_erofs_{setting}_reader_equals_the_directory");
        suite.isolated(&name, &[], move || reader_agrees(setting));
        let name = format!("peer_fsck_erofs_extracts_{setting}");
        suite.isolated(&name, &[Need::Peer(Peer::Sid)], move || extracts(setting));
    }
    suite.isolated("kernel_erofs_comparison_detects_damage", &[EROFS, Need::Tool("mount")], damage);
    // The version of Debian 12 supports neither zstd nor fragments.
    for setting in ["none", "lz4", "lz4hc"] {
        let name = format!("peer_fsck_erofs_of_the_host_extracts_{setting}");
        suite.isolated(&name, &[Need::Tool("fsck.erofs")], move || extracts_here(setting));
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

/// erofs-utils of the host extracts the directory. Each of these images stores ends of files next to their
/// inodes.
fn extracts_here(setting: &str) -> Result<()> {
    let version = version()?;
    println!("fsck.erofs {version}");
    let bench = Bench::new(setting)?;
    let extracted = bench.directory.path().join("extracted");
    extract(&bench.image, &extracted, &[])?;
    // Later versions restore more; the trials with 1.9 list it.
    if version == "1.5" {
        specimen::lose(&bench.source, LOST_BY_1_5)?;
        specimen::compare(&bench.source, &extracted)?;
    }
    Ok(())
}

/// erofs-utils 1.9 extracts the directory.
fn extracts(setting: &str) -> Result<()> {
    let bench = Bench::new(setting)?;
    let shared = Path::new("/mnt/bench");
    Peer::Sid.enter(&[Shared { host: bench.directory.path(), peer: shared }])?;
    let version = version()?;
    ensure!(version.starts_with("1.9"), "fsck.erofs is {version}");
    let (source, extracted) = (shared.join("source"), shared.join("extracted"));
    extract(&shared.join("image.raw"), &extracted, &["--xattrs"])?;
    specimen::lose(&source, LOST_BY_1_9)?;
    specimen::compare(&source, &extracted)
}

/// The version of `fsck.erofs`.
fn version() -> Result<String> {
    let told = run("fsck.erofs", &["-V"])?;
    // Other lines list the supported compressions.
    let first = told.lines().next().unwrap_or_default();
    let version = first.split_whitespace().last().with_context(|| format!("no version in {told:?}"))?;
    Ok(version.to_owned())
}

/// Runs `fsck.erofs`, which exits with success after some errors that it prints.
fn extract(image: &Path, to: &Path, options: &[&str]) -> Result<()> {
    let mut extract = OsString::from("--extract=");
    extract.push(to);
    let output =
        Command::new("fsck.erofs").arg(extract).arg("--preserve").args(options).arg(image).output()?;
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success() && !words.contains("<E>"), "{}: {words}", output.status);
    Ok(())
}

/// A directory with every kind of entry, and an image of it.
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
