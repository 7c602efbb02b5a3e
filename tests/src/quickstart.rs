//! `cargo quickstart`: shows what the two programs do, from a recipe to a rollback, in a scratch directory that
//! it removes at the end.
//!
//! Three processes do this. The *supervisor*, which the user started, builds the programs and starts the other
//! two. The *cleanup* process removes the directory when the supervisor ends, even if it is killed. The
//! *scenario* bakes, publishes and updates in a *sandbox*, from which no mount and no process escapes. Where the
//! kernel denies the sandbox, the scenario stops before the merge.

use std::path::PathBuf;

mod cleanup;
mod node;
mod output;
mod program;
mod publisher;
mod sandbox;
mod scenario;
mod supervisor;

pub use sandbox::Sandbox;

/// Another process of the quickstart has already reported what went wrong.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the scenario failed")]
pub struct Reported;

/// The options of the quickstart. All of them are optional.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print every command with its output
    #[arg(short, long)]
    verbose: bool,
    /// Keep the scratch directory
    #[arg(long)]
    keep: bool,
    /// Use the programs in this directory instead of building them: bakery, sysupdate and hello
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// The processes that the quickstart starts.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Process {
    /// Removes the directory when standard input is closed
    #[command(hide = true)]
    Cleanup {
        /// The scratch directory
        directory: PathBuf,
    },
    /// Bakes, publishes, updates and rolls back
    #[command(hide = true)]
    Scenario {
        /// The scratch directory
        directory: PathBuf,
        /// Whether the process is in a sandbox
        sandbox: Sandbox,
    },
}

/// Runs one of the processes; without a name, the supervisor.
pub fn run(options: &Options, process: Option<&Process>) -> anyhow::Result<()> {
    match process {
        None => supervisor::run(options),
        Some(Process::Cleanup { directory }) => cleanup::run(directory),
        Some(Process::Scenario { directory, sandbox }) => scenario::run(directory, *sandbox, options.verbose),
    }
}
