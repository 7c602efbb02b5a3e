//! `bakery checksums`

use std::path::PathBuf;

use serde::Serialize;
use sysext_manifests::checksums::Checksums;

use super::Result;
use super::output::{print, print_json, say, warn};
use crate::failure::At as _;
use crate::store::FileError;

/// Check a SHA256SUMS file the way nodes do.
///
/// Nodes reject the whole file for one bad line, and so does this. With --lenient, bad lines are skipped and reported
/// with their line number, and the remaining lines are printed as a valid file. A name with two digests is skipped
/// altogether. Existing signatures no longer match the result.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The SHA256SUMS file
    file: PathBuf,
    /// Skip bad lines and report them
    #[arg(long)]
    lenient: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Checked {
    best_before: Option<String>,
    files: Vec<Listed>,
    skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    sha256: String,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let bytes = std::fs::read(&self.file)
            .map_err(|source| FileError::Read { path: self.file.clone(), source })?;
        let name = self.file.display();
        let (checksums, warnings, skipped) = match self.lenient {
            true => {
                let (checksums, warnings, skipped) = Checksums::parse_lenient(&bytes);
                let more = (skipped.more > 0).then(|| format!("… and {} more", skipped.more));
                let skipped = skipped.lines.iter().map(ToString::to_string).chain(more).collect();
                (checksums, warnings, skipped)
            }
            false => {
                let (checksums, warnings) = Checksums::parse(&bytes).at(&name)?;
                (checksums, warnings, Vec::new())
            }
        };
        for warning in &warnings {
            warn(format_args!("{name}: {warning}"));
        }
        for skipped in &skipped {
            say(format_args!("skipped: {name}: {skipped}"));
        }
        if self.json {
            let files = checksums
                .entries
                .iter()
                .map(|entry| Listed { name: entry.name.clone(), sha256: entry.sha256.to_string() });
            let best_before = checksums.best_before.map(|date| date.to_string());
            return print_json(&Checked { best_before, files: files.collect(), skipped });
        }
        let text = checksums.render().at(&name)?;
        print(text.lines().map(str::to_owned))
    }
}
