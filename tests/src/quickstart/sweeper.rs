//! Removes the scratch directory even if nobody else can any more.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long a program that was just killed may go on writing into the directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for the keeper's end, however it ends, and removes the directory if it is still there.
pub(super) fn sweep(directory: &Path) -> Result<()> {
    let mut nothing = Vec::new();
    io::stdin().read_to_end(&mut nothing).context("cannot wait for the end")?;
    remove(directory)
}

/// Removes the directory, if need be after the last writer.
pub(super) fn remove(directory: &Path) -> Result<()> {
    let begin = Instant::now();
    loop {
        match fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => return Ok(()),
            Err(_) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(error) => return Err(error).context(format!("cannot remove {}", directory.display())),
        }
    }
}
