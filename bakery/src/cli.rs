//! The command line: one verb per stage. Data goes to stdout, everything else to stderr.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use sysext_image::codec::CodecError;
use sysext_image::ddi;
use sysext_image::diff::DiffError;
use sysext_image::erofs::WriteError;
use sysext_image::extract::ExtractError;
use sysext_image::filesystem::FilesystemError;
use sysext_image::kernel::FloorError;
use sysext_image::tree::TreeError;
use sysext_manifests::architecture::UnknownArchitecture;
use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::hint::Hint as _;

use crate::bake::BakeError;
use crate::inspect::opened::OpenError;
use crate::keys::openpgp::OpenPgpKeyError;
use crate::keys::roots::RootError;
use crate::keys::{KeyError, PASSWORD_VARIABLE, Password};
use crate::naming::NamingError;
use crate::publish::PublishError;
use crate::recipe::RecipeError;
use crate::release::error::IndexError;
use crate::release::read::OfferError;
use crate::release::sign::SignError;
use crate::stage::StageError;
use crate::store::FileError;

mod bake;
mod checksums;
mod diff;
mod extract;
mod index;
mod inspect;
mod key;
mod keygen;
mod progress;
mod publish;
mod root;
mod sign;
mod verify;

/// Bakes signed, reproducible system extension images and publishes them.
#[derive(Debug, Parser)]
#[command(name = "bakery", version, about)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

// What each does stands beside its arguments: said here as well, it would take the place of that.
#[derive(Debug, Subcommand)]
enum Verb {
    Keygen(keygen::Args),
    Key(key::Args),
    Root(root::Args),
    Bake(bake::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Extract(extract::Args),
    Diff(diff::Args),
    Index(index::Args),
    Sign(sign::Args),
    Publish(publish::Args),
    Checksums(checksums::Args),
}

impl Cli {
    /// Does what was asked; an error goes to stderr, with a hint where there is one.
    pub fn run(self) -> ExitCode {
        // As of diff(1): different is no failure, and a failure is not taken for a difference.
        let mut failure = ExitCode::FAILURE;
        let outcome = match self.verb {
            Verb::Keygen(args) => args.run(),
            Verb::Key(args) => args.run(),
            Verb::Root(args) => args.run(),
            Verb::Bake(args) => args.run(),
            Verb::Inspect(args) => args.run(),
            Verb::Verify(args) => args.run(),
            Verb::Extract(args) => args.run(),
            Verb::Diff(args) => match args.run() {
                Ok(diff::Comparison::Same) => Ok(()),
                Ok(diff::Comparison::Different) => return ExitCode::FAILURE,
                Err(error) => {
                    failure = ExitCode::from(2);
                    Err(error)
                }
            },
            Verb::Index(args) => args.run(),
            Verb::Sign(args) => args.run(),
            Verb::Publish(args) => args.run(),
            Verb::Checksums(args) => args.run(),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                if error.is::<Usage>() {
                    failure = ExitCode::from(2);
                }
                say(format_args!("error: {error:#}"));
                if let Some(hint) = hint(&error) {
                    say(format_args!("hint: {hint}"));
                }
                failure
            }
        }
    }
}

/// Options that do not fit together, which ends as what the parser of the command line refuses.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Usage(BakeError);

impl Usage {
    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// A number of bytes, with K, M or G behind it for powers of 1024.
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

/// What an argument says, or why it does not, with the hint: the parser of the command line shows one text.
fn told<T, E: std::fmt::Display>(
    read: Result<T, E>,
    hint: impl Fn(&E) -> Option<String>,
) -> Result<T, String> {
    read.map_err(|error| match hint(&error) {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    })
}

/// What the reader can do, from the outermost error that knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        macro_rules! ask {
            ($($kind:ty),+) => { None$(.or_else(|| cause.downcast_ref::<$kind>()?.hint()))+ };
        }
        ask!(
            Usage,
            bake::OutputError,
            verify::Unsound,
            BakeError,
            IndexError,
            PublishError,
            KeyError,
            OfferError,
            RootError,
            SignError,
            OpenPgpKeyError,
            RecipeError,
            StageError,
            NamingError,
            FileError,
            OpenError,
            FilesystemError,
            ExtractError,
            DiffError,
            ddi::ReadError,
            TreeError,
            WriteError,
            CodecError,
            ChecksumsError,
            FloorError,
            UnknownArchitecture
        )
    })
}

/// Prints a result as one JSON document.
fn print_json<T: Serialize>(result: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(result).context("cannot write the result as JSON")?;
    print([text])
}

/// Prints lines of a label and a value under each other.
fn print_fields(fields: &[(&str, String)]) -> Result<()> {
    let width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    print(fields.iter().map(|(label, value)| format!("{label:width$}  {value}")))
}

/// Prints lines. A reader that went away, as `head` does, is an error and no panic.
fn print(lines: impl IntoIterator<Item = String>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    lines
        .into_iter()
        .try_for_each(|line| writeln!(stdout, "{}", harmless(&line)))
        .and_then(|()| stdout.flush())
        .context("cannot write to the standard output")
}

/// Says something on standard error. Nobody to read it is no reason to stop.
fn say(text: impl std::fmt::Display) {
    let _unread = writeln!(io::stderr(), "{}", harmless(&text.to_string()));
}

/// What a terminal shows and does not obey: names in images are anybody's.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() => {
                shown.extend(format!("\\x{:02x}", u32::from(character)).chars());
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// A number of bytes for people.
fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = None;
    let mut value = bytes as f64;
    for name in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(name);
    }
    match unit {
        None => format!("{bytes} bytes"),
        Some(unit) => format!("{value:.1} {unit} ({bytes} bytes)"),
    }
}

/// A number of things: one is not many.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The time, to the second: nobody needs more of it in a signed document.
fn now() -> Result<Timestamp> {
    Timestamp::from_second(Timestamp::now().as_second()).context("this machine's clock shows no date")
}

/// The keys' password: from the file if one is given, else from the environment, if it is there.
fn password(file: Option<&std::path::Path>) -> Result<Option<Password>> {
    Ok(match file {
        Some(file) => Some(Password::from_file(file)?),
        None => Password::from_environment()?,
    })
}

/// How new secret keys are protected: with a password unless the opposite was said.
fn protection(unencrypted: bool, file: Option<&std::path::Path>) -> Result<Option<Password>> {
    if unencrypted {
        return Ok(None);
    }
    match password(file)? {
        Some(password) => Ok(Some(password)),
        None => bail!(
            "nothing says how to protect the keys: give --password-file FILE, set {PASSWORD_VARIABLE}, or give --unencrypted"
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_that_is_known_of_a_verb_and_its_options_is_in_its_help() {
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
            assert!(verb.get_long_about().is_some(), "{} says too little", verb.get_name());
        }
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(show_bytes(1023), "1023 bytes");
        assert_eq!(show_bytes(74_788_864), "71.3 MiB (74788864 bytes)");
    }

    #[test]
    fn names_do_not_command_a_terminal() {
        assert_eq!(harmless("/usr/\x1b[31mé\x7f\u{9b}\r\n  a\tb"), "/usr/\\x1b[31mé\\x7f\\x9b\\x0d\n  a\tb");
    }

    #[test]
    fn one_is_not_many() {
        let told = [0, 1, 2].map(|number| count(number, "file", "files"));
        assert_eq!(told, ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn bytes_are_read_with_their_unit() {
        for (text, bytes) in [("0", 0), ("1K", 1024), ("2M", 2 << 20), ("3G", 3 << 30)] {
            assert_eq!(read_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1k", "1T", "-1", "1 K", "1.5G", "99999999999G", "1é"] {
            assert!(read_bytes(text).unwrap_err().contains("512M"), "{text}");
        }
    }

    #[test]
    fn a_hint_is_found_below_context() {
        let error = anyhow::Error::new(NamingError::Revision).context("cannot bake");
        assert_eq!(hint(&error).unwrap(), "the first bake of a version has revision 1");
        assert_eq!(hint(&anyhow::anyhow!("nothing known")), None);
    }
}
