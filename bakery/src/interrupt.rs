//! Removes partial files when the program is interrupted. It still terminates by the signal, so that a shell or a build
//! sees why.

use std::io::{self, IsTerminal as _, Write as _};
use std::{fs, process, thread};

use nix::sys::signal::{SigSet, Signal, raise};

use crate::store;

/// Ctrl-C, a request to terminate, and a closed terminal.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The exit status of a shell for a process that a signal terminated: this plus the number of the signal.
const EXIT: i32 = 128;

/// Removes partial files on every signal that terminates the program. Must be called before another thread is started,
/// because all threads have to block these signals.
///
/// A signal that was ignored when the program started, as `nohup` does, stays ignored. If no thread can be started,
/// signals terminate the program as usual.
pub fn watch() {
    let ignored = ignored();
    let mut signals = SigSet::empty();
    SIGNALS.into_iter().filter(|signal| !is_among(*signal, ignored)).for_each(|signal| signals.add(signal));
    let mut blocked = signals;
    // Not waited for: a file above the size limit is then reported as a write error.
    blocked.add(Signal::SIGXFSZ);
    if blocked.thread_block().is_err() {
        return;
    }
    let waiting = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Ok(signal) = signals.wait() {
            end(signal, signals);
        }
    });
    if waiting.is_err() {
        let _unblocked = signals.thread_unblock();
    }
}

fn end(signal: Signal, signals: SigSet) -> ! {
    // Held until the end, so that no file is started or finished any more.
    let _abandoned = store::abandon();
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        // Replaces the progress bar and the ^C of the terminal.
        let _closed = writeln!(stderr, "\r\x1b[Kinterrupted");
    }
    let _unblocked = signals.thread_unblock();
    let _raised = raise(signal);
    process::exit(EXIT + signal as i32);
}

/// The signals that this process ignores, one bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_among(signal: Signal, mask: u64) -> bool {
    mask & 1 << (signal as i32 - 1) != 0
}
