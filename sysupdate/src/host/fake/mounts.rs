//! Mounts in memory: a tree of them over files in memory, which can fail at a chosen step.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use sysext_image::Format;

use super::store::FakeStore;
use super::tree::FakeTree;
use crate::host::mounts::image::ImageError;
use crate::host::mounts::table::{Copying, Mount, MountTable};
use crate::host::mounts::{MountedAt, Mounts, Part, SYSEXT_MARKER, StageError, Staging};
use crate::host::view::Tree;

/// Mounts in memory. Descriptors of mounts are those of empty files, by whose number the mount is found.
#[derive(Clone, Default)]
pub struct FakeMounts {
    state: Arc<Mutex<MountsState>>,
    files: FakeStore,
    steps: Steps,
}

#[derive(Default)]
struct MountsState {
    /// What an image holds, by its path.
    images: BTreeMap<PathBuf, FakeStore>,
    attached: Vec<FakeMount>,
    /// What descriptors hold.
    open: BTreeMap<u64, Open>,
    last_id: u64,
    is_old_kernel: bool,
}

/// A mount that every program sees.
#[derive(Clone, Debug)]
struct FakeMount {
    id: u64,
    parent: u64,
    point: PathBuf,
    filesystem: Filesystem,
}

/// What is mounted.
#[derive(Clone, Debug)]
enum Filesystem {
    /// Files, with the number of their device.
    Files { files: FakeStore, root: PathBuf, device: u32 },
    /// A merged overlay: the files of its marker directory.
    Overlay { marker: FakeStore, device: u32 },
}

/// What a descriptor holds.
#[derive(Clone, Debug)]
enum Open {
    /// A detached mount, and those that are mounted in it.
    Detached { filesystem: Filesystem, below: Vec<(PathBuf, Filesystem)> },
    /// A mount that is attached.
    Attached(u64),
}

/// The mount of the whole system.
const ROOT: u64 = 1;

/// Counts the steps of a run, of which one can fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps(Arc<Mutex<Counter>>);

#[derive(Debug, Default)]
struct Counter {
    log: Vec<String>,
    failure: Option<(usize, Errno)>,
}

impl Steps {
    pub(super) fn pass(&self, what: &str, path: &Path) -> io::Result<()> {
        let mut counter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counter.log.push(format!("{what} {}", path.display()));
        match counter.failure {
            Some((at, errno)) if counter.log.len() == at + 1 => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

impl FakeMounts {
    /// Mounts over these files.
    pub fn over(files: &FakeStore) -> Self {
        Self { files: files.clone(), ..Self::default() }
    }

    /// Makes a file the image of these files.
    pub fn put_image(&self, path: impl AsRef<Path>, contents: &[(&str, &str)]) {
        let image = FakeStore::default();
        for (path, text) in contents {
            image.put(Path::new("/").join(path), text.as_bytes());
        }
        let bytes: Vec<u8> =
            contents.iter().flat_map(|(path, text)| [*path, *text]).flat_map(str::bytes).collect();
        self.files.put(path.as_ref(), &bytes);
        self.state().images.insert(path.as_ref().to_owned(), image);
    }

    /// Mounts an empty file system, as an administrator would.
    pub fn put_mount(&self, point: impl AsRef<Path>) {
        let mut state = self.state();
        let (parent, device) = (state.shown(point.as_ref()), state.next_device());
        let filesystem = Filesystem::Files { files: FakeStore::default(), root: "/".into(), device };
        state.attach(parent, point.as_ref(), filesystem);
    }

    /// No mount can be attached beneath another from now on, as before Linux 6.5.
    pub fn be_an_old_kernel(&self) {
        self.state().is_old_kernel = true;
    }

    /// The step with this number, counted from now on, fails with this error; the others do not.
    pub fn fail_at(&self, step: usize, errno: Errno) {
        let mut counter = self.steps.0.lock().unwrap_or_else(PoisonError::into_inner);
        counter.log.clear();
        counter.failure = Some((step, errno));
    }

    /// No step fails from now on. What was done since [`Self::fail_at`].
    pub fn stop_failing(&self) -> Vec<String> {
        let mut counter = self.steps.0.lock().unwrap_or_else(PoisonError::into_inner);
        counter.failure = None;
        std::mem::take(&mut counter.log)
    }

    /// The mounts besides that of the whole system: points and types, sorted.
    pub fn points(&self) -> Vec<(PathBuf, &'static str)> {
        let state = self.state();
        let mut points: Vec<_> =
            state.attached.iter().map(|mount| (mount.point.clone(), mount.filesystem.name())).collect();
        points.sort();
        points
    }

    /// A file of the marker of the overlay that a hierarchy shows.
    pub fn marker(&self, hierarchy: impl AsRef<Path>, file: &str) -> Option<String> {
        match self.state().get(hierarchy.as_ref())?.filesystem.clone() {
            Filesystem::Overlay { marker, .. } => {
                let bytes = marker.bytes(Path::new("/").join(SYSEXT_MARKER).join(file))?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Filesystem::Files { .. } => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, MountsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree(&self, files: FakeStore, root: &Path) -> Box<dyn Tree> {
        Box::new(FakeTree { files, root: root.to_owned(), steps: self.steps.clone() })
    }

    fn open(&self, open: Open) -> io::Result<OwnedFd> {
        let fd = rustix::fs::memfd_create("fake mount", MemfdFlags::CLOEXEC)?;
        self.state().open.insert(number(&fd)?, open);
        Ok(fd)
    }

    fn held(&self, fd: impl AsFd) -> io::Result<Open> {
        self.state().open.get(&number(fd)?).cloned().ok_or_else(|| Errno::BADF.into())
    }

    fn attach_open(
        &self,
        mount: BorrowedFd<'_>,
        path: &Path,
        parent: impl FnOnce(&mut MountsState) -> u64,
    ) -> io::Result<u64> {
        let Open::Detached { filesystem, below } = self.held(mount)? else { return Err(Errno::INVAL.into()) };
        let mut state = self.state();
        let parent = parent(&mut state);
        let id = state.attach(parent, path, filesystem);
        for (inside, filesystem) in below {
            state.attach(id, &path.join(inside), filesystem);
        }
        state.open.insert(number(mount)?, Open::Attached(id));
        Ok(id)
    }
}

/// The number of the file behind a descriptor; a duplicate has the same.
fn number(fd: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(fd)?.st_ino)
}

impl Filesystem {
    fn name(&self) -> &'static str {
        match self {
            Self::Files { .. } => "tmpfs",
            Self::Overlay { .. } => "overlay",
        }
    }

    fn source(&self) -> &'static str {
        match self {
            Self::Files { .. } => "files",
            Self::Overlay { .. } => "sysext",
        }
    }

    fn device(&self) -> u32 {
        match self {
            Self::Files { device, .. } | Self::Overlay { device, .. } => *device,
        }
    }
}

impl MountsState {
    fn next_device(&mut self) -> u32 {
        self.last_id += 1;
        u32::try_from(self.last_id).unwrap_or(u32::MAX)
    }

    fn attach(&mut self, parent: u64, point: &Path, filesystem: Filesystem) -> u64 {
        self.last_id += 1;
        let id = ROOT + self.last_id;
        self.attached.push(FakeMount { id, parent, point: point.to_owned(), filesystem });
        id
    }

    /// The mount that a path shows, as programs see it.
    fn shown(&self, path: &Path) -> u64 {
        let mut shown = ROOT;
        while let Some(next) = self
            .attached
            .iter()
            .filter(|mount| mount.parent == shown && path.starts_with(&mount.point))
            .min_by_key(|mount| mount.point.components().count())
        {
            shown = next.id;
        }
        shown
    }

    /// What is mounted at a path, if it is a mount point.
    fn get(&self, path: &Path) -> Option<&FakeMount> {
        let shown = self.shown(path);
        self.attached.iter().find(|mount| mount.id == shown && mount.point == path)
    }

    /// Detaches a mount with all below it.
    fn detach(&mut self, id: u64) {
        let children: Vec<u64> =
            self.attached.iter().filter(|mount| mount.parent == id).map(|mount| mount.id).collect();
        children.into_iter().for_each(|child| self.detach(child));
        self.attached.retain(|mount| mount.id != id);
    }

    /// Everything mounted in a mount, by paths relative to its mount point.
    fn below(&self, of: &FakeMount) -> Vec<(PathBuf, Filesystem)> {
        let mut below = Vec::new();
        for child in self.attached.iter().filter(|mount| mount.parent == of.id && mount.point != of.point) {
            let inside = child.point.strip_prefix(&of.point).unwrap_or(&child.point).to_owned();
            let deeper = self.below(child).into_iter();
            let deeper: Vec<_> = deeper.map(|(path, filesystem)| (inside.join(path), filesystem)).collect();
            below.push((inside, child.filesystem.clone()));
            below.extend(deeper);
        }
        below
    }
}

impl fmt::Debug for FakeMounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.points()).finish()
    }
}

impl Mounts for FakeMounts {
    fn table(&self) -> io::Result<MountTable> {
        self.steps.pass("read the mount table", Path::new(""))?;
        let mount = |id, parent, point: &Path, filesystem: &str, source: &str| Mount {
            id,
            parent,
            point: point.to_owned(),
            copying: Copying::Possible,
            filesystem: filesystem.to_owned(),
            source: source.to_owned(),
        };
        let state = self.state();
        let attached = state.attached.iter().map(|attached| {
            let FakeMount { id, parent, point, filesystem } = attached;
            mount(*id, *parent, point, filesystem.name(), filesystem.source())
        });
        Ok(std::iter::once(mount(ROOT, 0, Path::new("/"), "ext4", "/dev/vda")).chain(attached).collect())
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.steps.pass("resolve", path)?;
        Ok(path.to_owned())
    }

    fn look(&self, path: &Path) -> io::Result<MountedAt> {
        self.steps.pass("look at the mount of", path)?;
        let state = self.state();
        Ok(match state.get(path) {
            Some(mount) => {
                MountedAt { mount: mount.id, part: Part::Root, file: (0, mount.filesystem.device(), 0) }
            }
            None => MountedAt { mount: state.shown(path), part: Part::Inside, file: (0, 0, 1) },
        })
    }

    fn look_at(&self, mount: BorrowedFd<'_>) -> io::Result<MountedAt> {
        self.steps.pass("look at a mount", Path::new(""))?;
        match self.held(mount)? {
            Open::Detached { filesystem, .. } => {
                Ok(MountedAt { mount: 0, part: Part::Root, file: (0, filesystem.device(), 0) })
            }
            Open::Attached(mount) => Ok(MountedAt { mount, part: Part::Root, file: (0, 0, 0) }),
        }
    }

    fn is_read_only(&self, path: &Path) -> io::Result<bool> {
        self.steps.pass("look at the flags of", path)?;
        let state = self.state();
        Ok(state.get(path).is_some_and(|mount| matches!(mount.filesystem, Filesystem::Overlay { .. })))
    }

    fn files(&self, root: &Path) -> Box<dyn Tree> {
        self.tree(self.files.clone(), root)
    }

    fn files_in(&self, directory: OwnedFd) -> Box<dyn Tree> {
        match self.held(directory) {
            Ok(Open::Detached { filesystem: Filesystem::Files { files, root, .. }, .. }) => {
                self.tree(files, &root)
            }
            Ok(Open::Detached { filesystem: Filesystem::Overlay { marker, .. }, .. }) => {
                self.tree(marker, Path::new("/"))
            }
            Ok(Open::Attached(_)) | Err(_) => self.tree(FakeStore::default(), Path::new("/")),
        }
    }

    fn merged(&self, hierarchy: &Path) -> io::Result<Option<Box<dyn Tree>>> {
        self.steps.pass("look for a marker at", hierarchy)?;
        let filesystem = self.state().get(hierarchy).map(|mount| mount.filesystem.clone());
        Ok(match filesystem {
            Some(Filesystem::Overlay { marker, .. }) => Some(self.tree(marker, Path::new("/"))),
            Some(Filesystem::Files { .. }) | None => None,
        })
    }

    fn hold(&self, path: &Path) -> io::Result<OwnedFd> {
        self.steps.pass("hold", path)?;
        let mount = self.state().get(path).map(|mount| mount.id).ok_or(Errno::INVAL)?;
        self.open(Open::Attached(mount))
    }

    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>> {
        self.steps.pass("open beneath", hierarchy)?;
        let merged = self.state().get(hierarchy).is_some_and(|mount| mount.filesystem.name() == "overlay");
        let (files, root) = (self.files.clone(), hierarchy.to_owned());
        let filesystem = Filesystem::Files { files, root, device: 0 };
        merged.then(|| self.open(Open::Detached { filesystem, below: Vec::new() })).transpose()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        use crate::host::store::Store as _;

        self.steps.pass("create the directory", path)?;
        self.files.make_directory(path).map_err(|error| error.source)
    }

    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError> {
        let refused = |error: io::Error| {
            let message = error.to_string();
            ImageError::refused(Format::Erofs, error, message)
        };
        self.steps.pass("open the image", image).map_err(refused)?;
        let files = self.state().images.get(image).cloned().ok_or(ImageError::Unknown)?;
        let device = self.state().next_device();
        let filesystem = Filesystem::Files { files, root: "/".into(), device };
        self.open(Open::Detached { filesystem, below: Vec::new() }).map_err(ImageError::Host)
    }

    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd> {
        self.steps.pass("open the directory", directory)?;
        let (files, root) = (self.files.clone(), directory.to_owned());
        let filesystem = Filesystem::Files { files, root, device: 0 };
        self.open(Open::Detached { filesystem, below: Vec::new() })
    }

    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd> {
        self.steps.pass("copy the mount", path)?;
        let state = self.state();
        let mount = state.get(path).ok_or(Errno::INVAL)?;
        let (filesystem, below) = (mount.filesystem.clone(), state.below(mount));
        drop(state);
        self.open(Open::Detached { filesystem, below })
    }

    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError> {
        self.steps.pass("stage", &staging.workspace).map_err(StageError::Private)?;
        let mut staged = Vec::new();
        for overlay in staging.overlays {
            let failed = |source| StageError::Overlay { path: overlay.path.clone(), source };
            let marker = FakeStore::default();
            for (name, bytes) in &overlay.marker {
                marker.put(Path::new("/").join(SYSEXT_MARKER).join(name), bytes);
            }
            let filesystem = Filesystem::Overlay { marker, device: self.state().next_device() };
            let mut below = Vec::new();
            for submount in &overlay.submounts {
                let Open::Detached { filesystem, below: deeper } =
                    self.held(&submount.mount).map_err(failed)?
                else {
                    return Err(failed(Errno::INVAL.into()));
                };
                below.push((submount.inside.clone(), filesystem));
                below.extend(deeper.into_iter().map(|(path, files)| (submount.inside.join(path), files)));
            }
            staged.push(self.open(Open::Detached { filesystem, below }).map_err(failed)?);
        }
        Ok(staged)
    }

    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.steps.pass("attach to", path)?;
        self.attach_open(mount, path, |state| state.shown(path)).map(|_| ())
    }

    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.steps.pass("attach beneath", path)?;
        let is_old = self.state().is_old_kernel;
        let top = self.state().get(path).filter(|_| !is_old).cloned();
        let top = top.ok_or(io::ErrorKind::InvalidInput)?;
        let beneath = self.attach_open(mount, path, |_| top.parent)?;
        let mut state = self.state();
        let moved = state.attached.iter_mut().find(|mount| mount.id == top.id);
        moved.into_iter().for_each(|mount| mount.parent = beneath);
        Ok(())
    }

    fn detach(&self, path: &Path) -> io::Result<()> {
        self.steps.pass("detach", path)?;
        let mut state = self.state();
        let top = state.get(path).map(|mount| mount.id).ok_or(Errno::INVAL)?;
        state.detach(top);
        Ok(())
    }

    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        self.steps.pass("detach what is hidden", Path::new(""))?;
        let Open::Attached(mount) = self.held(root)? else { return Err(Errno::INVAL.into()) };
        self.state().detach(mount);
        Ok(())
    }
}
