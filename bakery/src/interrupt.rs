//! What becomes of half-written files when somebody stops the program: they go, and the program ends by the
//! signal all the same, so that a shell or a build sees that it was stopped.

use std::io::{self, IsTerminal as _, Write as _};
use std::{fs, process, thread};

use nix::sys::signal::{SigSet, Signal, raise};

use crate::store;

/// Ctrl-C, a polite request to end, and a terminal that goes away.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// What a shell makes of a process that a signal has ended: this and the signal's number.
const EXIT: i32 = 128;

/// From now on, whoever stops the program finds nothing half-written under any name. To be called before there
/// is another thread: all have to leave these signals to one.
///
/// A signal that whoever started the program ignores, as `nohup` does, stays ignored. Where there can be no
/// thread, signals end the program as they always did.
pub fn watch() {
    let ignored = ignored();
    let mut signals = SigSet::empty();
    SIGNALS.into_iter().filter(|signal| !is_among(*signal, ignored)).for_each(|signal| signals.add(signal));
    let mut blocked = signals;
    // Nobody waits for it: a file above the limit of its size is then an error of the write, which is told.
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
        // It was possible to block them.
        let _unblocked = signals.thread_unblock();
    }
}

fn end(signal: Signal, signals: SigSet) -> ! {
    // Held until the end: nothing is begun or finished any more.
    let _abandoned = store::abandon();
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        // In the place of a bar, and of what the terminal shows for Ctrl-C.
        let _unseen = writeln!(stderr, "\r\x1b[Kinterrupted");
    }
    let _unblocked = signals.thread_unblock();
    let _raised = raise(signal);
    process::exit(EXIT + signal as i32);
}

/// The signals that this process ignores, one bit each, as Linux tells it.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_among(signal: Signal, mask: u64) -> bool {
    mask & 1 << (signal as i32 - 1) != 0
}
