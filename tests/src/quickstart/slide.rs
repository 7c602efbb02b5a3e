//! What the quickstart prints: headings, and a table with a row for each stage.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many characters of a key are shown. All keys begin with the same two.
const KEY_LENGTH: usize = 10;

/// How many characters of a digest are shown: as many as git shows at most by itself.
const DIGEST_LENGTH: usize = 12;

/// Prints.
#[derive(Debug)]
pub(super) struct Slide {
    scratch: PathBuf,
    colour: Colour,
}

#[derive(Clone, Copy, Debug)]
enum Colour {
    Plain,
    Terminal,
}

/// One row: what a stage did.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    /// The stage.
    pub(super) stage: &'a str,
    /// How long it took.
    pub(super) took: Option<Duration>,
    /// The size of what there is now, in bytes.
    pub(super) size: Option<u64>,
    /// Its digest.
    pub(super) digest: Option<&'a str>,
    /// Who signed it.
    pub(super) signer: Option<&'a str>,
    /// Where it is now.
    pub(super) place: Place<'a>,
}

/// Where something is.
#[derive(Debug, Default)]
pub(super) enum Place<'a> {
    /// At a path, shown relative to the scratch directory.
    At(&'a Path),
    /// As these words say.
    Said(String),
    /// Nowhere in particular.
    #[default]
    Nowhere,
}

/// Where the columns begin.
const LEGEND: &str = "  STAGE       TIME      SIZE  SHA-256       SIGNED BY    WHERE IT IS NOW";

impl Slide {
    /// Prints to standard output, with colour where somebody sees it and has not asked for none.
    pub(super) fn new(scratch: &Path) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if io::stdout().is_terminal() && !refused { Colour::Terminal } else { Colour::Plain };
        Self { scratch: scratch.to_owned(), colour }
    }

    /// A line by itself.
    pub(super) fn line(&self, text: &str) {
        // Nobody to read it is no reason to stop half-way.
        let _unread = writeln!(io::stdout(), "{text}");
    }

    /// The beginning of a chapter.
    pub(super) fn heading(&self, text: &str) {
        self.line("");
        self.line(&self.shown("1", text));
    }

    /// The names of the columns.
    pub(super) fn legend(&self) {
        self.line(&self.shown("2", LEGEND));
    }

    /// A stage.
    pub(super) fn row(&self, row: &Row<'_>) {
        let Row { stage, took, size, digest, signer, place } = row;
        let took = took.map(time).unwrap_or_default();
        let size = size.map(megabytes).unwrap_or_default();
        let digest = digest.map(|digest| shorten(digest, DIGEST_LENGTH)).unwrap_or_default();
        let signer = signer.map(|key| format!("{}…", shorten(key, KEY_LENGTH))).unwrap_or_default();
        let place = match place {
            Place::At(path) => path.strip_prefix(&self.scratch).unwrap_or(path).display().to_string(),
            Place::Said(words) => words.clone(),
            Place::Nowhere => String::new(),
        };
        let line = format!("  {stage:<8} {took:>7} {size:>9}  {digest:<12}  {signer:<11}  {place}");
        self.line(line.trim_end());
    }

    /// What there is to say about the stage above.
    pub(super) fn note(&self, text: &str) {
        for line in text.lines() {
            self.line(&self.shown("2", &format!("           {line}")));
        }
    }

    /// What could not be done.
    pub(super) fn refusal(&self, text: &str) {
        self.line(&self.shown("33", &format!("  {text}")));
    }

    fn shown(&self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::Plain => text.to_owned(),
            Colour::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

fn shorten(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// A duration for people: what is short in milliseconds.
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
fn megabytes(bytes: u64) -> String {
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
    fn numbers_are_shown_in_the_unit_that_fits() {
        assert_eq!(time(Duration::from_micros(900)), "0.9 ms");
        assert_eq!(time(Duration::from_millis(999)), "999 ms");
        assert_eq!(time(Duration::from_millis(61_040)), "61.0 s");
        assert_eq!(megabytes(999), "999 B");
        assert_eq!(megabytes(1_999), "1.9 kB");
        assert_eq!(megabytes(24_350_000), "24.3 MB");
    }
}
