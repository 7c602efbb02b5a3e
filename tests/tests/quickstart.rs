//! `cargo quickstart` as root, as an ordinary user, and when it is killed.

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
use tests::scratch;

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// How long processes and files may remain after a kill.
const PATIENCE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let mounting = [Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    let mut suite = Suite::new();
    suite.isolated("cli_quickstart_updates_and_rolls_back", &mounting, as_root);
    suite.trial("cli_quickstart_as_ordinary_user_stops_before_the_merge", &[], as_ordinary_user);
    suite.isolated("cli_quickstart_verbose_shows_commands_and_output", &mounting, verbose);
    suite.trial("cli_quickstart_shows_the_output_of_a_failed_program", &[], shows_failed_program);
    suite.trial("cli_quickstart_keeps_the_directory_on_request", &[], keeps);
    suite.isolated("fault_quickstart_killed_leaves_nothing", &mounting, || ends_early(Signal::SIGKILL));
    suite.isolated("fault_quickstart_interrupted_leaves_nothing", &mounting, || ends_early(Signal::SIGINT));
    suite.run()
}

fn as_root() -> Result<()> {
    let stage = Stage::new()?;
    let text = succeeded(&stage.command().output()?)?;
    let (progress, summary) = text.split_once("\n\n").context("no summary")?;
    contains_in_order(
        progress,
        &[
            "  bakery keygen ",
            "  bakery bake hello 1 ",
            "  bakery index ",
            "  bakery publish ",
            "  sysupdate update ",
            "  /usr/bin/hello ",
            "  bakery bake hello 3 ",
            "  sysupdate update ",
            "  sysupdate plan ",
            "  sysupdate sysext unmerge ",
        ],
    )?;
    contains_in_order(
        summary,
        &[
            "  ok ",
            " publish 1 ",
            "  ok ",
            " install 1 ",
            "  ok ",
            " update 1 -> 2 ",
            "  FAILED ",
            " update 2 -> 3 ",
            "exec:/usr/bin/hello ",
            "no greeting in /usr/share/hello",
            "  rolled back ",
            " 3 -> 2 ",
            "skips 3",
            "The broken version was merged for ",
            "Removed ",
        ],
    )?;
    ensure!((10..=16).contains(&summary.lines().count()), "the summary does not fit on a slide: {summary}");
    ensure!(!text.contains('\x1b'), "colour without a terminal: {text}");
    // The check of the broken version has two seconds, and the version is merged as long as it runs.
    let live = summary.lines().find_map(|line| line.split_once("was merged for ")?.1.split_once(" s. "));
    let live: f64 = live.context("no time in seconds")?.0.parse()?;
    ensure!((1.5..30.0).contains(&live), "the broken version was merged for {live} s");
    stage.is_empty()
}

fn as_ordinary_user() -> Result<()> {
    let stage = Stage::new()?;
    let text = succeeded(&stage.command_as_ordinary_user().output()?)?;
    contains_in_order(
        &text,
        &[
            "The kernel denies this user a mount namespace (",
            "  ok ",
            " install 1 ",
            "downloaded and verified, not merged",
            "  stopped ",
            " merge 1 ",
            "cannot mount ",
            "Run this as root to see the merge, the health check and the rollback.",
            "Removed ",
        ],
    )?;
    ensure!(!text.contains("publish 2"), "{text}");
    stage.is_empty()
}

fn verbose() -> Result<()> {
    let stage = Stage::new()?;
    let text = succeeded(&stage.command().arg("--verbose").output()?)?;
    contains_in_order(
        &text,
        &[
            "$ bakery keygen /",
            "keys/root.key",
            "$ bakery bake /",
            "\"sha256\": ",
            "$ sysupdate --root /",
            " update ",
            "\"version\": \"1\"",
            "FAILED",
        ],
    )?;
    stage.is_empty()
}

fn shows_failed_program() -> Result<()> {
    let stage = Stage::new()?;
    stage.replace("bakery", "#!/bin/sh\necho the disk is on fire >&2\nexit 7\n")?;
    let output = stage.command().output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(
        diagnostics.starts_with("error: `bakery keygen ")
            && diagnostics.contains("exit status: 7, expected exit status 0\nthe disk is on fire")
            && diagnostics.matches("error: ").count() == 1,
        "{diagnostics}"
    );
    stage.is_empty()?;
    stage.replace("bakery", "#!/bin/sh\necho '{}'\n")?;
    let output = stage.command().output()?;
    let diagnostics = String::from_utf8_lossy(&output.stderr);
    ensure!(diagnostics.contains("printed no usable JSON at /size"), "{diagnostics}");
    stage.is_empty()
}

fn keeps() -> Result<()> {
    let stage = Stage::new()?;
    let text = succeeded(&stage.command_as_ordinary_user().arg("--keep").output()?)?;
    let kept = text.lines().find_map(|line| line.strip_prefix("Kept "));
    let kept = Path::new(kept.context("it does not print the directory")?);
    for inside in ["keys/root.key", "store/catalog/catalog.json", "public/catalog/catalog.json", "root/etc"] {
        ensure!(kept.join(inside).exists(), "{inside} was not kept");
    }
    Ok(())
}

/// Ends it from outside while an extension is merged.
fn ends_early(signal: Signal) -> Result<()> {
    let stage = Stage::new()?;
    let mut child = stage.command().process_group(0).stdout(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let merged = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("  /usr/bin/hello ")));
    ensure!(merged.is_some(), "it ended before the merge");
    ensure!(!stage.leftovers()?.is_empty(), "there is nothing to leave behind");
    match signal {
        // As from a terminal: to the whole group.
        Signal::SIGINT => killpg(pid, signal)?,
        _ => kill(pid, signal)?,
    }
    ensure!(!child.wait()?.success(), "it succeeded in spite of the signal");
    let begin = Instant::now();
    while stage.is_empty().is_err() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.is_empty()?;
    let left = stage.processes()?;
    ensure!(left.is_empty(), "still running: {left:?}");
    Ok(())
}

/// A directory for one run of the quickstart: programs that every user may run, and an own directory for
/// temporary files.
struct Stage {
    directory: TempDir,
}

impl Stage {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let stage = Self { directory };
        fs::create_dir(stage.below("programs"))?;
        for name in ["bakery", "sysupdate"] {
            fs::copy(program(name)?, stage.below("programs").join(name))?;
        }
        fs::copy(env!("CARGO_BIN_EXE_hello"), stage.below("programs/hello"))?;
        fs::copy(env!("CARGO_BIN_EXE_quickstart"), stage.below("quickstart"))?;
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
        command.arg("--programs").arg(self.below("programs"));
        command.env("TMPDIR", self.below("tmp")).current_dir("/").stdin(Stdio::null());
        command
    }

    fn command_as_ordinary_user(&self) -> Command {
        let mut command = self.command();
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn replace(&self, program: &str, script: &str) -> Result<()> {
        let path = self.below("programs").join(program);
        fs::write(&path, script)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
    }

    /// The files that the quickstart left behind.
    fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.below("tmp"))?;
        Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    }

    fn is_empty(&self) -> Result<()> {
        let (files, mounts) = (self.leftovers()?, scratch::mounts_below(&self.below("tmp"))?);
        ensure!(files.is_empty() && mounts.is_empty(), "left behind: {files:?}, mounts: {mounts:?}");
        Ok(())
    }

    /// The running processes whose program is in this directory.
    fn processes(&self) -> Result<Vec<PathBuf>> {
        let numbers = fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path().join("exe")));
        let programs = numbers.filter_map(|link| fs::read_link(link).ok());
        Ok(programs.filter(|program| program.starts_with(self.directory.path())).collect())
    }
}

fn succeeded(output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    ensure!(
        output.stderr.is_empty(),
        "unexpected output on stderr: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// Requires all of these, in this order.
fn contains_in_order(text: &str, expected: &[&str]) -> Result<()> {
    let mut rest = text;
    for words in expected {
        let found = rest.find(words).with_context(|| format!("{words:?} is missing in\n{text}"))?;
        rest = &rest[found + words.len()..];
    }
    Ok(())
}
