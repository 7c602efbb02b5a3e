//! Generates the manual pages and shell completions of both programs: see `tests::manuals`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Write the manual pages and shell completions of bakery and sysupdate
///
/// DIR/man/man1 can be added to MANPATH or copied to /usr/share/man/man1. DIR/completions has one file per program
/// and shell: PROGRAM for bash (/usr/share/bash-completion/completions), PROGRAM.fish for fish
/// (/usr/share/fish/vendor_completions.d) and _PROGRAM for zsh (/usr/share/zsh/site-functions).
#[derive(Debug, Parser)]
#[command(name = "manuals")]
struct Arguments {
    /// Directory to write to (created if missing)
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

fn main() -> Result<()> {
    let written = tests::manuals::write(&Arguments::parse().directory)?;
    println!("wrote {} files", written.len());
    Ok(())
}
