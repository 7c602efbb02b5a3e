//! The program that bakes.
//! See `bakery --help`.

use std::process::ExitCode;

use bakery::cli::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    bakery::interrupt::watch();
    Cli::parse().run()
}
