//! The output of a long bake on a terminal, and the files that an interrupted bake leaves.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::program;
use tests::sample::Random;

/// Content that takes seconds to compress, in bytes.
const LONG: usize = 24_000_000;

/// Content that takes long enough to observe, in bytes.
const SHORT: usize = 3_000_000;

/// What clears a line: the bar does it, and the program when it is interrupted.
const CLEARS: [&str; 2] = ["\r\x1b[2K", "\r\x1b[K"];

/// The width of the terminals, in columns: wide enough for a bar.
const COLUMNS: u16 = 120;

/// Time limit for something to start.
const PATIENCE: Duration = Duration::from_secs(60);

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for format in ["erofs", "squashfs"] {
        suite
            .trial(&format!("cli_progress_of_{format}_appears_on_a_terminal"), &[], move || terminal(format));
    }
    let archive = [Need::Tool("tar"), Need::Tool("xz")];
    suite.trial("cli_progress_of_an_archive_appears_on_a_terminal", &archive, read);
    suite.trial("cli_progress_does_not_appear_in_a_pipe", &[], pipe);
    suite.isolated("fault_interrupt_prints_error_below_the_bar", &[], error);
    suite.trial("fault_interrupt_leaves_no_files", &[], stopped);
    suite.trial("fault_interrupt_restores_the_terminal", &[], stopped_on_a_terminal);
    suite.trial("fault_interrupt_is_ignored_if_the_parent_ignores_it", &[], ignored);
    suite.trial("fault_interrupt_files_of_a_kill_are_removed_by_the_next_run", &[], killed);
    suite.run()
}

struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new(content: usize) -> Result<Self> {
        let desk = Self { directory: tempfile::tempdir()? };
        fs::create_dir_all(desk.path("tree/usr/share/x"))?;
        // The distance of repetitions is larger than the window of any codec
        let text = Random::new(3).text(SHORT).repeat(content / SHORT);
        fs::write(desk.path("tree/usr/share/x/text"), text)?;
        Ok(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn command(&self, out: &str, more: &[&str]) -> Result<Command> {
        self.bake("tree", out, more)
    }

    fn bake(&self, tree: &str, out: &str, more: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("bakery")?);
        command.current_dir(self.directory.path()).env_remove("SOURCE_DATE_EPOCH").env("NO_COLOR", "1");
        command.stdin(Stdio::null());
        command.args(["bake", "--name", "x", "--version", "1", "--arch", "x86-64", "--tree", tree]);
        command.args(["--kernel", "6.12", "--codec", "zstd:19", "-o", out]).args(more);
        Ok(command)
    }

    /// The names next to the tree.
    fn left(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.retain(|name| name != "tree");
        Ok(names)
    }

    /// Waits until the image is being written.
    fn begun(&self, child: &mut Child) -> Result<()> {
        let begin = Instant::now();
        while !self.path(".x.raw.partial").exists() {
            ensure!(begin.elapsed() < PATIENCE, "nothing is written");
            ensure!(child.try_wait()?.is_none(), "it has ended");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Runs a command with standard error on a terminal. Returns its status and everything that the terminal
/// received.
fn on_a_terminal(
    mut command: Command,
    meanwhile: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<(ExitStatus, String)> {
    let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None)?;
    let mut child = command.stdout(Stdio::null()).stderr(terminal.slave).spawn()?;
    // The command also has the other end open.
    drop(command);
    let mut master = File::from(terminal.master);
    let reader = thread::spawn(move || {
        let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
        // This is an error as soon as the other end is closed.
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            got.extend_from_slice(&buffer[..count]);
        }
        got
    });
    let done = meanwhile(&mut child);
    let status = child.wait()?;
    let Ok(got) = reader.join() else { bail!("the terminal was not read") };
    done?;
    Ok((status, String::from_utf8(got)?))
}

/// The final contents of the screen. Only the escapes that these programs use are supported.
fn screen(got: &str) -> Result<String> {
    let mut lines = vec![String::new()];
    let mut rest = got;
    while let Some(next) = rest.chars().next() {
        let line = lines.last_mut().context("there is one")?;
        if let Some(behind) = rest.strip_prefix("\r\n") {
            lines.push(String::new());
            rest = behind;
        } else if let Some(behind) = CLEARS.iter().find_map(|clear| rest.strip_prefix(clear)) {
            line.clear();
            rest = behind;
        } else {
            ensure!(!next.is_control(), "{next:?} in {got:?}");
            line.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    Ok(lines.join("\n"))
}

/// The positions of the bars of one stage, in percent.
fn percents(got: &str, stage: &str) -> Vec<u64> {
    let bars = got.split("\r\x1b[2K").filter(|bar| bar.starts_with(&format!("  {stage} ")));
    bars.filter_map(|bar| bar.split("] ").nth(1)?.split('%').next()?.parse().ok()).collect()
}

fn terminal(format: &'static str) -> Result<()> {
    let desk = Desk::new(SHORT)?;
    let (status, got) = on_a_terminal(desk.command("x.raw", &["--format", format])?, |_| Ok(()))?;
    ensure!(status.success(), "{status}: {got}");
    let percents = percents(&got, "compressing");
    ensure!(percents.len() > 2 && percents.is_sorted(), "{percents:?} in {got:?}");
    ensure!(got.contains(" of 3.00 MB ["), "{got:?}");
    let shown = screen(&got)?;
    ensure!(shown == "staging x 1 for x86-64\nbaking with zstd:19\n", "{shown:?}");

    // The display does not change the result.
    let output = desk.command("quiet.raw", &["--format", format])?.output()?;
    ensure!(output.status.success());
    ensure!(fs::read(desk.path("x.raw"))? == fs::read(desk.path("quiet.raw"))?, "other bytes");
    Ok(())
}

/// Only a compressed archive is read completely before an image is written.
fn read() -> Result<()> {
    let desk = Desk::new(LONG)?;
    let mut shell = Command::new("sh");
    shell.args(["-ec", "tar -C tree -cf a.tar .; xz -0 a.tar"]).current_dir(desk.directory.path());
    ensure!(shell.status()?.success());
    let bake = desk.bake("a.tar.xz", "x.raw", &[])?;
    let (status, got) = on_a_terminal(bake, |child| {
        // The first stage is over when the image is created.
        desk.begun(child)?;
        Ok(child.kill()?)
    })?;
    ensure!(status.signal().is_some(), "{status}: {got}");
    let percents = percents(&got, "reading");
    ensure!(!percents.is_empty() && percents.is_sorted(), "{percents:?} in {got:?}");
    ensure!(got.contains("\r\x1b[2Kbaking with "), "the bar stays in {got:?}");
    Ok(())
}

fn pipe() -> Result<()> {
    let desk = Desk::new(SHORT)?;
    let output = desk.command("x.raw", &[])?.output()?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(told == "staging x 1 for x86-64\nbaking with zstd:19\n", "{told:?}");
    Ok(())
}

fn error() -> Result<()> {
    let desk = Desk::new(SHORT)?;
    fs::create_dir(desk.path("small"))?;
    mount(Some("small"), &desk.path("small"), Some("tmpfs"), MsFlags::empty(), Some("size=64k"))?;
    let (status, got) = on_a_terminal(desk.command("small/x.raw", &[])?, |_| Ok(()))?;
    ensure!(status.code() == Some(1) && !percents(&got, "compressing").is_empty(), "{status}: {got}");
    let shown = screen(&got)?;
    let expected = "staging x 1 for x86-64\nbaking with zstd:19\nerror: cannot write the image small/x.raw: ";
    ensure!(shown.starts_with(expected) && shown.ends_with('\n'), "{shown:?}");
    Ok(())
}

fn stopped() -> Result<()> {
    for signal in SIGNALS {
        let desk = Desk::new(LONG)?;
        let mut child = desk.command("x.raw", &[])?.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        desk.begun(&mut child)?;
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        let output = child.wait_with_output()?;
        ensure!(output.status.signal() == Some(signal as i32), "{signal}: {}", output.status);
        ensure!(desk.left()?.is_empty(), "{signal} leaves {:?}", desk.left()?);
        let told = String::from_utf8(output.stderr)?;
        ensure!(told == "staging x 1 for x86-64\nbaking with zstd:19\n", "{told:?}");
    }
    Ok(())
}

fn stopped_on_a_terminal() -> Result<()> {
    let desk = Desk::new(LONG)?;
    let (status, got) = on_a_terminal(desk.command("x.raw", &[])?, |child| {
        desk.begun(child)?;
        thread::sleep(Duration::from_millis(300));
        Ok(kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?)
    })?;
    ensure!(status.signal() == Some(Signal::SIGINT as i32), "{status}");
    ensure!(desk.left()?.is_empty(), "{:?} is left", desk.left()?);
    let shown = screen(&got)?;
    ensure!(!percents(&got, "compressing").is_empty(), "{got:?}");
    ensure!(shown == "staging x 1 for x86-64\nbaking with zstd:19\ninterrupted\n", "{shown:?}");
    Ok(())
}

/// As `nohup` does, and shells for background processes.
fn ignored() -> Result<()> {
    let desk = Desk::new(SHORT)?;
    let bake = desk.command("x.raw", &[])?;
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" INT HUP; exec "$0" "$@""#]).arg(bake.get_program()).args(bake.get_args());
    shell.current_dir(desk.directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = shell.spawn()?;
    desk.begun(&mut child)?;
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "{status}");
    ensure!(desk.left()? == ["x.raw"], "{:?}", desk.left()?);
    Ok(())
}

/// Nothing can prevent this; it also shows that the other trials would detect leftovers.
fn killed() -> Result<()> {
    let desk = Desk::new(SHORT)?;
    let mut child = desk.command("x.raw", &[])?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    desk.begun(&mut child)?;
    child.kill()?;
    child.wait()?;
    ensure!(desk.left()? == [".x.raw.partial"], "{:?}", desk.left()?);
    let output = desk.command("x.raw", &[])?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(desk.left()? == ["x.raw"], "{:?}", desk.left()?);
    Ok(())
}
