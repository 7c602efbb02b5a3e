//! What each level of lz4hc costs in an erofs image, by which the default level was chosen.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::rows::{Format, Side};
use super::{RUNS, cost};

/// First argument that asks for this table instead of the other.
pub(crate) const LEVELS: &str = "levels";

/// Weakest first. The last one is what the others are compared with.
const CODECS: [&str; 10] = [
    "lz4hc:3", "lz4hc:4", "lz4hc:5", "lz4hc:6", "lz4hc:7", "lz4hc:8", "lz4hc:9", "lz4hc:10", "lz4hc:11",
    "lz4hc:12",
];

/// What a kernel since 6.10 makes possible, for comparison.
const ZSTD: &str = "zstd:3";

/// Prints a table in Markdown for each of these trees.
pub(crate) fn print(trees: &[String], directory: &Path) -> Result<()> {
    ensure!(!trees.is_empty(), "name the trees: {LEVELS} TREE...");
    for tree in trees {
        let tree = PathBuf::from(tree);
        let rows = CODECS.iter().map(|codec| row(codec, (5, 15), &tree, directory));
        let rows: Vec<Row> = rows.collect::<Result<_>>().with_context(|| tree.display().to_string())?;
        let zstd = row(ZSTD, (6, 10), &tree, directory)?;
        let last = rows.last().context("there is a level")?;
        println!("{}\n\n| codec | bytes | of {} | processor time |", tree.display(), last.codec);
        println!("|---|---|---|---|");
        for row in rows.iter().chain([&zstd]) {
            let ratio = row.bytes as f64 / last.bytes as f64;
            println!("| {} | {} | {ratio:.4} | {:.2} s |", row.codec, row.bytes, row.cpu);
        }
        println!();
    }
    Ok(())
}

struct Row {
    codec: &'static str,
    bytes: u64,
    /// Processor time in seconds: the median of several runs.
    cpu: f64,
}

fn row(codec: &'static str, kernel: (u16, u16), tree: &Path, directory: &Path) -> Result<Row> {
    let image = directory.join("level.raw");
    let side = Side::Ours { format: Format::Erofs, codec, kernel };
    let costs = (0..RUNS).map(|_| cost::of(&side, tree, &image)).collect::<Result<Vec<_>>>()?;
    Ok(Row { codec, bytes: std::fs::metadata(&image)?.len(), cpu: cost::median(&costs).cpu })
}
