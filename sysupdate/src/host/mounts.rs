//! Mounting images and swapping what is merged.
//!
//! Each method is one step, seen from the outside either done or not done: what is assembled lives
//! in detached mounts and private namespaces, which the kernel takes apart when the process dies.

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

/// The directory in a merged `/usr` or `/opt` that says who merged what.
pub const SYSEXT_MARKER: &str = ".systemd-sysext";
/// The same for a merged `/etc`.
pub const CONFEXT_MARKER: &str = ".systemd-confext";

/// The mounts of a system. A mount that was opened is detached: nobody sees it until it is attached,
/// and it is gone when its file descriptor is closed.
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

    /// The directory that lies under a merged overlay, to read and write through
    /// `/proc/self/fd/N/...` while it is merged; `None` where nothing is merged. Both our overlays
    /// and systemd's are seen through, of extensions and of configuration extensions.
    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>>;

    /// Makes an empty directory with all above it.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Opens an image as a mount.
    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError>;

    /// Opens a directory as a mount.
    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd>;

    /// Opens a copy of a mount, with every mount below it. What happens to the original, or below
    /// it, does not happen to the copy.
    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd>;

    /// Assembles overlays where nobody sees them: one mount for each hierarchy asked for, in order,
    /// each with its submounts in place.
    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError>;

    /// Attaches a mount on top of what a path shows.
    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()>;

    /// Attaches a mount below the topmost one of a path, which goes on being what the path shows.
    /// `InvalidInput` where the kernel cannot.
    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()>;

    /// Detaches the topmost mount of a path with all below it. Files that are open stay open.
    fn detach(&self, path: &Path) -> io::Result<()>;

    /// Detaches a mount by its root, wherever it is hidden.
    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()>;
}

/// What to assemble.
#[derive(Debug)]
pub struct Staging {
    /// A directory outside every hierarchy. A file system of our own covers it, in private.
    pub workspace: PathBuf,
    /// Hierarchies whose overlays are taken away first, in private, so that the bare host is seen.
    pub uncover: Vec<PathBuf>,
    /// The mounts that become layers, lowest first.
    pub layers: Vec<LayerMount>,
    /// The overlays to make.
    pub overlays: Vec<Overlay>,
}

/// A mount that becomes a layer.
#[derive(Debug)]
pub struct LayerMount {
    /// What the mount table will show it as.
    pub name: String,
    /// The mount.
    pub mount: OwnedFd,
}

/// An overlay to make.
#[derive(Debug)]
pub struct Overlay {
    /// Where the hierarchy is on this system, without symbolic links.
    pub path: PathBuf,
    /// The same hierarchy in a layer, relative: `usr`.
    pub inside: PathBuf,
    /// Which layers have it, lowest first.
    pub layers: Vec<usize>,
    /// Files of the marker directory, besides `dev` and `backing`.
    pub marker: Vec<(&'static str, Vec<u8>)>,
    /// Mounts to attach below it.
    pub submounts: Vec<Submount>,
}

/// A mount that lies below a hierarchy.
#[derive(Debug)]
pub struct Submount {
    /// Where, relative to the hierarchy.
    pub inside: PathBuf,
    /// A copy of it.
    pub mount: OwnedFd,
}

/// Why no overlay could be assembled. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No namespace of our own.
    #[error("cannot make a private mount namespace: {0}")]
    Private(#[source] io::Error),
    /// A merged overlay could not be taken away in private.
    #[error("cannot see below what is merged at {path}: {source}")]
    Uncover {
        /// The hierarchy.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The workspace could not be filled.
    #[error("cannot prepare {path}: {source}")]
    Workspace {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel limits the length of a list of layers.
    #[error("{path}: {count} layers are more than one overlay takes")]
    TooMany {
        /// The hierarchy.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// The kernel refused the overlay.
    #[error("cannot make the overlay for {path}: {source}")]
    Overlay {
        /// The hierarchy.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A mount below the hierarchy would be lost.
    #[error("the mount at {path} cannot be kept: {source}")]
    Submount {
        /// Where it is mounted.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}
