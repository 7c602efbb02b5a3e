//! Runs one of the programs and reads what it prints.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::output::Output;

/// A program.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) path: PathBuf,
    pub(super) output: &'a Output,
}

/// A program that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) took: Duration,
    pub(super) stdout: String,
    pub(super) stderr: String,
    command: String,
}

impl Program<'_> {
    /// Runs the program and requires this exit status. `title` is the short form of the command for people.
    pub(super) fn run(&self, title: &str, arguments: &[&str], status: i32) -> Result<Ended> {
        let start = Instant::now();
        let output = Command::new(&self.path).args(arguments).output();
        let output = output.with_context(|| format!("cannot run {}", self.path.display()))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let ended = Ended {
            took: start.elapsed(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: [&[&*name], arguments].concat().join(" "),
        };
        let shown = if self.output.is_verbose() { &ended.command } else { title };
        self.output.progress(shown, ended.took, &ended.printed());
        if output.status.code() != Some(status) {
            bail!(
                "`{}` ended with {}, expected exit status {status}\n{}",
                ended.command,
                output.status,
                ended.printed()
            );
        }
        Ok(ended)
    }
}

impl Ended {
    /// The text at a JSON pointer such as `/components/0/outcome` of what the program printed.
    pub(super) fn text(&self, pointer: &str) -> Result<String> {
        self.at(pointer, |value| value.as_str().map(str::to_owned))
    }

    /// The number at a JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Result<u64> {
        self.at(pointer, Value::as_u64)
    }

    /// Requires a text at a JSON pointer.
    pub(super) fn expect(&self, pointer: &str, expected: &str) -> Result<()> {
        let found = self.text(pointer)?;
        if found != expected {
            bail!("`{}` reports {found} at {pointer}, expected {expected}\n{}", self.command, self.printed());
        }
        Ok(())
    }

    fn at<T>(&self, pointer: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        let value: Option<Value> = serde_json::from_str(&self.stdout).ok();
        value.as_ref().and_then(|value| value.pointer(pointer)).and_then(read).with_context(|| {
            format!("`{}` printed no usable JSON at {pointer}\n{}", self.command, self.printed())
        })
    }

    fn printed(&self) -> String {
        [self.stdout.trim_end(), self.stderr.trim_end()].join("\n").trim().to_owned()
    }
}
