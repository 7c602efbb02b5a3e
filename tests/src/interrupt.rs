//! Kills the process at a chosen effect. Every effect that goes through the interface to the system is counted
//! and named, before and after it happens and, for writes, in the middle. At the chosen point the process kills
//! itself, as in a power cut, without any cleanup.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use sysupdate::host::Host;
use sysupdate::host::clock::{Clock, SystemClock};
use sysupdate::host::fake::FakeClock;
use sysupdate::host::http::{Http, HttpOptions, Proxies};
use sysupdate::host::manager::Systemctl;
use sysupdate::host::mounts::image::ImageError;
use sysupdate::host::mounts::kernel::Kernel;
use sysupdate::host::mounts::table::MountTable;
use sysupdate::host::mounts::{MountedAt, Mounts, StageError, Staging};
use sysupdate::host::processes::{Ending, Processes, Program, Spawner};
use sysupdate::host::store::{self, Attributes, Entry, Files, Partial, Store};
use sysupdate::host::transport::{Body, FetchRequest, Response, RetryPolicy, Transport, TransportError};
use sysupdate::host::view::{Directory, Tree, View};

/// The environment variable with the number of the point at which to die.
pub const AT: &str = "INTERRUPT_AT";
/// The environment variable with the file to which every point is written, one per line.
pub const LOG: &str = "INTERRUPT_LOG";
/// The environment variable with the time that the clock shows. That clock advances only when the program
/// sleeps.
pub const CLOCK: &str = "INTERRUPT_CLOCK";

/// Bytes of a body per read: few, so that a small image arrives in many pieces.
const PIECE: u64 = 4096;

/// The real system, which ends where the environment says.
pub fn host() -> Result<Host> {
    let points = Arc::new(Points::from_environment()?);
    let clock: Box<dyn Clock> = match std::env::var(CLOCK) {
        Ok(text) => Box::new(FakeClock::at(text.parse().with_context(|| format!("{CLOCK}={text}"))?)),
        Err(_) => Box::new(SystemClock::new()),
    };
    let network = Http::new(HttpOptions { proxies: Proxies::Avoid, ..HttpOptions::default() });
    Ok(Host {
        clock,
        manager: Box::new(Systemctl::new(Counted { inner: Spawner, points: Arc::clone(&points) })),
        mounts: Box::new(Counted { inner: Kernel, points: Arc::clone(&points) }),
        processes: Box::new(Counted { inner: Spawner, points: Arc::clone(&points) }),
        store: Box::new(Counted { inner: Files::new(), points: Arc::clone(&points) }),
        transport: Box::new(Counted { inner: network, points }),
        retry_policy: RetryPolicy::default(),
    })
}

/// The points of one run.
#[derive(Debug)]
struct Points {
    passed: AtomicU64,
    at: Option<u64>,
    log: Option<Mutex<File>>,
}

/// The position of a point in an effect.
#[derive(Clone, Copy)]
enum Phase {
    Before,
    Halfway,
    After,
}

impl Points {
    fn from_environment() -> Result<Self> {
        let at = match std::env::var(AT) {
            Ok(text) => Some(text.parse().with_context(|| format!("{AT}={text}"))?),
            Err(_) => None,
        };
        let open = |path: std::ffi::OsString| OpenOptions::new().append(true).create(true).open(path);
        let log =
            std::env::var_os(LOG).map(open).transpose().with_context(|| format!("cannot open {LOG}"))?;
        Ok(Self { passed: AtomicU64::new(0), at, log: log.map(Mutex::new) })
    }

    /// Counts and names a point; returns whether the process must die there.
    fn is_last(&self, phase: Phase, effect: &str) -> bool {
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let phase = match phase {
            Phase::Before => "before",
            Phase::Halfway => "halfway through",
            Phase::After => "after",
        };
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // A point that is missing in the log would never be tried.
            writeln!(log, "{phase} {effect}").unwrap_or_else(|error| panic!("cannot write {LOG}: {error}"));
        }
        self.at == Some(number)
    }

    fn pass(&self, phase: Phase, effect: &str) {
        if self.is_last(phase, effect) {
            die();
        }
    }

    fn around<T>(&self, effect: &str, run: impl FnOnce() -> T) -> T {
        self.pass(Phase::Before, effect);
        let result = run();
        self.pass(Phase::After, effect);
        result
    }
}

/// Ends this process at once, so that no destructor runs.
fn die() -> ! {
    let sent = kill(Pid::this(), Signal::SIGKILL);
    panic!("SIGKILL came back: {sent:?}");
}

/// The last part of a path, which identifies effects in the log.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A part of the system whose effects are counted.
struct Counted<T> {
    inner: T,
    points: Arc<Points>,
}

impl Store for Counted<Files> {
    fn read(&self, path: &Path, limit: u64) -> store::Result<Option<Vec<u8>>> {
        self.inner.read(path, limit)
    }

    fn open(&self, path: &Path) -> store::Result<Box<dyn Read>> {
        self.inner.open(path)
    }

    fn list(&self, directory: &Path) -> store::Result<Vec<Entry>> {
        self.inner.list(directory)
    }

    fn read_link(&self, path: &Path) -> store::Result<Option<PathBuf>> {
        self.inner.read_link(path)
    }

    fn attributes(&self, path: &Path) -> store::Result<Option<Attributes>> {
        self.inner.attributes(path)
    }

    fn resolve(&self, path: &Path) -> store::Result<PathBuf> {
        self.inner.resolve(path)
    }

    fn resolve_target(&self, directory: &Path, target: &Path) -> store::Result<PathBuf> {
        self.inner.resolve_target(directory, target)
    }

    fn free_space(&self, directory: &Path) -> store::Result<u64> {
        self.inner.free_space(directory)
    }

    fn disk_size(&self, directory: &Path) -> store::Result<u64> {
        self.inner.disk_size(directory)
    }

    fn make_directory(&self, path: &Path) -> store::Result<()> {
        self.points.around(&format!("make directory {}", name(path)), || self.inner.make_directory(path))
    }

    fn partial(&self, path: &Path) -> store::Result<Box<dyn Partial>> {
        let opened = self.points.around(&format!("open {}", name(path)), || self.inner.partial(path))?;
        Ok(Box::new(CountedPartial { inner: opened, name: name(path), points: Arc::clone(&self.points) }))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> store::Result<()> {
        self.points.around(&format!("set mode of {}", name(path)), || self.inner.set_mode(path, mode))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> store::Result<()> {
        let effect = format!("write {}", name(path));
        self.points.around(&effect, || {
            if self.points.is_last(Phase::Halfway, &effect) {
                self.inner.write_new(path, &bytes[..bytes.len() / 2])?;
                die();
            }
            self.inner.write_new(path, bytes)
        })
    }

    fn make_link(&self, path: &Path, target: &Path) -> store::Result<()> {
        self.points.around(&format!("make link {}", name(path)), || self.inner.make_link(path, target))
    }

    fn rename(&self, from: &Path, to: &Path) -> store::Result<()> {
        let effect = format!("rename {} to {}", name(from), name(to));
        self.points.around(&effect, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> store::Result<()> {
        self.points.around(&format!("remove {}", name(path)), || self.inner.remove(path))
    }

    fn within(&self, view: View<Directory>) -> Box<dyn Store> {
        Box::new(Self { inner: Files::of(view), points: Arc::clone(&self.points) })
    }
}

/// A download whose effects are counted.
struct CountedPartial {
    inner: Box<dyn Partial>,
    name: String,
    points: Arc<Points>,
}

impl Partial for CountedPartial {
    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn append(&mut self, bytes: &[u8]) -> store::Result<()> {
        let effect = format!("append to {} at {}", self.name, self.inner.length());
        let Self { inner, points, .. } = self;
        points.around(&effect, || {
            if points.is_last(Phase::Halfway, &effect) {
                inner.append(&bytes[..bytes.len() / 2])?;
                die();
            }
            inner.append(bytes)
        })
    }

    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> store::Result<()> {
        self.inner.reread(take)
    }

    fn restart(&mut self) -> store::Result<()> {
        let Self { inner, name, points } = self;
        points.around(&format!("empty {name}"), || inner.restart())
    }

    fn sync(&mut self) -> store::Result<()> {
        let Self { inner, name, points } = self;
        points.around(&format!("sync {name}"), || inner.sync())
    }
}

impl Transport for Counted<Http> {
    fn fetch(&self, request: &FetchRequest) -> Result<Response, TransportError> {
        let what = request.url.rsplit('/').next().unwrap_or_default();
        let response = self.points.around(&format!("fetch {what}"), || self.inner.fetch(request))?;
        Ok(match response {
            Response::Body(body) => {
                let reader = Box::new(Pieces { inner: body.reader });
                Response::Body(Body { reader, ..body })
            }
            Response::NotModified => Response::NotModified,
        })
    }
}

/// A body in pieces of fixed size, so that every run has the same points on any network.
struct Pieces {
    inner: Box<dyn Read>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = Vec::new();
        let wanted = PIECE.min(buffer.len() as u64);
        match self.inner.by_ref().take(wanted).read_to_end(&mut piece) {
            Err(error) if piece.is_empty() => return Err(error),
            // The bytes before the error are valid; the next read returns the error again.
            Ok(_) | Err(_) => {}
        }
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

impl Processes for Counted<Spawner> {
    fn run(&self, program: &Program, limit: Duration) -> Ending {
        let effect = format!("run {}", program.argv.first().map_or("nothing", String::as_str));
        self.points.around(&effect, || self.inner.run(program, limit))
    }
}

impl Mounts for Counted<Kernel> {
    fn table(&self) -> io::Result<MountTable> {
        self.inner.table()
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn look(&self, path: &Path) -> io::Result<MountedAt> {
        self.inner.look(path)
    }

    fn look_at(&self, mount: BorrowedFd<'_>) -> io::Result<MountedAt> {
        self.inner.look_at(mount)
    }

    fn is_read_only(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_read_only(path)
    }

    fn files(&self, root: &Path) -> Box<dyn Tree> {
        self.inner.files(root)
    }

    fn files_in(&self, directory: OwnedFd) -> Box<dyn Tree> {
        self.inner.files_in(directory)
    }

    fn merged(&self, hierarchy: &Path) -> io::Result<Option<Box<dyn Tree>>> {
        self.inner.merged(hierarchy)
    }

    fn hold(&self, path: &Path) -> io::Result<OwnedFd> {
        self.inner.hold(path)
    }

    fn beneath(&self, hierarchy: &Path) -> io::Result<Option<OwnedFd>> {
        self.inner.beneath(hierarchy)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.points.around(&format!("make directory {}", name(path)), || self.inner.make_directory(path))
    }

    fn open_image(&self, image: &Path) -> Result<OwnedFd, ImageError> {
        self.points.around(&format!("open image {}", name(image)), || self.inner.open_image(image))
    }

    fn open_directory(&self, directory: &Path) -> io::Result<OwnedFd> {
        self.inner.open_directory(directory)
    }

    fn open_copy(&self, path: &Path) -> io::Result<OwnedFd> {
        self.points.around(&format!("copy mount {}", name(path)), || self.inner.open_copy(path))
    }

    fn stage(&self, staging: Staging) -> Result<Vec<OwnedFd>, StageError> {
        self.points.around("stage", || self.inner.stage(staging))
    }

    fn attach(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.points.around(&format!("attach {}", name(path)), || self.inner.attach(mount, path))
    }

    fn attach_beneath(&self, mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        self.points.around(&format!("attach beneath {}", name(path)), || {
            self.inner.attach_beneath(mount.as_fd(), path)
        })
    }

    fn detach(&self, path: &Path) -> io::Result<()> {
        self.points.around(&format!("detach {}", name(path)), || self.inner.detach(path))
    }

    fn detach_hidden(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        self.points.around("detach hidden", || self.inner.detach_hidden(root))
    }
}
