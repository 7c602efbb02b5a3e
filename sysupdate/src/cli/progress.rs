//! What happens, as it happens, on standard error: a line that moves on a terminal, plain lines in a log.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::acquire::Progress;
use crate::health::Verdict;
use crate::update::Step;

/// How often a line that moves is drawn.
const PERIOD: Duration = Duration::from_millis(100);

/// How wide the bar is, in characters.
const WIDTH: u64 = 30;

/// Shows steps.
pub(super) struct Display {
    terminal: bool,
    drawn: Option<Instant>,
}

impl Display {
    pub(super) fn on_stderr() -> Self {
        Self { terminal: io::stderr().is_terminal(), drawn: None }
    }

    pub(super) fn show(&mut self, step: &Step<'_>) {
        match step {
            Step::Fetching { component, file, progress } => match progress {
                Progress::Started { url, offset: 0, total } => {
                    let size = total.map(|total| format!(" ({})", megabytes(total))).unwrap_or_default();
                    self.line(&format!("{component}: fetching {url}{size}"));
                }
                Progress::Started { url, offset, .. } => {
                    self.line(&format!("{component}: going on with {url} after {}", megabytes(*offset)));
                }
                Progress::Received { done, total } => self.bar(file, *done, *total),
                Progress::Retrying { reason, wait } => {
                    self.line(&format!("{component}: {reason}; trying again in {:.1} s", wait.as_secs_f64()));
                }
            },
            Step::Downloaded { component, version, files } => {
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
                let verdict = match verdict {
                    Verdict::Healthy => "works".to_owned(),
                    Verdict::Unhealthy { output } => format!("does not work: {output}"),
                    Verdict::NotChecked { reason } => format!("was not checked: {reason}"),
                    Verdict::Masked { by } => format!("is not merged: {by}"),
                };
                self.line(&format!("{component}: {} {verdict}", activation.version));
            }
        }
    }

    fn line(&mut self, text: &str) {
        let clear = if self.drawn.take().is_some() { "\r\x1b[K" } else { "" };
        // Nobody to read it is no reason to stop an update.
        let _unread = writeln!(io::stderr(), "{clear}{text}");
    }

    fn bar(&mut self, file: &str, done: u64, total: Option<u64>) {
        let fresh = self.drawn.is_some_and(|drawn| drawn.elapsed() < PERIOD);
        if !self.terminal || (fresh && Some(done) != total) {
            return;
        }
        self.drawn = Some(Instant::now());
        let bar = match total {
            Some(total @ 1..) => {
                let filled = usize::try_from(done.min(total) * WIDTH / total).unwrap_or(0);
                let width = usize::try_from(WIDTH).unwrap_or(0);
                format!("[{:<width$}] {}%", "=".repeat(filled), done.min(total) * 100 / total)
            }
            _ => String::new(),
        };
        let _unread = write!(io::stderr(), "\r\x1b[K  {file} {} {bar}", megabytes(done));
    }
}

/// A size for people.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
