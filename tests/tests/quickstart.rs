//! Command one as a stranger runs it: as root, as an ordinary user, and not to its end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::program;
use tests::{scratch, workspace};

/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let mounting = [Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    let mut suite = Suite::new();
    suite.isolated("cli_quickstart", &mounting, as_root);
    suite.trial("cli_quickstart_as_ordinary_user", &[], as_ordinary_user);
    suite.trial("cli_quickstart_shows_what_a_program_said", &[], shows_what_was_said);
    suite.trial("cli_quickstart_keeps_the_directory_if_asked", &[], keeps);
    suite.isolated("fault_quickstart_killed_leaves_nothing", &mounting, || ends_early(Signal::SIGKILL));
    suite.isolated("fault_quickstart_interrupted_leaves_nothing", &mounting, || ends_early(Signal::SIGINT));
    suite.run()
}

fn as_root() -> Result<()> {
    let stage = Stage::set()?;
    let text = succeeded(&stage.command().output()?)?;
    says(
        &text,
        &[
            "Version 1: ",
            "  keygen ",
            "  bake ",
            "  index ",
            "  publish ",
            "  update ",
            "root/var/lib/sysupdate/images/sysupdate/sysupdate-1-",
            "sysupdate 1 in root/usr",
            "exec:/usr/bin/sysupdate --version: passed",
            "root/usr/bin/sysupdate",
            "says: sysupdate ",
            "Version 2: ",
            "sysupdate 2 in root/usr",
            "says: This file came with version 2.",
            "Version 3: ",
            "exec:/usr/bin/sysupdate --version did not pass in 2s: ",
            "  return ",
            "version 2 is merged again, the file of version 3 is gone",
            "says: This file came with version 2.",
            "keep 2: ",
            "not 3: it did not pass its checks here: ",
            "  unmerge ",
            "  stop ",
            "  remove ",
        ],
    )?;
    ensure!(!text.contains('\x1b'), "colour where nobody sees it: {text}");
    stage.is_empty()
}

fn as_ordinary_user() -> Result<()> {
    let stage = Stage::set()?;
    let mut command = stage.command();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let text = succeeded(&command.output()?)?;
    says(
        &text,
        &[
            "The kernel lets this user have no mounts (",
            "root/var/lib/sysupdate/images/sysupdate/sysupdate-1-",
            "The merge was refused by the kernel: cannot mount /var/lib/sysupdate/images/sysupdate/",
            "Verified and installed is as far as it gets here: mounting needs root and CAP_SYS_ADMIN.",
            "  stop ",
            "  remove ",
        ],
    )?;
    ensure!(!text.contains("Version 2"), "{text}");
    stage.is_empty()
}

fn shows_what_was_said() -> Result<()> {
    let stage = Stage::set()?;
    stage.replace("bakery", "#!/bin/sh\necho nothing will come of it >&2\nexit 7\n")?;
    let output = stage.command().output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(
        diagnostics.starts_with("error: `bakery keygen ")
            && diagnostics.contains("exit status: 7, expected exit status 0\nnothing will come of it")
            && diagnostics.matches("error: ").count() == 1,
        "{diagnostics}"
    );
    stage.is_empty()?;
    stage.replace("bakery", "#!/bin/sh\necho '{}'\n")?;
    let output = stage.command().output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(diagnostics.contains("says nothing of use at /root"), "{diagnostics}");
    stage.is_empty()
}

fn keeps() -> Result<()> {
    let stage = Stage::set()?;
    let mut command = stage.command();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let text = succeeded(&command.arg("--keep").output()?)?;
    let kept = text.lines().find_map(|line| line.strip_prefix("Kept, as you asked: "));
    let kept = Path::new(kept.context("it does not say where")?);
    for inside in ["keys/root.key", "store/catalog/catalog.json", "public/catalog/catalog.json", "root/etc"] {
        ensure!(kept.join(inside).exists(), "{inside} was not kept");
    }
    Ok(())
}

/// Ended from outside while something is merged.
fn ends_early(signal: Signal) -> Result<()> {
    let stage = Stage::set()?;
    let mut child = stage.command().process_group(0).stdout(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let merged = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("  merge ")));
    ensure!(merged.is_some(), "it ended before it merged");
    ensure!(!stage.leftovers()?.is_empty(), "there is nothing that could be left");
    match signal {
        // As from a terminal: to the whole group.
        Signal::SIGINT => killpg(pid, signal)?,
        _ => kill(pid, signal)?,
    }
    ensure!(!child.wait()?.success(), "it was not ended");
    let begin = Instant::now();
    while stage.is_empty().is_err() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.is_empty()?;
    let left = stage.processes()?;
    ensure!(left.is_empty(), "still running: {left:?}");
    Ok(())
}

/// Where one quickstart is played: everything it needs, readable by everybody, and a directory for
/// temporary files that is its own.
struct Stage {
    directory: TempDir,
}

impl Stage {
    fn set() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let stage = Self { directory };
        fs::create_dir(stage.below("programs"))?;
        for name in ["bakery", "sysupdate"] {
            fs::copy(program(name)?, stage.below("programs").join(name))?;
        }
        fs::copy(env!("CARGO_BIN_EXE_quickstart"), stage.below("quickstart"))?;
        let recipe = workspace::root().join("recipes/sysupdate");
        copied(&recipe, &stage.below("recipe"))?;
        fs::create_dir(stage.below("tmp"))?;
        fs::set_permissions(stage.below("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::set_permissions(stage.directory.path(), fs::Permissions::from_mode(0o755))?;
        Ok(stage)
    }

    fn below(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.below("quickstart"));
        command.arg("--programs").arg(self.below("programs")).arg("--recipe").arg(self.below("recipe"));
        command.env("TMPDIR", self.below("tmp")).current_dir("/").stdin(Stdio::null());
        command
    }

    fn replace(&self, program: &str, script: &str) -> Result<()> {
        let path = self.below("programs").join(program);
        fs::write(&path, script)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
    }

    /// What the quickstart left.
    fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.below("tmp"))?;
        Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    }

    fn is_empty(&self) -> Result<()> {
        let (files, mounts) = (self.leftovers()?, scratch::mounts_below(&self.below("tmp"))?);
        ensure!(files.is_empty() && mounts.is_empty(), "left behind: {files:?}, mounts: {mounts:?}");
        Ok(())
    }

    /// Processes that run a program from here.
    fn processes(&self) -> Result<Vec<PathBuf>> {
        let numbers = fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path().join("exe")));
        let programs = numbers.filter_map(|link| fs::read_link(link).ok());
        Ok(programs.filter(|program| program.starts_with(self.directory.path())).collect())
    }
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

fn succeeded(output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    ensure!(output.stderr.is_empty(), "noise: {}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// All of these, in this order.
fn says(text: &str, expected: &[&str]) -> Result<()> {
    let mut rest = text;
    for words in expected {
        let found = rest.find(words).with_context(|| format!("{words:?} is missing in\n{text}"))?;
        rest = &rest[found + words.len()..];
    }
    Ok(())
}
