//! A node on a scratch root and a publisher that serves it: the base of all tests of updates.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use tests::node::{Node, Publisher, image};
//! let mut publisher = Publisher::new("example")?;
//! publisher.offer("demo", "1", image::data("demo", "1")?)?;
//! publisher.issue()?;
//! let node = Node::new("sysupdate")?;
//! node.trust(&publisher)?;
//! node.define("demo", &publisher.transfer("demo", ""))?;
//! let seen = node.run(&["update", "-C", "demo"])?;
//! # Ok(())
//! # }
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

pub mod image;
mod publisher;
mod snapshot;

pub use publisher::{ISSUED, NOW, Publisher, architecture};
pub use snapshot::{Snapshot, leftovers, merged};

use crate::interrupt;

/// The os-release file of the scratch root.
const OS_RELEASE: &str = "ID=scratch\nVERSION_ID=1\n";

/// A scratch root and the program that works on it.
#[derive(Debug)]
pub struct Node {
    /// The root.
    pub root: PathBuf,
    /// The time that the clock shows in the next run; `None` for the real clock. Only `interrupted` supports
    /// it.
    pub clock: Option<String>,
    program: PathBuf,
    _scratch: Option<TempDir>,
}

/// The result of a program, with the root and the publisher's address replaced by `ROOT` and `SERVER`.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Node {
    /// A new root, and a program with an adjustable clock.
    pub fn new(program: impl Into<PathBuf>) -> Result<Self> {
        let scratch = tempfile::tempdir().context("cannot make a scratch root")?;
        let mut node = Self::at(&scratch.path().join("root"), program)?;
        node.clock = Some(NOW.to_owned());
        node._scratch = Some(scratch);
        Ok(node)
    }

    /// A root at this path, which is created if it is missing.
    pub fn at(root: &Path, program: impl Into<PathBuf>) -> Result<Self> {
        let node = Self { root: root.to_owned(), clock: None, program: program.into(), _scratch: None };
        for directory in ["etc", "opt", "run/sysupdate", "tmp", "usr/lib", "usr/share", "var/lib"] {
            fs::create_dir_all(root.join(directory)).with_context(|| format!("cannot make {directory}"))?;
        }
        node.write("usr/lib/os-release", OS_RELEASE)?;
        Ok(node)
    }

    /// A path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Writes a file below the root.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Defines a component with one transfer.
    pub fn define(&self, component: &str, transfer: &str) -> Result<()> {
        self.write(&format!("etc/sysupdate.{component}.d/{component}.transfer"), transfer)
    }

    /// Trusts a publisher, under the publisher's name.
    pub fn trust(&self, publisher: &Publisher) -> Result<()> {
        self.write(
            &format!("etc/sysupdate/repositories/{}.toml", publisher.id()),
            publisher.description(&[publisher.root_key()]),
        )
    }

    /// The program with these arguments on this root, with a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
        if let Some(clock) = &self.clock {
            command.env(interrupt::CLOCK, clock);
        }
        command
    }

    /// Runs the program until it ends.
    pub fn run(&self, arguments: &[&str]) -> Result<Seen> {
        self.see(self.command(arguments))
    }

    /// Runs another program on this root until it ends, with the real clock.
    pub fn run_with(&self, program: &Path, arguments: &[&str]) -> Result<Seen> {
        let mut command = Command::new(program);
        command.arg("--root").arg(&self.root).args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
        self.see(command)
    }

    /// Runs a prepared command until it ends.
    pub fn see(&self, mut command: Command) -> Result<Seen> {
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&*self.root.to_string_lossy(), "ROOT");
            without_port(&text)
        };
        Ok(Seen { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// The sorted names in a directory; empty if the directory does not exist.
    pub fn names(&self, directory: &str) -> Result<Vec<String>> {
        let path = self.path(directory);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&path)?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// The name of the file to which `/var/lib/extensions/NAME.raw` leads, if any.
    pub fn in_use(&self, name: &str) -> Result<Option<String>> {
        let link = self.path(&format!("var/lib/extensions/{name}.raw"));
        if !link.is_symlink() {
            return Ok(None);
        }
        let file = fs::canonicalize(&link).with_context(|| format!("{} leads nowhere", link.display()))?;
        Ok(file.file_name().map(|name| name.to_string_lossy().into_owned()))
    }

    /// The record of a component.
    pub fn record(&self, component: &str) -> Result<serde_json::Value> {
        let path = self.path(&format!("var/lib/sysupdate/extensions/{component}.json"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

impl Seen {
    /// Requires success, and returns what it printed.
    pub fn well(self) -> Result<Self> {
        self.ended(0)
    }

    /// Requires this exit status.
    pub fn ended(self, status: i32) -> Result<Self> {
        ensure!(self.status.code() == Some(status), "not {status}: {self}");
        Ok(self)
    }

    /// Requires exactly this standard output.
    pub fn prints(self, expected: &str) -> Result<Self> {
        ensure!(self.stdout == expected, "expected on standard output:\n{expected}\nbut {self}");
        Ok(self)
    }

    /// Requires exactly this standard error.
    pub fn says(self, expected: &str) -> Result<Self> {
        ensure!(self.stderr == expected, "expected on standard error:\n{expected}\nbut {self}");
        Ok(self)
    }

    /// Requires this text anywhere in the output.
    pub fn mentions(self, expected: &str) -> Result<Self> {
        let found = self.stdout.contains(expected) || self.stderr.contains(expected);
        ensure!(found, "nowhere {expected:?}: {self}");
        Ok(self)
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(f, "{status}\n--- standard output\n{stdout}--- standard error\n{stderr}---")
    }
}

/// Replaces `http://127.0.0.1:PORT` by `SERVER`.
fn without_port(text: &str) -> String {
    let mut parts = text.split("http://127.0.0.1:");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str("SERVER");
        result.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    result
}
