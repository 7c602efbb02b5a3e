//! Running one of the two programs, and reading what it printed.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// One of the two programs.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
}

/// How a program is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With status 0.
    Well,
    /// With status 1: it did its work, and says that not all is well.
    Badly,
}

/// What a program did.
#[derive(Debug)]
pub(super) struct Ran {
    /// How long it took.
    pub(super) took: Duration,
    command: String,
    stdout: String,
    stderr: String,
}

/// What a program printed, as JSON.
#[derive(Debug)]
pub(super) struct Printed {
    /// How long the program took.
    pub(super) took: Duration,
    ran: Ran,
    value: Value,
}

impl Program {
    /// Runs it to its end.
    pub(super) fn run<I, S>(&self, arguments: I, expected: Ending) -> Result<Ran>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let begin = Instant::now();
        let mut command = Command::new(&self.path);
        command.args(arguments);
        let words = std::iter::once(self.path.file_name().unwrap_or_default()).chain(command.get_args());
        let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let output = command.output().with_context(|| format!("cannot run {}", self.path.display()))?;
        let ran = Ran {
            took: begin.elapsed(),
            command: shown,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let code = match expected {
            Ending::Well => 0,
            Ending::Badly => 1,
        };
        if output.status.code() != Some(code) {
            bail!(ran.complaint(&format!("ended with {}, expected exit status {code}", output.status)));
        }
        Ok(ran)
    }

    /// Runs it to its end, with JSON as its output.
    pub(super) fn ask<I, S>(&self, arguments: I, expected: Ending) -> Result<Printed>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let ran = self.run(arguments, expected)?;
        match serde_json::from_str(&ran.stdout) {
            Ok(value) => Ok(Printed { took: ran.took, ran, value }),
            Err(error) => bail!(ran.complaint(&format!("printed something else than JSON: {error}"))),
        }
    }
}

impl Ran {
    /// What it printed, without the line's end.
    pub(super) fn text(&self) -> &str {
        self.stdout.trim_end()
    }

    /// What it complained about.
    pub(super) fn complaints(&self) -> &str {
        &self.stderr
    }

    fn complaint(&self, what: &str) -> String {
        let Self { command, stdout, stderr, .. } = self;
        format!("`{command}` {what}\n{stdout}{stderr}").trim_end().to_owned()
    }
}

impl Printed {
    /// The text at a JSON pointer such as `/components/0/outcome`.
    pub(super) fn text(&self, pointer: &str) -> Result<&str> {
        self.at(pointer, Value::as_str)
    }

    /// The number at a JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Result<u64> {
        self.at(pointer, Value::as_u64)
    }

    /// The seconds at a JSON pointer.
    pub(super) fn seconds(&self, pointer: &str) -> Result<Duration> {
        let seconds = self.at(pointer, Value::as_f64)?;
        Duration::try_from_secs_f64(seconds).with_context(|| format!("{pointer}: {seconds} s"))
    }

    /// How long the list at a JSON pointer is.
    pub(super) fn count(&self, pointer: &str) -> Result<usize> {
        self.at(pointer, |value| value.as_array().map(Vec::len))
    }

    /// Insists on a text.
    pub(super) fn expect(&self, pointer: &str, expected: &str) -> Result<()> {
        match self.text(pointer)? {
            found if found == expected => Ok(()),
            found => bail!(self.ran.complaint(&format!("says {found} at {pointer}, expected {expected}"))),
        }
    }

    fn at<'a, T>(&'a self, pointer: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T> {
        let found = self.value.pointer(pointer).and_then(read);
        found.with_context(|| self.ran.complaint(&format!("says nothing of use at {pointer}")))
    }
}
