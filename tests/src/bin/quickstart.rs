//! `cargo quickstart`: see `cargo quickstart --help`.

use std::process::ExitCode;

use clap::Parser;
use tests::quickstart::{self, Options, Part};

/// Shows the whole loop on this machine: bakes the updater as an extension, signs and publishes it, updates
/// a scratch root to it, ships a second version and a sick third one, and removes every trace.
///
/// As root it takes place among mounts that nobody else sees. As an ordinary user it goes as far as the
/// kernel allows. Neither needs a network, once the crates are there.
#[derive(Debug, Parser)]
#[command(name = "cargo quickstart", version, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    part: Option<Part>,
}

fn main() -> ExitCode {
    let Arguments { options, part } = Arguments::parse();
    match quickstart::run(&options, part.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Another process of this story has said what was wrong.
            if !error.is::<quickstart::Said>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
