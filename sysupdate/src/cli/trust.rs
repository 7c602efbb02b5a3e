//! `trust`: shows and resets the trust state of repositories.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Status, warn};
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
    /// Show the configured keys and the last accepted root and catalog (default)
    ///
    /// Exits with 1 if a repository's file or its recorded state cannot be used.
    Show {
        /// Repository to show [default: all]
        repository: Option<String>,
    },
    /// Forget a repository's remembered root and serial
    ///
    /// A node records the last root, the highest serial and the latest signed time of a repository, and
    /// rejects anything older: a mirror or attacker cannot roll it back to a vulnerable version. After a reset
    /// it accepts the next catalog that is valid for the keys in /etc/sysupdate/repositories/REPO.toml, even if
    /// it is older or one of its root keys was revoked since. Reset a repository if its recorded state cannot
    /// be read, or if the publisher announces that the repository was created again; first compare the keys
    /// with the publisher's. Installed files do not change.
    Reset {
        /// Repository to reset
        repository: String,
    },
}

/// The state that was reset.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Reset<'a> {
    repository: &'a str,
    #[serde(flatten)]
    forgotten: Forgotten,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        match self.verb.unwrap_or(Verb::Show { repository: None }) {
            Verb::Show { repository } => show(context, repository),
            Verb::Reset { repository } => reset(context, &repository),
        }
    }
}

fn show(context: &Context, repository: Option<String>) -> Result<Status, Failure> {
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
    Ok(if standings.iter().all(Standing::is_usable) { Status::Success } else { Status::Failure })
}

fn reset(context: &Context, id: &str) -> Result<Status, Failure> {
    let _lock = context.lock("trust reset")?;
    let id = known(context, id.to_owned())?;
    let forgotten = repository::forget(&*context.host.store, &context.paths, &id)?;
    context.print(&Reset { repository: &id, forgotten }, || match forgotten {
        Forgotten::Nothing => format!("no recorded state for {id}\n"),
        Forgotten::Unreadable => format!("{id}: cleared unreadable state\n"),
        Forgotten::Marks { root, serial } => format!("{id}: cleared root {root}, serial {serial}\n"),
    })?;
    if forgotten != Forgotten::Nothing {
        let path = context.paths.repositories.join(format!("{id}.toml"));
        warn(format_args!(
            "the next catalog of {id} that is valid for the keys in {} is accepted, even if it is older",
            path.display()
        ));
    }
    Ok(Status::Success)
}

/// The repository, if it exists: any other name must not become a path.
fn known(context: &Context, id: String) -> Result<String, Failure> {
    let known = status::known(&*context.host.store, &context.paths)?;
    if known.contains(&id) {
        return Ok(id);
    }
    let known: Vec<String> = known.into_iter().collect();
    Err(Failure {
        error: format!("unknown repository {id:?}"),
        hint: Some(match known.is_empty() {
            true => format!("{} is empty", context.paths.repositories.display()),
            false => format!("known: {}", known.join(", ")),
        }),
    })
}
