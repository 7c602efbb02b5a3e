//! What the program writes: results to the standard output, everything else to standard error.
//!
//! A closed standard error never stops the program, least of all during an update. A closed standard output is
//! an error like any other.

use std::fmt;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;
use crate::settings::ComponentName;

/// The environment variable with which systemd's tools turn colours on and off.
const COLORS_VARIABLE: &str = "SYSTEMD_COLORS";

const ERROR: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Json {
    Off,
    Short,
    Pretty,
}

/// Decides whether output has colours. `NO_COLOR`, `CLICOLOR` and `TERM` decide where `SYSTEMD_COLORS` is not
/// set, and then whether the output is a terminal.
pub(super) fn choose_colors() {
    let Ok(value) = std::env::var(COLORS_VARIABLE) else { return };
    let choice = match super::parse_boolean(&value) {
        Ok(false) => anstream::ColorChoice::Never,
        Ok(true) => anstream::ColorChoice::AlwaysAnsi,
        Err(_) if value.is_empty() || value.starts_with("auto") => return,
        // The number of colours, such as 16 or 256.
        Err(_) => anstream::ColorChoice::AlwaysAnsi,
    };
    choice.write_global();
}

/// Prints a result as JSON if it is wanted, else as text.
pub(super) fn print<T: Serialize>(
    json: Json,
    result: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let line = |encoded: serde_json::Result<String>| match encoded {
        Ok(encoded) => Ok(format!("{encoded}\n")),
        Err(error) => Err(Failure { error: format!("cannot write JSON: {error}"), hint: None }),
    };
    let text = match json {
        Json::Off => text(),
        Json::Short => line(serde_json::to_string(result))?,
        Json::Pretty => line(serde_json::to_string_pretty(result))?,
    };
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure {
        error: format!("cannot write to the standard output: {error}"),
        hint: None,
    })
}

/// Writes a line to standard error.
pub(super) fn say(text: impl fmt::Display) {
    let _closed = writeln!(anstream::stderr(), "{}", printable(&text.to_string()));
}

/// Writes a line with a word that is good news.
pub(super) fn say_good(before: &str, word: &str, after: &str) {
    highlight(before, GOOD, word, after);
}

/// Writes a line with a word that is bad news.
pub(super) fn say_bad(before: &str, word: &str, after: &str) {
    highlight(before, ERROR, word, after);
}

fn highlight(before: &str, style: Style, word: &str, after: &str) {
    let (before, after) = (printable(before), printable(after));
    let _closed = writeln!(anstream::stderr(), "{before}{style}{word}{style:#}{after}");
}

fn report(label: &str, style: Style, text: &str) {
    let _closed = writeln!(anstream::stderr(), "{style}{label}:{style:#} {}", printable(text));
}

/// Writes a warning to standard error.
pub(super) fn warn(warning: impl fmt::Display) {
    report("warning", WARNING, &warning.to_string());
}

/// Writes an error and its hint to standard error.
pub(super) fn fail(failure: &Failure) {
    report("error", ERROR, &failure.error);
    if let Some(hint) = &failure.hint {
        report("hint", HINT, hint);
    }
}

/// Writes an error of a component and its hint to standard error.
pub(super) fn fail_component(name: &ComponentName, failure: &Failure) {
    let prefix = format!("{name}: ");
    // A transfer often has the name of its component.
    let error = failure.error.strip_prefix(&prefix).unwrap_or(&failure.error);
    fail(&Failure { error: format!("{prefix}{error}"), hint: failure.hint.clone() });
}

/// A text that does not control the terminal: the output of health checks and the names of files come from
/// outside.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => printable.push(character),
            _ if character.is_control() => printable.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => printable.push(character),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_characters() {
        assert_eq!(printable("a\x1b[31mé\x7f\r\n\tb"), "a\\x1b[31mé\\x7f\\x0d\n\tb");
    }
}
