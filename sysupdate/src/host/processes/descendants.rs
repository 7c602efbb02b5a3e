//! The end of a program and of everything it started.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How long killed processes may take to disappear. One that the kernel cannot end, such as one that waits for a broken
/// disk, must not stop the update.
const GRACE: Duration = Duration::from_secs(5);

/// How often they are looked at.
const POLL: Duration = Duration::from_millis(5);

/// One program at a time: what a program leaves behind becomes a child of this process, where it looks like what another
/// one left behind.
static ONE: Mutex<()> = Mutex::new(());

/// Collects what a program starts, also what leaves its process group or session.
pub(super) struct Descendants {
    /// The children that this process had before.
    before: BTreeSet<i32>,
    /// Whether this process adopted orphans before.
    adopted: bool,
    _one: MutexGuard<'static, ()>,
}

impl Descendants {
    /// From now on, this process becomes the parent of what its children leave behind.
    pub(super) fn adopt() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Linux 3.4 and later support this; without it, the process group is killed nevertheless
        let adopted = prctl::get_child_subreaper().unwrap_or(false);
        let _unsupported = prctl::set_child_subreaper(true);
        Self { before: children(), adopted, _one: one }
    }

    /// Kills the program, its process group and everything that it left behind, and waits a bounded time for their end.
    ///
    /// Only children of this process are killed by number: until they are waited for, no other process can get it.
    /// The children of those become children of this process, and their turn comes next.
    pub(super) fn end(&self, child: &mut Child) {
        let start = Instant::now();
        let Ok(number) = i32::try_from(child.id()) else { return };
        // An error means that they ended already
        let _ended = killpg(Pid::from_raw(number), Signal::SIGKILL);
        let _ended = child.kill();
        while start.elapsed() < GRACE {
            let is_running = matches!(child.try_wait(), Ok(None));
            let mut left = false;
            for orphan in children().difference(&self.before).filter(|orphan| **orphan != number) {
                left = true;
                let orphan = Pid::from_raw(*orphan);
                let _ended = kill(orphan, Signal::SIGKILL);
                let _ended = waitpid(orphan, Some(WaitPidFlag::WNOHANG));
            }
            if !is_running && !left {
                return;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Descendants {
    fn drop(&mut self) {
        let _unsupported = prctl::set_child_subreaper(self.adopted);
    }
}

/// The children of this process's first thread, to which the kernel gives orphans. What other threads started is not
/// among them. Without `/proc`, nothing is known.
fn children() -> BTreeSet<i32> {
    let number = std::process::id();
    let text = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}
