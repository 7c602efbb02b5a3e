//! The process that was started: builds, makes the scratch directory, has the story played, and removes
//! every trace of it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;

use super::slide::{Place, Row, Slide};
use super::{Options, Said, Way, private, sweeper};
use crate::{programs, scratch, workspace};

/// Where the player finds the programs.
pub(super) const PROGRAMS: &str = "programs";

/// Where the player finds the recipe of the updater, as it stands in the checkout.
pub(super) const RECIPE: &str = "recipes/sysupdate";

/// Plays the whole.
pub(super) fn keep(options: &Options) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("quickstart-").tempdir();
    let directory = directory.context("cannot make a scratch directory")?.keep();
    // Without symbolic links, as the mount table has it.
    let directory = directory.canonicalize().context("cannot look at the scratch directory")?;
    let slide = Slide::new(&directory);
    let sweeper = if options.keep { None } else { Some(start_sweeper(&directory)?) };
    slide.line("A system extension from a recipe to a running program, a newer one, a sick one, and back.");
    slide.line(&format!("All of it happens in {}.", directory.display()));
    let played = prepare(&directory, options, &slide).and_then(|()| play(&directory, &slide));
    if options.keep {
        slide.line(&format!("\nKept, as you asked: {}", directory.display()));
        return played;
    }
    let removed = clean(&directory, &slide);
    if let Some(sweeper) = sweeper {
        dismiss(sweeper)?;
    }
    played.and(removed)
}

/// This program, to be run again for another part.
pub(super) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own path")
}

/// In a process group of its own: Ctrl-C ends the others and leaves it to clean up.
fn start_sweeper(directory: &Path) -> Result<Child> {
    let mut command = Command::new(this_program()?);
    command.arg("sweep").arg(directory).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
    command.spawn().context("cannot run the quickstart again")
}

fn dismiss(mut sweeper: Child) -> Result<()> {
    drop(sweeper.stdin.take());
    let status = sweeper.wait().context("cannot wait for the sweeper")?;
    ensure!(status.success(), "the sweeper ended with {status}");
    Ok(())
}

/// Puts what the player needs into the directory: the programs and the recipe.
fn prepare(directory: &Path, options: &Options, slide: &Slide) -> Result<()> {
    slide.heading("The two programs");
    slide.legend();
    let to = directory.join(PROGRAMS);
    fs::create_dir(&to).with_context(|| format!("cannot make {}", to.display()))?;
    for name in ["bakery", "sysupdate"] {
        let begin = Instant::now();
        let from = match &options.programs {
            Some(programs) => programs.join(name),
            None => programs::program(name)?,
        };
        let path = to.join(name);
        copy_program(&from, &path)?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        slide.row(&Row {
            stage: "build",
            took: Some(begin.elapsed()),
            size: u64::try_from(bytes.len()).ok(),
            digest: Some(&Sha256::of(&bytes).to_string()),
            place: Place::At(&path),
            ..Row::default()
        });
    }
    slide.note("static, so they run on any host; these copies stay outside the extension");
    let recipe = options.recipe.clone().unwrap_or_else(|| workspace::root().join("recipes/sysupdate"));
    copy_tree(&recipe, &directory.join(RECIPE))
}

/// Copies a program; without its symbols, which are most of a development build and take long to compress,
/// where the C compiler's `strip` is there.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(from).stderr(Stdio::null()).status();
    if stripped.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Directories and files with their modes: all there is in a recipe.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", path.display()))?;
        if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else if kind.is_symlink() {
            let text = fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?;
            std::os::unix::fs::symlink(text, &target)
                .with_context(|| format!("cannot make {}", target.display()))?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

fn play(directory: &Path, slide: &Slide) -> Result<()> {
    let mut command = Command::new(this_program()?);
    match private::refusal() {
        None => command.arg("door").arg(directory),
        Some(reason) => {
            slide.line(&format!(
                "\nThe kernel lets this user have no mounts ({reason}), so the merge will be the end."
            ));
            command.arg("play").arg(directory).arg(Way::Confined.as_str())
        }
    };
    let status = command.status().context("cannot run the quickstart again")?;
    ensure!(status.success(), Said);
    Ok(())
}

/// Removes the directory, and looks whether anything is left.
fn clean(directory: &Path, slide: &Slide) -> Result<()> {
    let begin = Instant::now();
    sweeper::remove(directory)?;
    let mounts = scratch::mounts_below(directory)?;
    ensure!(mounts.is_empty(), "still mounted: {mounts:?}");
    ensure!(!directory.exists(), "{} is still there", directory.display());
    slide.row(&Row {
        stage: "remove",
        took: Some(begin.elapsed()),
        place: Place::Said(format!("nowhere: {} is gone, and nothing is mounted there", directory.display())),
        ..Row::default()
    });
    Ok(())
}
