//! A progress bar on stderr, if that is a terminal. It looks like the one of `sysupdate`; the two programs share no
//! code about terminals.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use sysext_image::progress::{Position, Stage};

/// The delay before a bar appears, and between two updates.
const PERIOD: Duration = Duration::from_millis(100);

/// The length of a bar in characters.
const WIDTH: u64 = 30;

/// A bar. Dropping it clears its line for the next message.
#[derive(Debug)]
pub(super) struct Progress {
    label: &'static str,
    is_terminal: bool,
    last: Instant,
    is_drawn: bool,
}

impl Progress {
    pub(super) fn new(label: &'static str) -> Self {
        Self { label, is_terminal: io::stderr().is_terminal(), last: Instant::now(), is_drawn: false }
    }

    /// Shows `done` of `total` bytes.
    pub(super) fn show(&mut self, done: u64, total: u64) {
        if !self.is_terminal || self.last.elapsed() < PERIOD {
            return;
        }
        self.draw(done, total);
    }

    fn draw(&mut self, done: u64, total: u64) {
        self.last = Instant::now();
        self.is_drawn = true;
        put(&line(self.label, done, total));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            put("");
        }
    }
}

/// Shows the progress of `work` until it returns.
pub(super) fn watch<T>(progress: &sysext_image::Progress, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        scope.spawn(move || {
            let mut bar = Progress::new("");
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let Some(position) = progress.position() else { continue };
                bar.label = label(position);
                bar.draw(position.done, position.total);
            }
        });
        let result = work();
        // The scope waits until the bar has cleared its line.
        drop(working);
        result
    })
}

fn label(position: Position) -> &'static str {
    match position.stage {
        Stage::Reading => "reading",
        Stage::Comparing => "comparing",
        Stage::Compressing => "compressing",
        Stage::Packing => "compressing small files",
        Stage::Measuring => "measuring",
        // The disk does the rest.
        Stage::Writing if position.done >= position.total => "saving",
        Stage::Writing => "writing",
    }
}

/// Replaces the line of the bar. A closed stderr must not abort the program.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _closed = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}

fn line(label: &str, done: u64, total: u64) -> String {
    let share = |of: u64| u128::from(done.min(total)) * u128::from(of) / u128::from(total.max(1));
    let filled = usize::try_from(share(WIDTH)).expect("no more than the width");
    let width = usize::try_from(WIDTH).expect("a short bar");
    let (bar, percent) = ("=".repeat(filled), share(100));
    let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
    format!("  {label} {} of {} MB [{bar:width$}] {percent}%", megabytes(done.min(total)), megabytes(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_shows_the_share_that_is_done() {
        let none = "  extracting 0.0 of 0.0 MB [                              ] 0%";
        assert_eq!(line("extracting", 0, 0), none);
        let half = "  writing 512.0 of 1024.0 MB [===============               ] 50%";
        assert_eq!(line("writing", 512_000_000, 1_024_000_000), half);
        assert!(line("x", u64::MAX, u64::MAX).contains(&"=".repeat(30)));
        assert!(line("x", 7, 5).ends_with("100%"));
    }
}
