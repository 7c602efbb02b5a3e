//! `cargo quickstart`: see `cargo quickstart --help`.

use std::process::ExitCode;

use clap::Parser;
use tests::quickstart::{self, Options, Process, Reported};

/// Shows both programs at work on this machine: bakes a small extension, signs and publishes it, installs it into
/// a scratch root, updates it, ships a broken version, and shows the rollback. Removes everything afterwards.
///
/// Run as root it uses a private mount namespace. As an ordinary user it stops at the first step that needs root.
/// It uses the network only to download crates.
#[derive(Debug, Parser)]
#[command(name = "cargo quickstart", version, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    process: Option<Process>,
}

fn main() -> ExitCode {
    let Arguments { options, process } = Arguments::parse();
    match quickstart::run(&options, process.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<Reported>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
