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
use sysext_image::entry::EntryKind;
use sysext_image::erofs::{self, Options, Reader};
use tests::needs::{Need, Suite};
use tests::specimen::{self, mount_by_loop_device};

fn main() -> ExitCode {
    const EROFS: Need = Need::Filesystem("erofs");
    let mut suite = Suite::new();
    let kernels = [("none", (5, 15)), ("lz4hc", (5, 15)), ("zstd", (6, 10))];
    for (codec, (major, minor)) in kernels {
        let needs = [EROFS, Need::Kernel(major, minor), Need::Tool("mount")];
        let name = format!("kernel_erofs_{codec}_by_loop_device_is_the_directory");
        suite.isolated(&name, &needs, move || {
            is_the_directory(codec, |image, at| mount_by_loop_device("erofs", image, at))
        });
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

fn reader_agrees() -> Result<()> {
    for codec in ["none", "lz4hc", "zstd"] {
        let bench = Bench::new(codec)?;
        let reader = Reader::open(File::open(&bench.image)?)?;
        let entries = reader.entries()?;
        ensure!(entries.len() == specimen::names_below(&bench.source)?.len() + 1);
        for entry in entries {
            let path = bench.source.join(&entry.path);
            let found = path.symlink_metadata()?;
            let words = || format!("{codec}: {}", entry.path.display());
            ensure!(u32::from(entry.mode) == found.mode() & 0o7777, "{}", words());
            ensure!((entry.uid, entry.gid) == (found.uid(), found.gid()), "{}", words());
            let xattrs =
                specimen::xattrs(&path)?.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value));
            ensure!(entry.xattrs == xattrs.collect(), "{}", words());
            match &entry.kind {
                EntryKind::Directory => ensure!(found.is_dir(), "{}", words()),
                EntryKind::Symlink(target) => {
                    ensure!(fs::read_link(&path)? == Path::new(target), "{}", words());
                }
                EntryKind::Special(special) => {
                    ensure!(specimen::is(*special, &found), "{}: {special:?}", words());
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
        specimen::fill(&source)?;
        let tree = Tree::from_directory(&source, &specimen::rules())?;
        let mut out = BufWriter::new(File::create(&image)?);
        let options = Options::new(codec.parse()?, u64::try_from(specimen::TIMESTAMP)?);
        let written = erofs::write(&tree, &options, &mut out)?;
        out.flush()?;
        ensure!(fs::metadata(&image)?.len() == written.size);
        Ok(Self { _directory: directory, source, image, mounted })
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
