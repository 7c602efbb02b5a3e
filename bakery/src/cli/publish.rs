//! `bakery publish`

use std::path::PathBuf;

use super::Result;
use super::output::{count, print, print_fields, print_json, size, warn};
use crate::publish::{Obsolete, Request, Unindexed, publish};
use crate::release::drops::Drop;
use crate::store::Store;

/// Copy the release of a store into a directory that a server serves.
///
/// Images are copied first, the catalog last; every file is replaced atomically. Neither keys nor records are copied.
/// Refused if the store contains images that are not on offer, and if the directory offers images that the release
/// does not contain and that were not dropped with `bakery index --drop`.
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
    /// Publish although the store contains images that are not on offer
    #[arg(long)]
    allow_unindexed: bool,
    /// Stop offering this version, which another publisher released (repeatable)
    #[arg(long = "drop", value_name = "NAME@VERSION", value_parser = super::index::drop)]
    drops: Vec<Drop>,
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
            unindexed: if self.allow_unindexed { Unindexed::Allow } else { Unindexed::Refuse },
            drops: &self.drops,
        })?;
        for note in &published.notes {
            warn(note);
        }
        if self.json {
            return print_json(&published);
        }
        let files = |number: usize| count(number as u64, "file", "files");
        print_fields(&[
            ("repository", published.repository.clone()),
            ("serial", published.serial.to_string()),
            ("expires", published.expires.to_string()),
            ("copied", format!("{}, {}", files(published.copied.len()), size(published.bytes))),
            ("unchanged", files(published.unchanged)),
            ("removed", files(published.removed.len())),
        ])?;
        print(published.copied.iter().map(|file| format!("+ {file}")))?;
        print(published.removed.iter().map(|file| format!("- {file}")))
    }
}
