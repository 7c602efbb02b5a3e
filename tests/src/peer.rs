//! Programs of another system that `.ci/peers` unpacked. An isolated trial makes that system the root of its
//! own process and runs them as if the system were installed.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{isolation, workspace};

/// A system whose programs check ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian trixie: systemd 257.
    Trixie,
    /// Debian sid: systemd 262.
    Sid,
}

/// A directory of the host that the peer can also see and write.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The path on the host.
    pub host: &'a Path,
    /// The path in the peer: absolute and outside `/usr`.
    pub peer: &'a Path,
}

impl Peer {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Sid];

    /// The version of systemd, as `--version` begins.
    pub const fn systemd(self) -> u32 {
        match self {
            Self::Trixie => 257,
            Self::Sid => 262,
        }
    }

    /// The directory of the peer, below `$PEERS_DIR` or `.cache/peers` of the checkout.
    pub fn root(self) -> PathBuf {
        let peers = std::env::var_os("PEERS_DIR").filter(|dir| !dir.is_empty());
        // A relative path starts at the checkout, as in `.ci/peers`; cargo runs tests in another directory.
        let peers = peers.map_or_else(|| ".cache/peers".into(), PathBuf::from);
        workspace::root().join(peers).join(self.to_string())
    }

    /// Whether `.ci/peers` completed it: it writes the stamp last.
    pub fn is_ready(self) -> bool {
        self.root().with_extension("complete").is_file()
    }

    /// Makes the peer's system the root of this process, which must be an isolated trial. After that,
    /// `std::process::Command` runs the peer's programs and every path is a path of the peer.
    ///
    /// `/usr` is the peer's and read-only, as on a host whose `/usr` is an image. It is not an overlay, so that
    /// extensions can be merged even if the checkout is on one. `/etc` is a copy and everything else is empty,
    /// both in memory. Devices and network are the host's. This program and the two programs under test are
    /// static, so they run in both systems.
    pub fn enter(self, shared: &[Shared<'_>]) -> Result<()> {
        ensure!(isolation::is_inside(), "only an isolated trial may change its root");
        // Any empty directory can carry the new root; this one always exists.
        let root = self.root().join("run");
        self.assemble(&root, shared).with_context(|| format!("cannot assemble peer {self}"))?;
        std::env::set_current_dir(&root).context("cannot enter the peer's root")?;
        // With the same path for both, the old root is mounted on top of the new one and can be unmounted.
        rustix::process::pivot_root(".", ".").context("cannot make the peer's root this process's")?;
        umount2(".", MntFlags::MNT_DETACH).context("cannot take the host's root off")?;
        std::env::set_current_dir("/").context("cannot change to the new root")?;
        // As PID 1 does: systemd-sysext merges in its own namespace and relies on mounts to propagate from
        // there. The host's mounts are not in this peer group.
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

/// Shows it under its own path, where a backtrace looks for symbols.
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

/// The extensions that `systemd-sysext status` lists for `/usr`.
pub fn merged_into_usr() -> Result<Vec<String>> {
    let status: serde_json::Value =
        serde_json::from_str(&run("systemd-sysext", &["status", "--json=short"])?)?;
    let rows = status.as_array().context("status is not a list")?;
    let usr = rows.iter().find(|row| row["hierarchy"] == "/usr").context("no row for /usr")?;
    match &usr["extensions"] {
        // 257 prints this word for an empty list.
        serde_json::Value::String(word) if word == "none" => Ok(Vec::new()),
        extensions => serde_json::from_value(extensions.clone())
            .with_context(|| format!("{extensions} is no list of extensions")),
    }
}

/// Runs a program until it ends and returns its output; an error contains standard error.
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

/// Copies directories, files with their modes, and symbolic links; a peer's `/etc` contains nothing else.
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
