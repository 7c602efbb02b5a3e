//! Builds the programs that tests run, once per process, in the profile of the running test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::workspace;

/// Variables that cargo sets for the process that it runs. A nested cargo must not inherit them: build scripts
/// that depend on one of them (that of ring does) would be compiled again.
const SET_BY_CARGO: [&str; 5] =
    ["CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE"];

/// Selects `bakery` and `sysupdate`, with the features that they have in a release.
pub const TWO_PROGRAMS: &[&str] = &["--package", "bakery", "--package", "sysupdate", "--bins"];

/// Selects `hello`, the payload of the quickstart.
pub const HELLO: &[&str] = &["--package", "tests", "--bin", "hello"];

/// What cargo prints during a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// Nothing, unless the build fails.
    IsQuiet,
    /// Its progress, on standard error.
    ShowsProgress,
}

/// The path of `bakery` or `sysupdate`, built on the first call.
pub fn program(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<BTreeMap<String, PathBuf>, String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| build(TWO_PROGRAMS, Cargo::IsQuiet).map_err(|error| format!("{error:#}")));
    let programs = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    programs.get(name).cloned().with_context(|| format!("cargo built no program called {name}"))
}

/// Copies a program to `to`, for users who may not enter the build directory.
///
/// `cp` does it, because a file that this process has open for writing would briefly be inherited by a child
/// that another thread starts, and a program that is open for writing cannot be run.
pub fn copy_program(name: &str, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg(program(name)?).arg(to).status().context("cannot run cp")?;
    ensure!(status.success(), "cannot copy {name} to {}: {status}", to.display());
    Ok(())
}

/// Copies a program without its symbols, if `strip` is available: they are most of a development build and slow
/// to compress.
pub fn copy_stripped(from: &Path, to: &Path) -> Result<()> {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(from).stderr(Stdio::null()).status();
    if stripped.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// The program that packs and unpacks squashfs images with libsquashfs, built by `.ci/libsquashfs`.
pub fn libsquashfs() -> PathBuf {
    workspace::root().join(".cache/libsquashfs/judge")
}

/// Builds the selected programs and returns their paths by name.
pub fn build(selection: &[&str], output: Cargo) -> Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root());
    command.args(["build", "--message-format=json-render-diagnostics", "--profile", &profile()?]);
    command.args(selection);
    match output {
        Cargo::IsQuiet => command.arg("--quiet"),
        Cargo::ShowsProgress => command.stderr(Stdio::inherit()),
    };
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

/// The profile of this process, from its path: `TARGET/debug/deps/NAME` for a test, `TARGET/debug/NAME` for a
/// program. Only the directory of the development profile has another name than the profile.
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
