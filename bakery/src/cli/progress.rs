//! A progress bar on stderr, if that is a terminal. It looks like the one of `sysupdate`; the two programs share no
//! code about terminals.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sysext_image::progress::{Position, Stage};

use super::output;

/// The delay before a bar appears, and between two updates.
const PERIOD: Duration = Duration::from_millis(100);

/// How often a bar is drawn, in times per second.
const RATE: u8 = 10;

/// The narrowest terminal with room for a bar, in columns.
const BAR_MIN: u16 = 100;

/// The narrowest terminal with room for sizes, in columns.
const SIZES_MIN: u16 = 60;

/// A bar. Dropping it clears its line for the next message.
#[derive(Debug)]
pub(super) struct Progress {
    label: &'static str,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(label: &'static str) -> Self {
        Self { label, started: Instant::now(), bar: None }
    }

    /// Shows `done` of `total` bytes. What is finished at once shows no bar.
    pub(super) fn show(&mut self, done: u64, total: u64) {
        if self.started.elapsed() < PERIOD || output::is_quiet() || !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.label, total));
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(RATE));
    let width = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    let style = ProgressStyle::with_template(template(width));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(label);
    bar
}

/// What is shown on a terminal of that width.
const fn template(width: u16) -> &'static str {
    match width {
        BAR_MIN.. => {
            "  {msg} {decimal_bytes} of {decimal_total_bytes} [{wide_bar}] {percent}% {decimal_bytes_per_sec} {eta}"
        }
        SIZES_MIN.. => "  {msg} {decimal_bytes} of {decimal_total_bytes} {percent}% {eta}",
        _ => "  {msg} {percent}%",
    }
}

/// Shows the progress of `work` until it returns.
pub(super) fn watch<T>(progress: &sysext_image::Progress, work: impl FnOnce() -> T) -> T {
    if output::is_quiet() || !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        scope.spawn(move || {
            let mut shown = Progress::new("");
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let Some(position) = progress.position() else { continue };
                let label = label(position);
                if label != shown.label {
                    // The rate and the time left are those of one stage.
                    let started = shown.started;
                    shown = Progress { label, started, bar: None };
                }
                shown.show(position.done, position.total);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for width in [0, 40, 59, 60, 99, 100, 200] {
            ProgressStyle::with_template(template(width)).unwrap();
        }
    }

    #[test]
    fn narrow_terminals_show_less() {
        assert!(template(120).contains("wide_bar"));
        assert!(template(80).contains("decimal_bytes") && !template(80).contains("bar"));
        assert!(!template(40).contains("bytes"));
    }
}
