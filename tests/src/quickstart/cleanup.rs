//! The process that removes the scratch directory, even if the supervisor is killed. It stays outside the sandbox,
//! where no mount is in the way.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::supervisor::this_program;

/// How long a killed program may continue to write into the directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The running cleanup process, as the supervisor sees it.
#[derive(Debug)]
pub(super) struct Cleanup {
    process: Child,
}

impl Cleanup {
    /// Starts the process in its own process group, so that Ctrl-C does not end it.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new(this_program()?);
        command.arg("cleanup").arg(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        Ok(Self { process: command.spawn().context("cannot start the cleanup process")? })
    }

    /// Lets it remove the directory, and waits for that.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait().context("cannot wait for the cleanup process")?;
        ensure!(status.success(), "the cleanup process failed: {status}");
        Ok(())
    }
}

/// Waits until the supervisor ends or asks for it, and removes the directory.
pub(super) fn run(directory: &Path) -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new()).context("cannot wait for the supervisor")?;
    let start = Instant::now();
    loop {
        match fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => return Ok(()),
            Err(_) if start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(error) => return Err(error).context(format!("cannot remove {}", directory.display())),
        }
    }
}
