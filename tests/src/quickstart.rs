//! Command one: the whole loop, from a directory to a live extension and back, with the two real
//! programs, on a root that is made for it and gone afterwards.
//!
//! Four processes play it. The *keeper*, which was started, makes the scratch directory and removes it.
//! The *sweeper* removes it instead if the keeper is killed. The *door* leaves the host's mounts and
//! processes behind, and the *player* behind it does everything else. Where the kernel lets nobody through
//! the door, the player goes without, as far as it gets.

use std::path::PathBuf;

mod keeper;
mod node;
mod play;
mod private;
mod program;
mod publisher;
mod slide;
mod sweeper;

pub use keeper::copy_program;
pub use play::Way;

/// What was wrong has been said already, by another process of the story.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the story ended early")]
pub struct Said;

/// What the quickstart may be told. It needs none of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Leave the directory behind, to look at
    #[arg(long)]
    keep: bool,
    /// Use the programs in this directory instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Bake the updater from this recipe instead of the checkout's
    #[arg(long, value_name = "DIR")]
    recipe: Option<PathBuf>,
}

/// The parts that the quickstart gives to itself; nobody else has a use for them.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Part {
    /// Removes the directory when standard input ends
    #[command(hide = true)]
    Sweep {
        /// The directory
        directory: PathBuf,
    },
    /// Leaves the host's mounts and processes, then plays
    #[command(hide = true)]
    Door {
        /// The directory
        directory: PathBuf,
    },
    /// Bakes, publishes, updates
    #[command(hide = true)]
    Play {
        /// The directory
        directory: PathBuf,
        /// Through the door, or without
        way: Way,
    },
}

/// Plays a part; the keeper's, if none is named.
pub fn run(options: &Options, part: Option<&Part>) -> anyhow::Result<()> {
    match part {
        None => keeper::keep(options),
        Some(Part::Sweep { directory }) => sweeper::sweep(directory),
        Some(Part::Door { directory }) => private::leave(directory),
        Some(Part::Play { directory, way }) => play::play(directory, *way),
    }
}
