//! qemu without hardware virtualisation, so that it works on any machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// With the 16-byte compare-and-exchange instruction, one boot in four ends with a double fault.
const PROCESSOR: &str = "max,cx16=off";

/// One console for all messages, no progress display, and power off instead of a reboot after a panic.
const KERNEL_COMMAND_LINE: &str =
    "console=ttyS0 panic=-1 systemd.unit=trial.service systemd.show_status=no TERM=dumb";

/// Time between two looks at a running machine.
const POLL: Duration = Duration::from_millis(50);

/// Lines of the console in a failure message.
const CONSOLE_LINES: usize = 40;

/// A machine that was switched off.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended, for people.
    pub(super) how: String,
    /// What the trial printed.
    pub(super) printed: String,
    /// The last lines of the messages of qemu and of the console.
    pub(super) console: String,
}

/// Boots the machine in a directory with an additional disk, and waits until it is off. Its own disk is not
/// modified; the output is written to `work`.
pub(super) fn boot(machine: &Path, disk: &Path, work: &Path, limit: Duration) -> Result<Ended> {
    let [console, printed, complaints] = ["console", "printed", "complaints"].map(|name| work.join(name));
    let drive =
        |path: &Path, options: &str| format!("file={},if=virtio,format=raw,{options}", path.display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-machine", "q35", "-accel", "tcg", "-cpu", PROCESSOR, "-smp", "1", "-m", "1G"]);
    qemu.args(["-device", "virtio-rng-pci"]);
    qemu.arg("-kernel").arg(machine.join("vmlinuz")).arg("-initrd").arg(machine.join("initrd"));
    qemu.args(["-append", KERNEL_COMMAND_LINE]);
    for serial in [&console, &printed] {
        qemu.arg("-serial").arg(format!("file:{}", serial.display()));
    }
    qemu.arg("-drive").arg(drive(&machine.join("root.img"), "snapshot=on"));
    qemu.arg("-drive").arg(drive(disk, "cache=unsafe"));
    // Where qemu writes changes to the disk of the machine.
    qemu.env("TMPDIR", work);
    let refused = File::create(&complaints).context("cannot keep what qemu says")?;
    qemu.stdin(Stdio::null()).stdout(refused.try_clone()?).stderr(refused);
    let start = Instant::now();
    let mut child = qemu.spawn().context("cannot run qemu-system-x86_64")?;
    let how = match wait(&mut child, start, limit)? {
        Some(status) if status.success() => format!("off after {} s", start.elapsed().as_secs()),
        Some(status) => format!("qemu ended with {status}"),
        None => format!("switched off after {} s", limit.as_secs()),
    };
    let console = [last_lines(&complaints)?, last_lines(&console)?].concat();
    Ok(Ended { how, printed: read(&printed)?, console })
}

/// Returns `None` if the limit passed; the machine is then killed.
fn wait(child: &mut Child, start: Instant, limit: Duration) -> Result<Option<ExitStatus>> {
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().context("cannot wait for qemu")? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    child.kill().context("cannot kill qemu")?;
    child.wait().context("cannot wait for qemu")?;
    Ok(None)
}

/// The text of a serial line, without carriage returns.
fn read(path: &PathBuf) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).replace('\r', "")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn last_lines(path: &PathBuf) -> Result<String> {
    let text = read(path)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(CONSOLE_LINES)..];
    Ok(tail.iter().flat_map(|line| [*line, "\n"]).collect())
}
