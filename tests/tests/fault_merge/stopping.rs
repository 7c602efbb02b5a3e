//! The kernel's mounts, with a kill at a chosen step.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sysupdate::host::mounts::image::ImageError;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::host::mounts::table::MountTable;
use sysupdate::host::mounts::{MountedAt, Mounts, StageError, Staging};
use sysupdate::host::view::Tree;

/// The event at the chosen step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// The process is killed before the step is done.
    Kill,
    /// The step fails.
    Fail,
}

/// The kernel that is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    /// The running one.
    Running,
    /// A kernel before 6.5, which cannot move a mount beneath another.
    Old,
}

/// Stops at a step.
pub(crate) struct Stopping {
    stop: Stop,
    /// Counted from 0.
    at: usize,
    age: Age,
    steps: Cell<usize>,
    /// The duration of attaching beneath, which is the moment of change.
    pub(crate) beneath: Cell<Duration>,
}

impl Stopping {
    pub(crate) fn new(age: Age, stop: Stop, at: usize) -> Self {
        Self { stop, at, age, steps: Cell::new(0), beneath: Cell::default() }
    }

    /// Never stops.
    pub(crate) fn never(age: Age) -> Self {
        Self::new(age, Stop::Fail, usize::MAX)
    }

    /// Whether the step was reached.
    pub(crate) fn was_reached(&self) -> bool {
        self.steps.get() > self.at
    }

    fn step(&self) -> io::Result<()> {
        let step = self.steps.replace(self.steps.get() + 1);
        match self.stop {
            _ if step != self.at => Ok(()),
            Stop::Fail => Err(io::Error::other("stopped here")),
            Stop::Kill => {
                kill(Pid::this(), Signal::SIGKILL)?;
                // Killed processes do not get here, but the kernel may take a moment.
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

impl Mounts for Stopping {
    fn table(&self) -> io::Result<MountTable> {
        self.step()?;
        Kernel.table()
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.step()?;
        Kernel.canonical(path)
    }

    fn look(&self, path: &Path) -> io::Result<MountedAt> {
        self.step()?;
        Kernel.look(path)
    }

    fn look_at(&self, mount: BorrowedFd<'_>) -> io::Result<MountedAt> {
        self.step()?;
        Kernel.look_at(mount)
    }

    fn is_read_only(&self, path: &Path) -> io::Result<bool> {
        self.step()?;
        Kernel.is_read_only(path)
    }

    fn files(&self, root: &Path) -> Box<dyn Tree> {
        Kernel.files(root)
    }

    fn files_in(&self, directory: OwnedFd) -> Box<dyn Tree> {
        Kernel.files_in(directory)
    }

    fn merged(&self, hierarchy: &Path) -> io::Result<Option<Box<dyn Tree>>> {
        self.step()?;
        Kernel.merged(hierarchy)
    }

    fn hold(&self, path: &Path) -> io::Result<OwnedFd> {
        self.step()?;
        Kernel.hold(path)
    }

    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>> {
        self.step()?;
        Kernel.beneath(hierarchy)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Kernel.make_directory(path)
    }

    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError> {
        self.step().map_err(ImageError::Read)?;
        Kernel.open_image(image)
    }

    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd> {
        self.step()?;
        Kernel.open_directory(directory)
    }

    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd> {
        self.step()?;
        Kernel.open_copy(path)
    }

    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError> {
        self.step().map_err(StageError::Private)?;
        Kernel.stage(staging)
    }

    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.step()?;
        Kernel.attach(mount, path)
    }

    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.step()?;
        match self.age {
            Age::Old => Err(io::Error::from(io::ErrorKind::InvalidInput)),
            Age::Running => {
                let start = Instant::now();
                let attached = Kernel.attach_beneath(mount, path);
                self.beneath.set(start.elapsed());
                attached
            }
        }
    }

    fn detach(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Kernel.detach(path)
    }

    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        self.step()?;
        Kernel.detach_hidden(root)
    }
}
