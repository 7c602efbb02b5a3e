//! Prints the table in Markdown, with ratios above their target in bold.

use anyhow::Result;

use super::reads;
use super::rows::{self, Row};
use super::{Comparison, Figures};

/// Prints the header.
pub(crate) fn head(with_reads: bool) -> Result<()> {
    println!("Peers: {}.", rows::versions()?);
    if !with_reads {
        println!("Reads are skipped: they need mounts and therefore root.");
    }
    println!();
    println!("| corpus | setting | MB | CPU s | wall / CPU | MiB | random reads ms | sequential MB/s |");
    println!("|---|---|---|---|---|---|---|---|");
    Ok(())
}

/// Prints three lines: ours, the peer's, and the ratios with their targets.
pub(crate) fn print(row: &Row, result: &Comparison) {
    let Comparison { ours, peer, reads } = result;
    for (index, (side, figures)) in [(&row.ours, ours), (&row.peer, peer)].into_iter().enumerate() {
        let times = reads.as_ref().map(|reads| reads.times[index]);
        println!("| {} | {} | {} |", row.corpus, side.setting(), cells(figures, times));
    }
    let reads = match (reads, row.reads) {
        (Some(reads), Some(target)) => {
            format!("{} | {}", ratio(reads.random, target), ratio(reads.sequential, target))
        }
        _ => "- | -".to_owned(),
    };
    println!(
        "| | ratio (target) | {} | {} | {} | {} | {reads} |",
        ratio(ours.bytes as f64 / peer.bytes as f64, row.bytes),
        ratio(ours.cost.cpu / peer.cost.cpu, row.cpu),
        ratio(ours.cost.wall / ours.cost.cpu, 1.0 / 1.7),
        ratio(ours.cost.memory as f64 / 1024.0, row.memory as f64),
    );
}

fn cells(figures: &Figures, reads: Option<reads::Times>) -> String {
    let Figures { cost, bytes } = figures;
    let reads = reads.map_or_else(
        || "- | -".to_owned(),
        |times| format!("{:.0} | {:.0}", times.random * 1e3, times.size as f64 / 1e6 / times.sequential),
    );
    format!(
        "{:.2} | {:.2} | {:.2} | {} | {reads}",
        *bytes as f64 / 1e6,
        cost.cpu,
        cost.wall / cost.cpu,
        cost.memory / 1024
    )
}

fn ratio(found: f64, target: f64) -> String {
    let text = format!("{found:.3} ({target:.3})");
    if found > target { format!("**{text}**") } else { text }
}
