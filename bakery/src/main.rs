//! The program that bakes.
//! See `bakery --help`.

use std::process::ExitCode;

use bakery::cli::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    Cli::parse().run()
}
