//! The command line: one file per verb. Data goes to stdout, everything else to stderr.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::failure::{Failure, Hint, in_full};

mod bake;
mod checksums;
mod diff;
mod extract;
mod files;
mod index;
mod inspect;
mod key;
mod keygen;
mod output;
mod password;
mod progress;
mod publish;
mod root;
mod show;
mod sign;
mod verify;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Bakes signed, reproducible system extension images and publishes them.
#[derive(Debug, Parser)]
#[command(name = "bakery", version, about)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

// The help of each verb is the doc comment of its arguments: one here would replace it.
#[derive(Debug, Subcommand)]
enum Verb {
    Keygen(keygen::Args),
    Key(key::Args),
    Root(root::Args),
    Bake(bake::Args),
    Inspect(inspect::Args),
    Files(files::Args),
    Verify(verify::Args),
    Extract(extract::Args),
    Diff(diff::Args),
    Index(index::Args),
    Sign(sign::Args),
    Publish(publish::Args),
    Show(show::Args),
    Checksums(checksums::Args),
}

impl Cli {
    /// Runs the verb; an error goes to stderr, with a hint if there is one.
    pub fn run(self) -> ExitCode {
        if self.quiet {
            output::be_quiet();
        }
        let result = match self.verb {
            Verb::Keygen(args) => args.run(),
            Verb::Key(args) => args.run(),
            Verb::Root(args) => args.run(),
            Verb::Bake(args) => args.run(),
            Verb::Inspect(args) => args.run(),
            Verb::Files(args) => args.run(),
            Verb::Verify(args) => args.run(),
            Verb::Extract(args) => args.run(),
            // As in diff(1): 1 means different, so a failure needs another status.
            Verb::Diff(args) => match args.run() {
                Ok(diff::Comparison::Same) => Ok(()),
                Ok(diff::Comparison::Different) => return ExitCode::FAILURE,
                Err(failure) => Err(failure.usage()),
            },
            Verb::Index(args) => args.run(),
            Verb::Sign(args) => args.run(),
            Verb::Publish(args) => args.run(),
            Verb::Show(args) => args.run(),
            Verb::Checksums(args) => args.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                output::report(&failure);
                failure.status()
            }
        }
    }
}

/// A number of bytes, optionally with K, M or G for powers of 1024.
fn read_bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| "write a number of bytes, such as 4096, 64K, 512M or 2G".to_owned())
}

/// The value of an option, or an error with its hint: the parser of the command line shows one text.
fn option_value<T, E: Error + Hint>(read: Result<T, E>) -> Result<T, String> {
    read.map_err(|error| match error.hint() {
        Some(hint) => format!("{}\n  hint: {hint}", in_full(&error)),
        None => in_full(&error),
    })
}

/// The time in whole seconds: a signed document needs no more.
fn now() -> Result<Timestamp> {
    Timestamp::from_second(Timestamp::now().as_second())
        .map_err(|_| Failure::new("the system clock is out of range"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_and_option_has_help() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let hidden = |argument: &&clap::Arg| argument.get_help().is_none();
            assert_eq!(command.get_arguments().find(hidden).map(clap::Arg::get_id), None, "{name}");
            command.get_subcommands().for_each(check);
        }
        let command = Cli::command();
        check(&command);
        for verb in command.get_subcommands() {
            assert!(verb.get_long_about().is_some(), "{} needs more help", verb.get_name());
        }
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in [("0", 0), ("1K", 1024), ("2M", 2 << 20), ("3G", 3 << 30)] {
            assert_eq!(read_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1k", "1T", "-1", "1 K", "1.5G", "99999999999G", "1é"] {
            assert!(read_bytes(text).unwrap_err().contains("512M"), "{text}");
        }
    }
}
