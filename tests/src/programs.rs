//! The two programs, built once per process in the profile that the caller runs in, and one that judges them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::workspace;

/// Variables that cargo sets for the process it runs. A build script that watches one of them
/// (ring's does) would be compiled anew by a nested cargo that inherits it.
const SET_BY_CARGO: [&str; 5] =
    ["CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE"];

/// The path of `bakery` or `sysupdate`, built on the first call.
pub fn program(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<BTreeMap<String, PathBuf>, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let programs = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    programs.get(name).cloned().with_context(|| format!("cargo built no program called {name}"))
}

/// Puts a copy of a program at `to`, for whoever may not enter the build directory.
///
/// Another program writes it: what this process has open for writing, a child that another thread starts
/// at that moment inherits for an instant, and a program that is open for writing cannot be run.
pub fn copy_program(name: &str, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg(program(name)?).arg(to).status().context("cannot run cp")?;
    ensure!(status.success(), "cannot copy {name} to {}: {status}", to.display());
    Ok(())
}

/// Where `.ci/libsquashfs` puts the program that unpacks and packs squashfs images with libsquashfs.
pub fn libsquashfs() -> PathBuf {
    workspace::root().join(".cache/libsquashfs/judge")
}

fn build() -> Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root());
    command.args(["build", "--quiet", "--message-format=json-render-diagnostics"]);
    command.args(["--package", "bakery", "--package", "sysupdate", "--bins", "--profile", &profile()?]);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| SET_BY_CARGO.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    let mut programs = BTreeMap::new();
    for line in text.lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("cargo's message is not JSON")?;
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            programs.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(programs)
}

/// The profile this process was built in, from the directory it lies in: `TARGET/debug/deps/NAME`
/// for a test, `TARGET/debug/NAME` for a program. The development profile alone has another
/// directory name than its own.
fn profile() -> Result<String> {
    let this = std::env::current_exe().context("cannot find this program's own path")?;
    let above = |path: &Path| path.parent().map(Path::to_owned);
    let mut directory = above(&this);
    if directory.as_ref().is_some_and(|path| path.ends_with("deps")) {
        directory = directory.as_deref().and_then(above);
    }
    match directory.as_ref().and_then(|path| path.file_name()?.to_str()) {
        Some("debug") => Ok("dev".to_owned()),
        Some(name) => Ok(name.to_owned()),
        None => bail!("no build profile in {}", this.display()),
    }
}
