//! What the quickstart prints: a line for each command while it works, and a summary at the end.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Prints to standard output.
#[derive(Debug)]
pub(super) struct Output {
    verbose: bool,
    colour: bool,
    rows: RefCell<Vec<String>>,
}

/// The result of a step, as the summary marks it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Ok,
    Failed,
    RolledBack,
    Stopped,
}

impl Output {
    /// Uses colour only on a terminal, and not if `NO_COLOR` is set.
    pub(super) fn new(verbose: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stdout().is_terminal() && !unwanted;
        Self { verbose, colour, rows: RefCell::default() }
    }

    /// Whether every command is printed with its output.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A line of text.
    pub(super) fn line(&self, text: &str) {
        // A closed standard output must not stop the scenario half-way.
        let _closed = writeln!(io::stdout(), "{text}");
    }

    /// A command that ended. `printed` is shown only in verbose mode.
    pub(super) fn progress(&self, command: &str, took: Duration, printed: &str) {
        if self.verbose {
            self.line(&format!("\n$ {command}"));
            printed.lines().for_each(|line| self.line(&format!("  {line}")));
            self.line(&format!("  ({})", time(took)));
            return;
        }
        self.line(&format!("  {command:<32} {:>7}", time(took)));
    }

    /// Adds a row to the summary.
    pub(super) fn row(&self, mark: Mark, step: &str, text: &str, took: Option<Duration>) {
        let (word, colour) = match mark {
            Mark::Ok => ("ok", "32"),
            Mark::Failed => ("FAILED", "31"),
            Mark::RolledBack => ("rolled back", "33"),
            Mark::Stopped => ("stopped", "33"),
        };
        let took = took.map(time).unwrap_or_default();
        let row =
            format!("  {}  {took:>7}  {step:<14}  {text}", self.coloured(colour, &format!("{word:<11}")));
        self.rows.borrow_mut().push(row);
    }

    /// Prints the summary: a title, the rows, and what they mean.
    pub(super) fn summary(&self, title: &str, conclusion: &str) {
        self.line(&format!("\n{}\n", self.coloured("1", title)));
        self.rows.take().iter().for_each(|row| self.line(row));
        self.line(&format!("\n{}", self.coloured("1", conclusion)));
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A duration for people.
pub(super) fn time(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    let mut text = String::new();
    let _infallible = if milliseconds < 10.0 {
        write!(text, "{milliseconds:.1} ms")
    } else if milliseconds < 1000.0 {
        write!(text, "{milliseconds:.0} ms")
    } else {
        write!(text, "{:.1} s", duration.as_secs_f64())
    };
    text
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_use_fitting_units() {
        assert_eq!(time(Duration::from_micros(900)), "0.9 ms");
        assert_eq!(time(Duration::from_millis(999)), "999 ms");
        assert_eq!(time(Duration::from_millis(61_040)), "61.0 s");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_999), "1.9 kB");
        assert_eq!(size(24_350_000), "24.3 MB");
    }
}
