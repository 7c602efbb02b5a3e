//! What reaches the terminal: data on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Prints a result as one JSON document.
pub(super) fn print_json<T: Serialize>(result: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(result)
        .map_err(|error| Failure::new(format_args!("cannot write the result as JSON: {error}")))?;
    print([text])
}

/// Prints lines of a label and a value, aligned.
pub(super) fn print_fields(fields: &[(&str, String)]) -> Result<(), Failure> {
    let width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    print(fields.iter().map(|(label, value)| format!("{label:width$}  {value}")))
}

/// Prints lines. A reader that went away, as `head` does, is an error, not a panic.
pub(super) fn print(lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    lines
        .into_iter()
        .try_for_each(|line| writeln!(stdout, "{}", sanitize(&line)))
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new(format_args!("cannot write to the standard output: {error}")))
}

/// Whether only results, warnings and errors are printed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Prints only results, warnings and errors from now on.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether progress and messages about it are printed.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line about what happens on stderr. A closed stderr must not abort the program.
pub(super) fn say(text: impl Display) {
    if is_quiet() {
        return;
    }
    let _closed = writeln!(io::stderr(), "{}", sanitize(&text.to_string()));
}

pub(super) fn warn(text: impl Display) {
    label("warning", WARNING, text);
}

/// Prints why a command failed.
pub(super) fn report(failure: &Failure) {
    label("error", ERROR, failure.message());
    if let Some(hint) = failure.hint() {
        label("hint", HINT, hint);
    }
}

fn label(label: &str, style: Style, text: impl Display) {
    let _closed = writeln!(anstream::stderr(), "{style}{label}:{style:#} {}", sanitize(&text.to_string()));
}

/// Escapes control characters: names in images come from anywhere and must not command the terminal.
fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() => {
                shown.push_str(&format!("\\x{:02x}", u32::from(character)));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// A size for people, with the exact number of bytes.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = None;
    let mut value = bytes as f64;
    for name in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(name);
    }
    match unit {
        None => format!("{bytes} bytes"),
        Some(unit) => format!("{value:.1} {unit} ({bytes} bytes)"),
    }
}

/// A number with its noun in the right form.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_use_the_largest_unit() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(74_788_864), "71.3 MiB (74788864 bytes)");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(sanitize("/usr/\x1b[31mé\x7f\u{9b}\r\n  a\tb"), "/usr/\\x1b[31mé\\x7f\\x9b\\x0d\n  a\tb");
    }

    #[test]
    fn counts_use_the_singular_for_one() {
        let shown = [0, 1, 2].map(|number| count(number, "file", "files"));
        assert_eq!(shown, ["0 files", "1 file", "2 files"]);
    }
}
