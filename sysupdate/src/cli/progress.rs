//! What an update does, on standard error while it happens: a progress bar on a terminal, and lines.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Verbosity;
use super::output::{self, say};
use crate::acquire::Progress;
use crate::health::Verdict;
use crate::update::Step;

/// How often the bar is drawn, in times per second.
const RATE: u8 = 10;

/// The narrowest terminal with room for a bar beside the file name, in columns.
const BAR_MIN: u16 = 100;

/// The narrowest terminal with room for the file name and the rate, in columns.
const RATE_MIN: u16 = 60;

/// Shows the steps of an update.
pub(super) struct Display {
    verbosity: Verbosity,
    bar: Option<ProgressBar>,
}

impl Display {
    pub(super) const fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, bar: None }
    }

    pub(super) fn show(&mut self, step: &Step<'_>) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        match step {
            Step::Fetching { component, file, progress } => match progress {
                Progress::Started { url, offset, total } => {
                    let size = total.map(|total| format!(" ({})", megabytes(total))).unwrap_or_default();
                    self.line(&match offset {
                        0 => format!("{component}: downloading {url}{size}"),
                        offset => format!("{component}: resuming {url} at {}{size}", megabytes(*offset)),
                    });
                    self.start(file, *offset, *total);
                }
                Progress::Received { done, .. } => {
                    if let Some(bar) = &self.bar {
                        bar.set_position(*done);
                    }
                }
                Progress::Retrying { reason, wait } => {
                    self.line(&format!("{component}: {reason}; retrying in {:.1} s", wait.as_secs_f64()));
                }
            },
            Step::Downloaded { component, version, files } => {
                self.end();
                // Files of one version usually come from one catalog.
                let mut evidence: Vec<String> = files.iter().map(|file| file.evidence.to_string()).collect();
                evidence.dedup();
                let evidence = evidence.join("; ");
                self.line(&format!("{component}: downloaded {version} ({evidence})"));
            }
            Step::Merged(report) => self.line(report.to_string().trim_end()),
            Step::Checking { component, activation } => {
                self.line(&format!("{component}: checking {}", activation.version));
            }
            Step::Checked { component, activation, verdict } => {
                let begin = format!("{component}: {} is ", activation.version);
                match verdict {
                    Verdict::Healthy => self.write(|| output::say_good(&begin, "healthy", "")),
                    Verdict::Unhealthy { output } => {
                        self.write(|| output::say_bad(&begin, "unhealthy", &format!(": {output}")));
                    }
                    Verdict::NotChecked { reason } => {
                        self.write(|| output::say_bad(&begin, "not checked", &format!(": {reason}")));
                    }
                    Verdict::Masked { by } => self.line(&format!("{begin}not merged: {by}")),
                }
            }
        }
    }

    /// Shows a bar, if standard error is a terminal.
    fn start(&mut self, file: &str, offset: u64, total: Option<u64>) {
        self.end();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(RATE));
        let width = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
        let style = ProgressStyle::with_template(template(width, total.is_some()));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_message(file.to_owned());
        bar.set_position(offset);
        // The rate and the time left are those of this run.
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        self.write(|| say(text));
    }

    /// Writes lines above the bar.
    fn write(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// What is shown on a terminal of that width.
const fn template(width: u16, total_is_known: bool) -> &'static str {
    match (width, total_is_known) {
        (BAR_MIN.., true) => {
            "  {msg} {decimal_bytes} of {decimal_total_bytes} [{wide_bar}] {percent}% {decimal_bytes_per_sec} {eta}"
        }
        (RATE_MIN.., true) => {
            "  {wide_msg} {decimal_bytes} of {decimal_total_bytes} {percent}% {decimal_bytes_per_sec} {eta}"
        }
        (_, true) => "  {percent}% {decimal_bytes_per_sec} {eta}",
        (RATE_MIN.., false) => "  {wide_msg} {decimal_bytes} {decimal_bytes_per_sec}",
        (_, false) => "  {decimal_bytes}",
    }
}

/// A size for people.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for width in [0, 20, 60, 79, 100, 200] {
            for total_is_known in [false, true] {
                ProgressStyle::with_template(template(width, total_is_known)).unwrap();
            }
        }
    }

    #[test]
    fn narrow_terminals_show_less() {
        assert!(template(120, true).contains("wide_bar"));
        assert!(template(80, true).contains("wide_msg"));
        assert!(!template(40, true).contains("msg") && !template(0, false).contains("msg"));
    }
}
