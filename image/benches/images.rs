//! Compares our images with those of mkfs.erofs and mksquashfs: size, CPU time, memory, and uncached reads
//! from the mounted image.
//!
//! ```text
//! .ci/peers && .ci/corpora && cargo bench -p sysext-image [-- [M|L] [TEXT]]
//! ```
//!
//! `levels TREE...` prints what each level of lz4hc costs on these trees instead.
//!
//! `TEXT` selects the rows whose setting contains it, such as `zstd:3` or `erofs`. Prints a Markdown table
//! with both settings, the medians of interleaved runs, and the ratio with its target. Reads need mounts and
//! therefore root; otherwise they are skipped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

#[path = "images/cost.rs"]
mod cost;
#[path = "images/levels.rs"]
mod levels;
#[path = "images/reads.rs"]
mod reads;
#[path = "images/rows.rs"]
mod rows;
#[path = "images/table.rs"]
mod table;

use rows::{Row, Side};

/// The root of the checkout, to which the directories of peers and corpora are relative.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// How often each image is written.
const RUNS: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("images: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some(cost::MEASURE) => return cost::measure(&arguments[1..]),
        Some(cost::BAKE) => return cost::bake(&arguments[1..]),
        _ => {}
    }
    // cargo bench adds --bench
    let wanted: Vec<String> = arguments
        .iter()
        .filter(|argument| *argument != "--bench")
        .map(|argument| argument.to_str().map(String::from).context("an argument is not text"))
        .collect::<Result<_>>()?;
    let directory = tempfile::Builder::new().prefix("images-").tempdir_in("/var/tmp")?;
    if let Some((levels::LEVELS, trees)) = wanted.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return levels::print(trees, directory.path());
    }
    let is_wanted = |row: &&Row| {
        let setting = row.ours.setting();
        wanted.iter().all(|text| text == row.corpus || setting.contains(text.as_str()))
    };
    let rows: Vec<&Row> = rows::ROWS.iter().filter(is_wanted).collect();
    if rows.is_empty() {
        bail!("no row matches {wanted:?}: use a corpus, M or L, and a setting such as zstd:3");
    }
    let mounts = reads::Mounts::new(directory.path())?;
    table::head(mounts.is_some())?;
    for row in rows {
        let tree = corpus(row.corpus)?;
        let result = compare(row, &tree, directory.path(), mounts.as_ref())
            .with_context(|| format!("{} on corpus {}", row.ours.setting(), row.corpus))?;
        table::print(row, &result);
    }
    Ok(())
}

/// The result of a row.
struct Comparison {
    ours: Figures,
    peer: Figures,
    reads: Option<reads::Reads>,
}

/// The medians of one writer.
struct Figures {
    cost: cost::Cost,
    bytes: u64,
}

fn compare(row: &Row, tree: &Path, directory: &Path, mounts: Option<&reads::Mounts>) -> Result<Comparison> {
    let images = [directory.join("ours.raw"), directory.join("peer.raw")];
    let sides = [&row.ours, &row.peer];
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for ((side, image), costs) in sides.iter().zip(&images).zip(&mut costs) {
            if image.exists() {
                std::fs::remove_file(image)?;
            }
            costs.push(cost::of(side, tree, image)?);
        }
    }
    let reads = match (mounts, row.reads) {
        (Some(mounts), Some(_)) => Some(mounts.compare(sides.map(Side::filesystem), &images)?),
        _ => None,
    };
    let figures = |index: usize| -> Result<Figures> {
        let bytes = std::fs::metadata(&images[index])?.len();
        Ok(Figures { cost: cost::median(&costs[index]), bytes })
    };
    Ok(Comparison { ours: figures(0)?, peer: figures(1)?, reads })
}

/// A tree from `.ci/corpora`.
fn corpus(name: &str) -> Result<PathBuf> {
    let corpora = std::env::var_os("CORPORA_DIR").map_or_else(|| ".cache/corpora".into(), PathBuf::from);
    let tree = Path::new(CHECKOUT).join(corpora).join(name);
    if !tree.with_extension("complete").is_file() {
        bail!("{} not found; run .ci/corpora", tree.display());
    }
    Ok(tree)
}
