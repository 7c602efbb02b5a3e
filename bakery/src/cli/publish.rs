//! `bakery publish`

use std::path::PathBuf;

use anyhow::Result;

use crate::publish::{Obsolete, Request, publish};
use crate::store::Store;

/// Copy the release of a store into a directory that a server serves.
///
/// Payloads go first and the catalog last; each file appears whole. Neither keys nor records are copied.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store
    store: PathBuf,
    /// The directory that is served
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Remove images that this store published and that the catalog no longer lists
    #[arg(long)]
    prune: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let published = publish(&Request {
            store: &Store::new(&self.store),
            target: &Store::new(&self.to),
            now: super::now()?,
            obsolete: if self.prune { Obsolete::Remove } else { Obsolete::Keep },
        })?;
        for note in &published.notes {
            super::say(format_args!("warning: {note}"));
        }
        if self.json {
            return super::print_json(&published);
        }
        let files = |number: usize| super::count(number as u64, "file", "files");
        super::print_fields(&[
            ("repository", published.repository.clone()),
            ("serial", published.serial.to_string()),
            ("expires", published.expires.to_string()),
            ("copied", format!("{}, {}", files(published.copied.len()), super::show_bytes(published.bytes))),
            ("unchanged", files(published.unchanged)),
            ("removed", files(published.removed.len())),
        ])?;
        super::print(published.copied.iter().map(|file| format!("+ {file}")))?;
        super::print(published.removed.iter().map(|file| format!("- {file}")))
    }
}
