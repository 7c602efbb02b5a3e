//! Mounting images and replacing merged overlays.
//!
//! Each method is one step that other programs see as done or not done: it assembles overlays in detached mounts
//! and private namespaces, which the kernel removes when the process dies.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

mod fd;
pub mod image;
pub mod kernel;
mod private;
mod shown;
mod stage;
pub mod table;

use image::ImageError;
pub use shown::{MountedAt, Part};
use table::MountTable;

use super::view::Tree;

/// The directory in a merged `/usr` or `/opt` that describes the merge.
pub const SYSEXT_MARKER: &str = ".systemd-sysext";
/// The same for a merged `/etc`.
pub const CONFEXT_MARKER: &str = ".systemd-confext";

/// The mounts of a system. An open mount is detached: no program sees it until it is attached, and closing its file
/// descriptor removes it.
pub trait Mounts {
    /// Every mount of the namespace.
    fn table(&self) -> io::Result<MountTable>;

    /// A path without symbolic links, as the mount table has it.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;

    /// What a path shows, without mounting anything that waits to be.
    fn look(&self, path: &Path) -> io::Result<MountedAt>;

    /// What a file descriptor holds.
    fn look_at(&self, mount: BorrowedFd<'_>) -> io::Result<MountedAt>;

    /// Whether what a path shows is mounted read-only.
    fn is_read_only(&self, path: &Path) -> io::Result<bool>;

    /// The files below a path without symbolic links, as every program sees them.
    fn files(&self, root: &Path) -> Box<dyn Tree>;

    /// The files of a mount or directory that is open.
    fn files_in(&self, directory: OwnedFd) -> Box<dyn Tree>;

    /// The files of the merged overlay that a path shows, ours or systemd's; `None` where it shows something else.
    fn merged(&self, hierarchy: &Path) -> io::Result<Option<Box<dyn Tree>>>;

    /// Opens what a path shows, so that it can be found again once something covers it.
    fn hold(&self, path: &Path) -> io::Result<OwnedFd>;

    /// The directory below a merged overlay, to read and write through `/proc/self/fd/N/...` while it is merged;
    /// `None` where nothing is merged. This works below our overlays and systemd's, of extensions and of configuration
    /// extensions.
    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>>;

    /// Creates a directory with all directories above it.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Opens an image as a mount.
    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError>;

    /// Opens a directory as a mount.
    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd>;

    /// Opens a copy of a mount, with every mount below it. Later changes to the original do not affect the copy.
    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd>;

    /// Assembles overlays in private: one mount for each requested hierarchy, in order, each with its submounts.
    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError>;

    /// Attaches a mount on top of what a path shows.
    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()>;

    /// Attaches a mount beneath the topmost one of a path, which the path still shows. `InvalidInput` where the kernel
    /// does not support it.
    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()>;

    /// Detaches the topmost mount of a path with all mounts below it. Open files stay open.
    fn detach(&self, path: &Path) -> io::Result<()>;

    /// Detaches a mount by its root, even if another mount hides it.
    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()>;
}

/// The overlays to assemble, and their parts.
#[derive(Debug)]
pub struct Staging {
    /// A directory outside every hierarchy. A temporary file system covers it, in private.
    pub workspace: PathBuf,
    /// Hierarchies whose overlays are detached first, in private, so that the host itself can be a layer.
    pub uncover: Vec<PathBuf>,
    /// The mounts to use as layers, lowest first.
    pub layers: Vec<LayerMount>,
    /// The overlays to create.
    pub overlays: Vec<Overlay>,
}

/// A mount to use as a layer.
#[derive(Debug)]
pub struct LayerMount {
    /// The name that the mount table shows.
    pub name: String,
    /// The mount.
    pub mount: OwnedFd,
}

/// An overlay to create.
#[derive(Debug)]
pub struct Overlay {
    /// The path of the hierarchy on this system, without symbolic links.
    pub path: PathBuf,
    /// The path of the hierarchy in a layer: `usr`.
    pub inside: PathBuf,
    /// The layers that contain it, lowest first.
    pub layers: Vec<usize>,
    /// Files of the marker directory, besides `dev` and `backing`.
    pub marker: Vec<(&'static str, Vec<u8>)>,
    /// Mounts to attach inside it.
    pub submounts: Vec<Submount>,
}

/// A mount inside a hierarchy.
#[derive(Debug)]
pub struct Submount {
    /// Its mount point, relative to the hierarchy.
    pub inside: PathBuf,
    /// A copy of the mount.
    pub mount: OwnedFd,
}

/// Why no overlay could be assembled. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum StageError {
    #[error("cannot create a private mount namespace: {0}")]
    Private(#[source] io::Error),
    #[error("cannot access the original {path}: {source}")]
    Uncover { path: PathBuf, source: io::Error },
    #[error("cannot prepare {path}: {source}")]
    Workspace { path: PathBuf, source: io::Error },
    /// The kernel limits the length of a list of layers.
    #[error("{path}: {count} layers are too many for one overlay")]
    TooMany { path: PathBuf, count: usize },
    #[error("cannot create the overlay for {path}: {source}")]
    Overlay { path: PathBuf, source: io::Error },
    /// A mount below the hierarchy would be lost.
    #[error("cannot keep the mount at {path}: {source}")]
    Submount { path: PathBuf, source: io::Error },
}
