//! The command line of `bakery`: files, output and errors.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use sysext_manifests::catalog::Catalog;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock};
use tempfile::TempDir;
use tests::programs::program;

mod images;
mod publishing;
mod refusals;

const URL: &str = "https://example.org/extensions";

/// An empty directory to work in, and the program.
struct Publisher {
    directory: TempDir,
    bakery: PathBuf,
}

/// The result of a run.
struct Run {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Publisher {
    fn new() -> Result<Self> {
        Ok(Self { directory: tempfile::tempdir()?, bakery: program("bakery")? })
    }

    /// With keys, and a small tree in `tree/`.
    fn with_keys() -> Result<Self> {
        let publisher = Self::new()?;
        publisher.keygen(&["--unencrypted"])?.succeeds()?;
        publisher.program("tree/usr/bin/x", "#!/bin/sh\necho one\n")?;
        Ok(publisher)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        Ok(fs::write(path, text)?)
    }

    fn program(&self, path: &str, text: &str) -> Result<()> {
        self.write(path, text)?;
        Ok(fs::set_permissions(self.path(path), Permissions::from_mode(0o755))?)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        command.env_remove("BAKERY_PASSWORD").env_remove("SOURCE_DATE_EPOCH");
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Run> {
        Run::of(self.command(&self.bakery).args(arguments))
    }

    /// Runs the program from a shell that runs a command first.
    fn run_after(&self, script: &str, arguments: &[&str]) -> Result<Run> {
        let script = format!("{script}; exec \"$0\" \"$@\"");
        Run::of(self.command(Path::new("/bin/sh")).args(["-c", &script]).arg(&self.bakery).args(arguments))
    }

    fn keygen(&self, arguments: &[&str]) -> Result<Run> {
        self.run(&[&["keygen", "keys", "--repository", "example", "--url", URL], arguments].concat())
    }

    fn bake(&self, version: &str, arguments: &[&str]) -> Result<Run> {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", version, "--arch", "x86-64"];
        self.run(&[&tree[..], &["--out", "store"], arguments].concat())
    }

    fn index(&self, arguments: &[&str]) -> Result<Run> {
        let index = ["index", "store", "--repository", "example", "--url", URL, "--keys", "keys"];
        self.run(&[&index[..], arguments].concat())
    }

    fn publish(&self) -> Result<Run> {
        self.run(&["publish", "store", "--to", "served"])
    }

    /// The served catalog, checked like on a node with `keys/example.toml`.
    fn admitted(&self) -> Result<Catalog> {
        let text = fs::read_to_string(self.path("keys/example.toml"))?;
        let repository = Repository::parse("example", "example.toml", &text)?;
        ensure!(repository.url == format!("{URL}/"), "{}", repository.url);
        let document = fs::read(self.path("served/catalog/catalog.json"))?;
        let clock = Clock { shows: Timestamp::now(), released: Timestamp::UNIX_EPOCH };
        Ok(trust::admit(&document, &repository, None, clock)?.catalog.get().clone())
    }
}

impl Run {
    fn of(command: &mut Command) -> Result<Self> {
        let Output { status, stdout, stderr } =
            command.output().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { status, stdout: String::from_utf8(stdout)?, stderr: String::from_utf8(stderr)? })
    }

    fn succeeds(self) -> Result<String> {
        ensure!(self.status.success(), "{}\n{}", self.status, self.stderr);
        Ok(self.stdout)
    }

    /// Requires the error and the hint, and nothing on stdout.
    fn fails(self) -> Result<String> {
        ensure!(self.status.code() == Some(1), "{}\n{}{}", self.status, self.stdout, self.stderr);
        ensure!(self.stdout.is_empty(), "stdout: {}", self.stdout);
        let begin = self.stderr.find("error: ").with_context(|| format!("no error in {}", self.stderr))?;
        Ok(self.stderr[begin..].to_owned())
    }
}

/// The sorted files below a directory, including hidden ones.
fn files(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let path = path.strip_prefix(directory)?;
                found.push(path.to_str().context("a name is not UTF-8")?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The labels of `label  value` lines.
fn labels(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| Some(line.split_once("  ")?.0.trim_end())).collect()
}
