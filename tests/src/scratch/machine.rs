//! A complete machine for one isolated trial. `/usr` is that of the host and read-only, as on a host whose
//! `/usr` is an image. Everything else is empty, in memory, and disappears with the trial. Commands with
//! absolute paths run there unchanged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::AtFlags;

use crate::isolation;

/// Directories that are empty at first.
const DIRECTORIES: [&str; 12] =
    ["dev", "etc", "home", "opt", "proc", "root", "run", "srv", "sys", "tmp", "var/lib", "var/tmp"];

/// Links into `/usr` on most systems, and directories on others.
const BESIDE_USR: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Files of the host's `/etc` that programs need, if they exist.
const WANTED: [&str; 5] = ["group", "ld.so.cache", "ld.so.conf", "nsswitch.conf", "passwd"];

/// A directory or file of the host that the trial can see.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The path on the host.
    pub here: PathBuf,
    /// The path in the trial: absolute and outside `/usr`.
    pub there: PathBuf,
}

/// Makes such a machine the root of this process, which must be an isolated trial. Shown files are read-only.
pub fn enter(shown: &[Shown]) -> Result<()> {
    ensure!(isolation::is_inside(), "only an isolated trial may change its root");
    let carrier = tempfile::tempdir().context("cannot make a directory for the root")?;
    let above = carrier.path().parent().context("a temporary directory is in a directory")?;
    let above = fs::File::open(above).with_context(|| format!("cannot open {}", above.display()))?;
    assemble(carrier.path(), shown)?;
    std::env::set_current_dir(carrier.path()).context("cannot enter the root")?;
    // With the same path for both, the old root is mounted on top of the new one and can be unmounted.
    rustix::process::pivot_root(".", ".").context("cannot make it the root of this process")?;
    umount2(".", MntFlags::MNT_DETACH).context("cannot take the old root off")?;
    std::env::set_current_dir("/").context("cannot change to the new root")?;
    // The directory is no longer a mount point, and has no path in the new root.
    let carrier = carrier.keep();
    let name = carrier.file_name().context("a temporary directory has a name")?;
    rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR)
        .context("cannot remove the temporary directory")?;
    // As the first process of a machine does.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)
        .context("cannot share the mounts with the namespaces made from it")
}

fn assemble(root: &Path, shown: &[Shown]) -> Result<()> {
    attach("tmpfs", root, MsFlags::empty())?;
    for name in DIRECTORIES {
        make(&root.join(name))?;
    }
    show(Path::new("/usr"), &root.join("usr"))?;
    for name in BESIDE_USR {
        let here = Path::new("/").join(name);
        match fs::read_link(&here) {
            Ok(text) => symlink(text, root.join(name)).with_context(|| format!("cannot link /{name}"))?,
            Err(_) if here.is_dir() => show(&here, &root.join(name))?,
            Err(_) => {}
        }
    }
    for name in WANTED {
        let here = Path::new("/etc").join(name);
        if here.is_file() {
            fs::copy(&here, root.join("etc").join(name))
                .with_context(|| format!("cannot copy /etc/{name}"))?;
        }
    }
    let release = fs::read("/etc/os-release").context("cannot read /etc/os-release")?;
    fs::write(root.join("etc/os-release"), release).context("cannot write /etc/os-release")?;
    bind(Path::new("/dev"), &root.join("dev"))?;
    attach("proc", &root.join("proc"), MsFlags::empty())?;
    attach("tmpfs", &root.join("run"), MsFlags::empty())?;
    for Shown { here, there } in shown {
        let below =
            there.strip_prefix("/").with_context(|| format!("{} is not absolute", there.display()))?;
        show(here, &root.join(below))?;
    }
    Ok(())
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

/// Shows a directory of the host, read-only.
fn show(here: &Path, there: &Path) -> Result<()> {
    make(there)?;
    bind(here, there)?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, there, None::<&str>, read_only, None::<&str>)
        .with_context(|| format!("cannot make {} read-only", there.display()))
}

fn attach(kind: &str, target: &Path, flags: MsFlags) -> Result<()> {
    mount(Some(kind), target, Some(kind), flags, None::<&str>)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind {} to {}", source.display(), target.display()))
}
