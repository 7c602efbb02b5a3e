//! `trust`: what this node believes of its repositories, and how to make it start afresh.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Ended};
use crate::failure::Failure;
use crate::repository::status::{self, Standing};
use crate::repository::{self, Forgotten};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the keys in /etc, the last root and catalog that were believed, and whether they fit together
    /// (what happens without a verb)
    ///
    /// The exit status is 1 if a repository's file or what is remembered of it cannot be used.
    Show {
        /// The repository; all of them otherwise
        repository: Option<String>,
    },
    /// Forget what was seen of a repository, so that the keys in /etc alone decide again
    ///
    /// A node remembers the last root, the highest serial and the latest signed time of a repository, and
    /// believes nothing older: neither a mirror nor a thief can take it back to a version with holes. After
    /// this the next catalog that the keys in /etc/sysupdate/repositories/REPO.toml lead to is believed,
    /// even if it is older and even if a root key in it was revoked since. Use it when what is remembered
    /// cannot be read, or when the publisher says that the repository started again; compare the keys with
    /// the publisher's first. Nothing that is installed changes.
    Reset {
        /// The repository
        repository: String,
    },
}

/// What was forgotten of which repository.
#[derive(Debug, Serialize)]
struct Reset<'a> {
    repository: &'a str,
    #[serde(flatten)]
    forgotten: Forgotten,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Ended, Failure> {
        match self.verb.unwrap_or(Verb::Show { repository: None }) {
            Verb::Show { repository } => show(context, repository),
            Verb::Reset { repository } => reset(context, &repository),
        }
    }
}

fn show(context: &Context, repository: Option<String>) -> Result<Ended, Failure> {
    let (store, paths) = (&*context.host.store, &context.paths);
    let ids = match repository {
        Some(id) => vec![known(context, id)?],
        None => status::known(store, paths)?.into_iter().collect(),
    };
    let standings: Vec<Standing> = ids.iter().map(|id| status::look(store, paths, id)).collect();
    context.print(&standings, || {
        let texts: Vec<String> = standings.iter().map(ToString::to_string).collect();
        texts.join("\n")
    })?;
    Ok(if standings.iter().all(Standing::is_usable) { Ended::Well } else { Ended::No })
}

fn reset(context: &Context, id: &str) -> Result<Ended, Failure> {
    let _lock = context.lock("trust reset")?;
    let id = known(context, id.to_owned())?;
    let forgotten = repository::forget(&*context.host.store, &context.paths, &id)?;
    context.print(&Reset { repository: &id, forgotten }, || match forgotten {
        Forgotten::Nothing => format!("nothing was remembered of {id}\n"),
        Forgotten::Unreadable => format!("{id}: forgot what could not be read\n"),
        Forgotten::Marks { root, serial } => format!("{id}: forgot root {root} and serial {serial}\n"),
    })?;
    if forgotten != Forgotten::Nothing {
        let path = context.paths.repositories.join(format!("{id}.toml"));
        eprintln!(
            "warning: the next catalog of {id} that the keys in {} lead to is believed, even if it is older",
            path.display()
        );
    }
    Ok(Ended::Well)
}

/// The repository, if there is one: whatever else is said must not become a path.
fn known(context: &Context, id: String) -> Result<String, Failure> {
    let known = status::known(&*context.host.store, &context.paths)?;
    if known.contains(&id) {
        return Ok(id);
    }
    let known: Vec<String> = known.into_iter().collect();
    Err(Failure {
        error: format!("there is no repository {id:?}"),
        hint: Some(match known.is_empty() {
            true => format!("{} has none", context.paths.repositories.display()),
            false => format!("there are: {}", known.join(", ")),
        }),
    })
}
