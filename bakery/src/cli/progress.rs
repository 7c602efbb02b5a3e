//! A bar on standard error while something takes its time, if somebody can see it there.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How long a bar waits before it is shown, and before it is drawn again.
const PAUSE: Duration = Duration::from_millis(200);

/// How many characters a bar is long.
const WIDTH: u64 = 24;

/// A bar. Dropped, it leaves an empty line behind, for what is said next.
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

    /// So many bytes of so many.
    pub(super) fn show(&mut self, done: u64, total: u64) {
        if !self.is_terminal || self.last.elapsed() < PAUSE {
            return;
        }
        self.last = Instant::now();
        self.is_drawn = true;
        self.put(&line(self.label, done, total));
    }

    fn put(&self, text: &str) {
        // Nobody to see it is no reason to stop.
        let mut stderr = io::stderr().lock();
        let _unseen = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            self.put("");
        }
    }
}

fn line(label: &str, done: u64, total: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    let share = |of: u64| u128::from(done.min(total)) * u128::from(of) / u128::from(total.max(1));
    let filled = usize::try_from(share(WIDTH)).expect("no more than the width");
    let bar = "#".repeat(filled);
    let (percent, done, total) = (share(100), done / MEBIBYTE, total / MEBIBYTE);
    let width = usize::try_from(WIDTH).expect("a short bar");
    format!("{label} [{bar:width$}] {percent:3} % {done} of {total} MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        assert_eq!(line("extracting", 0, 0), "extracting [                        ]   0 % 0 of 0 MiB");
        let half = "extracting [############            ]  50 % 512 of 1024 MiB";
        assert_eq!(line("extracting", 1 << 29, 1 << 30), half);
        assert!(line("x", u64::MAX, u64::MAX).contains(&"#".repeat(24)));
        assert!(line("x", 7, 5).contains("100 %"));
    }
}
