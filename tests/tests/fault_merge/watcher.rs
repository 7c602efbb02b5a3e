//! A watcher that looks for files as fast as it can, in its own mount namespace.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Time limit for the watcher to see a change.
const PATIENCE: Duration = Duration::from_secs(20);

/// How mounts propagate to the watcher's namespace from the one that it was copied from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hears {
    /// In both directions, as for a login shell.
    AsPeer,
    /// In one direction only, as for a service with a file system namespace.
    AsSlave,
}

/// What the watcher counts.
#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    looks: AtomicU64,
    misses: AtomicU64,
    changes: AtomicU64,
}

pub(crate) struct Watcher {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// The final numbers.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) looks: u64,
    pub(crate) misses: u64,
    pub(crate) changes: u64,
}

impl Watcher {
    /// Watches `telling`, whose content changes with each swap, and `files`.
    pub(crate) fn start(hears: Hears, telling: PathBuf, files: Vec<PathBuf>) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        let thread = std::thread::Builder::new()
            .name("watcher".into())
            .spawn(move || watch(hears, &telling, &files, &theirs))?;
        let watcher = Self { seen, thread: Some(thread) };
        watcher.wait("begin", || watcher.seen.looks.load(Ordering::Relaxed) > 0)?;
        Ok(watcher)
    }

    /// Waits until there were that many more looks, and the change was seen.
    pub(crate) fn has_seen(&self, changes: u64, more_looks: u64) -> Result<()> {
        let before = self.looks();
        self.wait("see the change", || {
            self.seen.changes.load(Ordering::Relaxed) >= changes && self.looks() >= before + more_looks
        })
    }

    pub(crate) fn looks(&self) -> u64 {
        self.seen.looks.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(mut self) -> Result<Counted> {
        self.seen.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("stopped once")?;
        thread.join().map_err(|_| anyhow!("the watcher panicked"))??;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Seen { looks, misses, changes, .. } = &*self.seen;
        Ok(Counted { looks: load(looks), misses: load(misses), changes: load(changes) })
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !done() {
            let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            ensure!(running, "the watcher has ended");
            ensure!(start.elapsed() < PATIENCE, "the watcher did not {what}: {:?}", self.seen);
            std::thread::yield_now();
        }
        Ok(())
    }
}

fn watch(hears: Hears, telling: &PathBuf, files: &[PathBuf], seen: &Seen) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS)?;
    if let Hears::AsSlave = hears {
        let everything = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(None::<&str>, "/", None::<&str>, everything, None::<&str>)?;
    }
    let mut last = fs::read(telling).context("the file that tells the set is not there to begin with")?;
    for file in files {
        fs::metadata(file).with_context(|| format!("{} is not there to begin with", file.display()))?;
    }
    while !seen.stop.load(Ordering::Relaxed) {
        match fs::read(telling) {
            Ok(now) if now != last => {
                last = now;
                seen.changes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(_) => {
                seen.misses.fetch_add(1, Ordering::Relaxed);
            }
        }
        seen.looks.fetch_add(1, Ordering::Relaxed);
        for file in files {
            if fs::symlink_metadata(file).is_err() {
                seen.misses.fetch_add(1, Ordering::Relaxed);
            }
            seen.looks.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
