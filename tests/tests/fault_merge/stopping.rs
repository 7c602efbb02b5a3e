//! The kernel's mounts, and a kill at a step of one's choice.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sysupdate::host::mounts::image::ImageError;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::host::mounts::table::Table;
use sysupdate::host::mounts::{Mounts, StageError, Staging};

/// What happens when the step is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// The process is killed before the step is done.
    Kill,
    /// The step fails.
    Fail,
}

/// Stops at a step.
pub(crate) struct Stopping {
    pub(crate) stop: Stop,
    /// Counted from 0.
    pub(crate) at: usize,
    steps: Cell<usize>,
}

impl Stopping {
    pub(crate) fn new(stop: Stop, at: usize) -> Self {
        Self { stop, at, steps: Cell::new(0) }
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
                // Killed processes do not come here, but the kernel may take a moment.
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

impl Mounts for Stopping {
    fn table(&self) -> io::Result<Table> {
        self.step()?;
        Kernel.table()
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
        Kernel.attach_beneath(mount, path)
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
