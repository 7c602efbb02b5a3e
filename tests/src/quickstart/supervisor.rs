//! The process that the user started: builds the programs, starts the scenario, and waits until nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::cleanup::Cleanup;
use super::output::Output;
use super::sandbox::{self, Sandbox};
use super::{Options, Reported};
use crate::programs::{self, Cargo, HELLO, TWO_PROGRAMS};

/// The directory, below the scratch directory, in which the scenario finds the programs.
pub(super) const PROGRAMS: &str = "programs";

/// Runs the whole quickstart.
pub(super) fn run(options: &Options) -> Result<()> {
    let output = Output::new(options.verbose);
    let sources = find_programs(options, &output)?;
    let directory = tempfile::Builder::new().prefix("quickstart-").tempdir();
    let directory = directory.context("cannot create a scratch directory")?.keep();
    // Without symbolic links, because the mount table contains none.
    let directory = directory.canonicalize().context("cannot resolve the scratch directory")?;
    let cleanup = if options.keep { None } else { Some(Cleanup::start(&directory)?) };
    let outcome =
        copy_programs(&sources, &directory).and_then(|()| run_scenario(&directory, options, &output));
    let Some(cleanup) = cleanup else {
        output.line(&format!("Kept {}", directory.display()));
        return outcome;
    };
    let removed = cleanup.finish().and_then(|()| {
        ensure!(!directory.exists(), "{} still exists", directory.display());
        output.line(&format!("Removed {}; no file, mount or process is left.", directory.display()));
        Ok(())
    });
    outcome.and(removed)
}

/// The path of this program, to start it again as another process of the quickstart.
pub(super) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this program")
}

/// Builds `bakery`, `sysupdate` and the payload, unless the options name a directory with them.
fn find_programs(options: &Options, output: &Output) -> Result<Vec<PathBuf>> {
    if let Some(directory) = &options.programs {
        return Ok(["bakery", "sysupdate", "hello"].map(|name| directory.join(name)).into());
    }
    output
        .line("Compiling bakery, sysupdate and hello. This takes minutes the first time and seconds later.");
    let mut found = Vec::new();
    for (selection, names) in [(TWO_PROGRAMS, &["bakery", "sysupdate"][..]), (HELLO, &["hello"])] {
        let built = programs::build(selection, Cargo::ShowsProgress)?;
        for name in names {
            found.push(built.get(*name).with_context(|| format!("cargo built no program {name}"))?.clone());
        }
    }
    Ok(found)
}

/// Copies the programs into the scratch directory, so that every user may run them.
fn copy_programs(sources: &[PathBuf], directory: &Path) -> Result<()> {
    let target = directory.join(PROGRAMS);
    fs::create_dir(&target).with_context(|| format!("cannot create {}", target.display()))?;
    for source in sources {
        let name = source.file_name().with_context(|| format!("{} has no file name", source.display()))?;
        programs::copy_stripped(source, &target.join(name))?;
    }
    Ok(())
}

fn run_scenario(directory: &Path, options: &Options, output: &Output) -> Result<()> {
    let sandbox = match sandbox::enter()? {
        Ok(()) => Sandbox::Private,
        Err(reason) => {
            output.line(&format!("The kernel denies this user a mount namespace ({reason})."));
            Sandbox::Denied
        }
    };
    let mut command = Command::new(this_program()?);
    if options.verbose {
        command.arg("--verbose");
    }
    let status = command.arg("scenario").arg(directory).arg(sandbox.name()).status();
    ensure!(status.context("cannot start the scenario")?.success(), Reported);
    Ok(())
}
