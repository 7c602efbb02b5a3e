//! `bakery checksums`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sysext_manifests::checksums::Checksums;

use crate::store::FileError;

/// Read a SHA256SUMS as nodes do, and tell what is wrong with it.
///
/// Nodes refuse the whole file for one bad line, and so does this. With --lenient bad lines are left out, each is
/// told with its number, and the rest is printed as a file that nodes read: to mend what somebody else wrote. A
/// name with two digests is left out altogether. No signature fits the file any more then.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    file: PathBuf,
    /// Leave out bad lines and tell them
    #[arg(long)]
    lenient: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the file says.
#[derive(Debug, Serialize)]
struct Read {
    best_before: Option<String>,
    files: Vec<(String, String)>,
    skipped: Vec<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let bytes = std::fs::read(&self.file)
            .map_err(|source| FileError::Read { path: self.file.clone(), source })?;
        let name = self.file.display();
        let (checksums, warnings, skipped) = match self.lenient {
            true => {
                let (checksums, warnings, skipped) = Checksums::parse_lenient(&bytes);
                let more = (skipped.more > 0).then(|| format!("{} more bad lines", skipped.more));
                let skipped = skipped.lines.iter().map(ToString::to_string).chain(more).collect();
                (checksums, warnings, skipped)
            }
            false => {
                let (checksums, warnings) = Checksums::parse(&bytes).with_context(|| name.to_string())?;
                (checksums, warnings, Vec::new())
            }
        };
        for warning in &warnings {
            super::say(format_args!("warning: {name}: {warning}"));
        }
        for skipped in &skipped {
            super::say(format_args!("left out: {name}: {skipped}"));
        }
        if self.json {
            let files = checksums.entries.iter().map(|entry| (entry.name.clone(), entry.sha256.to_string()));
            let best_before = checksums.best_before.map(|date| date.to_string());
            return super::print_json(&Read { best_before, files: files.collect(), skipped });
        }
        let text = checksums.render().with_context(|| name.to_string())?;
        super::print(text.lines().map(str::to_owned))
    }
}
