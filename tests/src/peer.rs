//! Programs of another system, unpacked beside this one by `.ci/peers`, and how to run them as if
//! their system were installed: an isolated trial makes it the root of its own process.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{isolation, workspace};

/// A system whose real programs judge ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian trixie: systemd 257.
    Trixie,
    /// Debian sid: systemd 262.
    Sid,
}

/// A directory of the host that is seen in the peer as well, writable.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// Where it is on the host.
    pub host: &'a Path,
    /// Where the peer sees it, an absolute path outside `/usr`.
    pub peer: &'a Path,
}

impl Peer {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Sid];

    /// The systemd it has, as `--version` begins.
    pub const fn systemd(self) -> u32 {
        match self {
            Self::Trixie => 257,
            Self::Sid => 262,
        }
    }

    /// Where it was unpacked, below `$PEERS_DIR` or `.cache/peers` of the checkout.
    pub fn root(self) -> PathBuf {
        let peers = std::env::var_os("PEERS_DIR").filter(|dir| !dir.is_empty());
        // A relative directory is the checkout's, as it is for `.ci/peers`: cargo runs tests elsewhere.
        let peers = peers.map_or_else(|| ".cache/peers".into(), PathBuf::from);
        workspace::root().join(peers).join(self.to_string())
    }

    /// Whether `.ci/peers` finished unpacking it: the stamp is the last thing it writes.
    pub fn is_ready(self) -> bool {
        self.root().with_extension("complete").is_file()
    }

    /// Makes the peer's system the root of this process, which must be an isolated trial's; from here
    /// on `std::process::Command` runs the peer's programs and every path is the peer's.
    ///
    /// `/usr` is the peer's, read-only as on a host whose `/usr` is an image, and not an overlay:
    /// extensions can be merged on top even where the checkout itself lies on one. `/etc` is a copy and
    /// all else is empty, both in memory. Devices and network are the host's. This program and the two
    /// it tests are static, so they run on either side.
    pub fn enter(self, shared: &[Shared<'_>]) -> Result<()> {
        ensure!(isolation::is_inside(), "only an isolated trial may change its root");
        // Any empty directory will do to carry the new root; this one is surely there.
        let root = self.root().join("run");
        self.assemble(&root, shared).with_context(|| format!("cannot assemble peer {self}"))?;
        std::env::set_current_dir(&root).context("cannot enter the peer's root")?;
        // With both names the same the old root ends up on top of the new one, to be taken off.
        rustix::process::pivot_root(".", ".").context("cannot make the peer's root this process's")?;
        umount2(".", MntFlags::MNT_DETACH).context("cannot take the host's root off")?;
        std::env::set_current_dir("/").context("cannot change to the new root")?;
        // As PID 1 leaves it: systemd-sysext merges in a namespace of its own and counts on the mount
        // to come back from there. The host's mounts are not of this group.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)
            .context("cannot share the peer's mounts with the namespaces made from it")
    }

    fn assemble(self, root: &Path, shared: &[Shared<'_>]) -> Result<()> {
        attach("tmpfs", root, "tmpfs", MsFlags::empty())?;
        for name in [
            "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var/lib",
            "var/tmp",
        ] {
            fs::create_dir_all(root.join(name)).with_context(|| format!("cannot make /{name}"))?;
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            symlink(Path::new("usr").join(name), root.join(name))
                .with_context(|| format!("cannot link /{name}"))?;
        }
        copy_tree(&self.root().join("etc"), &root.join("etc"))?;
        bind(&self.root().join("usr"), &root.join("usr"))?;
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        attach("none", &root.join("usr"), "none", read_only)?;
        attach("devtmpfs", &root.join("dev"), "devtmpfs", MsFlags::empty())?;
        attach("proc", &root.join("proc"), "proc", MsFlags::empty())?;
        attach("sysfs", &root.join("sys"), "sysfs", MsFlags::MS_RDONLY)?;
        attach("tmpfs", &root.join("run"), "tmpfs", MsFlags::empty())?;
        show_this_program(root)?;
        for Shared { host, peer } in shared {
            let below =
                peer.strip_prefix("/").with_context(|| format!("{} is not absolute", peer.display()))?;
            let target = root.join(below);
            fs::create_dir_all(&target).with_context(|| format!("cannot make {}", peer.display()))?;
            bind(host, &target)?;
        }
        Ok(())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        })
    }
}

/// Under its own path, where a backtrace looks for the names of functions and lines.
fn show_this_program(root: &Path) -> Result<()> {
    let this = std::env::current_exe().context("cannot find this program's own path")?;
    let Ok(below) = this.strip_prefix("/") else { return Ok(()) };
    let target = root.join(below);
    if !below.starts_with("usr") {
        fs::create_dir_all(target.parent().context("a program is in a directory")?)?;
        fs::write(&target, "")?;
        bind(&this, &target)?;
    }
    Ok(())
}

/// What `systemd-sysext status` says is merged into `/usr`.
pub fn merged_into_usr() -> Result<Vec<String>> {
    let status: serde_json::Value =
        serde_json::from_str(&run("systemd-sysext", &["status", "--json=short"])?)?;
    let rows = status.as_array().context("status is not a list")?;
    let usr = rows.iter().find(|row| row["hierarchy"] == "/usr").context("no row for /usr")?;
    match &usr["extensions"] {
        // 257's word for an empty list.
        serde_json::Value::String(word) if word == "none" => Ok(Vec::new()),
        extensions => serde_json::from_value(extensions.clone())
            .with_context(|| format!("{extensions} is no list of extensions")),
    }
}

/// Runs a program to its end and returns what it printed; what it complained about is in the error.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let diagnostics = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {arguments:?}: {}\n{text}{diagnostics}", output.status);
    }
    Ok(text)
}

fn attach(source: &str, target: &Path, kind: &str, flags: MsFlags) -> Result<()> {
    mount(Some(source), target, Some(kind), flags, None::<&str>)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind {} to {}", source.display(), target.display()))
}

/// Directories, files with their modes, and symbolic links: all there is in a peer's `/etc`.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &target)
                .with_context(|| format!("cannot link {}", target.display()))?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
