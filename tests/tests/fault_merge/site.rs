//! A system in memory to merge extensions over, with images by our own writer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use sysext_image::erofs::{Options as ErofsOptions, write};
use sysext_image::tree::Metadata;
use sysext_image::{Codec, Tree};
use sysupdate::host::mounts::Mounts as _;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::merge::report::{MergeOutcome, MergeReport};
use sysupdate::merge::{self, MergeError, Options, When};
use sysupdate::paths::Paths;

/// Time limit for the kernel to release unused devices.
const PATIENCE: Duration = Duration::from_secs(5);

/// A system below its own directory.
pub(crate) struct Site {
    pub(crate) root: PathBuf,
    pub(crate) paths: Paths,
    /// The directories of the extensions and of their images.
    extensions: PathBuf,
    images: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl Site {
    /// With `/usr` and `/opt` as ordinary directories, on a mount that other namespaces share.
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().canonicalize()?;
        mount(Some("site"), &root, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        mount(None::<&str>, &root, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
        let site = Self::at(&root, "var/lib", Some(directory))?;
        for directory in ["usr/bin", "usr/lib", "usr/share/mnt", "opt/host", "etc", "run"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::write(root.join("usr/lib/os-release"), "ID=debian\nVERSION_ID=12\n")?;
        symlink("../usr/lib/os-release", root.join("etc/os-release"))?;
        fs::write(root.join("usr/bin/base"), "base")?;
        symlink("bin", root.join("usr/sbin"))?;
        Ok(site)
    }

    /// The system of this process.
    pub(crate) fn here() -> Result<Self> {
        Self::at(Path::new("/"), "run", None)
    }

    /// A system that another process created.
    pub(crate) fn existing(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            paths: Paths::new(root),
            extensions: root.join("var/lib/extensions"),
            images: root.join("var/lib/images"),
            _directory: None,
        }
    }

    fn at(root: &Path, state: &str, directory: Option<tempfile::TempDir>) -> Result<Self> {
        let site = Self {
            root: root.to_owned(),
            paths: Paths::new(root),
            extensions: root.join(state).join("extensions"),
            images: root.join(state).join("images"),
            _directory: directory,
        };
        fs::create_dir_all(&site.extensions)?;
        fs::create_dir_all(&site.images)?;
        Ok(site)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes an image of an extension that matches any host, and selects it.
    pub(crate) fn offer(&self, name: &str, version: &str, files: &[(&str, &str)]) -> Result<()> {
        self.bake(name, version, files)?;
        self.choose(name, version)
    }

    /// Writes an image.
    pub(crate) fn bake(&self, name: &str, version: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
        let mut tree = Tree::new();
        let mut add =
            |path: &str, text: &str| tree.insert_bytes(path, text.as_bytes().to_vec(), Metadata::new(0o644));
        add(&format!("usr/lib/extension-release.d/extension-release.{name}"), "ID=_any\n")?;
        for (path, text) in files {
            add(path, text)?;
        }
        let image = self.images.join(format!("{name}-{version}-x86-64.raw"));
        let mut bytes = Vec::new();
        write(&tree, &ErofsOptions::new(Codec::None, 0), &mut bytes)?;
        fs::write(&image, bytes)?;
        Ok(image)
    }

    /// Points an extension to one of its images atomically, as an update does.
    pub(crate) fn choose(&self, name: &str, version: &str) -> Result<()> {
        let link = self.extensions.join(format!("{name}.raw"));
        let temporary = self.extensions.join(format!(".#{name}.raw"));
        symlink(format!("../images/{name}-{version}-x86-64.raw"), &temporary)?;
        Ok(fs::rename(temporary, link)?)
    }

    /// Like [`Site::choose`], with a copy instead of a link.
    pub(crate) fn place(&self, name: &str, version: &str) -> Result<()> {
        let temporary = self.extensions.join(format!(".#{name}.raw"));
        fs::copy(self.images.join(format!("{name}-{version}-x86-64.raw")), &temporary)?;
        Ok(fs::rename(temporary, self.extensions.join(format!("{name}.raw")))?)
    }

    /// Puts the images on the disk, where the kernel mounts erofs without a loop device. It cannot do that on a
    /// file system in memory.
    pub(crate) fn images_on_disk(&self, disk: &Path) -> Result<()> {
        Ok(mount(Some(disk), &self.images, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
    }

    pub(crate) fn refresh(&self) -> Result<MergeReport, MergeError> {
        merge::refresh(&Kernel, &self.paths, &Options::default())
    }

    pub(crate) fn refresh_always(&self) -> Result<MergeReport, MergeError> {
        merge::refresh(&Kernel, &self.paths, &Options { when: When::Always, ..Options::default() })
    }

    pub(crate) fn unmerge(&self) -> Result<MergeReport, MergeError> {
        merge::unmerge(&Kernel, &self.paths)
    }

    pub(crate) fn merge(&self) -> Result<MergeReport, MergeError> {
        merge::merge(&Kernel, &self.paths, &Options::default())
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.path(path)).with_context(|| format!("cannot read {path}"))
    }

    /// A mount below `/usr`, with a file.
    pub(crate) fn mount_below_usr(&self) -> Result<PathBuf> {
        let point = self.path("usr/share/mnt");
        mount(Some("below"), &point, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        fs::write(point.join("file"), "below")?;
        Ok(point)
    }

    /// The number of mounts of each file system at each place below the root.
    pub(crate) fn mounts(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for mount in Kernel.table()?.iter().filter(|mount| mount.point.starts_with(&self.root)) {
            let key = format!("{} {} {}", mount.point.display(), mount.filesystem, mount.source);
            *counts.entry(key).or_insert(0) += 1;
        }
        Ok(counts)
    }

    /// The number of our overlays at a hierarchy.
    pub(crate) fn overlays(&self, hierarchy: &str) -> Result<usize> {
        let key = format!("{} overlay sysext", self.path(hierarchy).display());
        Ok(self.mounts()?.get(&key).copied().unwrap_or(0))
    }

    /// Waits until no loop device uses an image of this system.
    pub(crate) fn no_loop_device_is_left(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let held = loop_devices(&self.root)?;
            if held.is_empty() {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "loop devices are left: {held:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The files below a directory that loop devices use.
pub(crate) fn loop_devices(root: &Path) -> Result<Vec<PathBuf>> {
    let mut held = Vec::new();
    for device in fs::read_dir("/sys/block")? {
        if let Ok(file) = fs::read_to_string(device?.path().join("loop/backing_file")) {
            let file = PathBuf::from(file.trim_end());
            // From another root the path may begin differently, but it ends in the same way.
            if file.starts_with(root) {
                held.push(file);
            }
        }
    }
    Ok(held)
}

pub(crate) fn expect(report: &MergeReport, outcome: MergeOutcome) -> Result<()> {
    ensure!(report.outcome == outcome, "{report:?}");
    ensure!(report.quarantined.is_empty() && report.warnings.is_empty(), "{report}");
    Ok(())
}
