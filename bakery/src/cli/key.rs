//! `bakery key`

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::keys::generate_single;

/// Make one key pair: NAME.key, which signs and stays secret, and NAME.pub, which `bakery root` takes.
///
/// Whoever holds a share of a repository makes a key alone, on a machine of their own, and hands over NAME.pub.
/// The files are minisign's.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The path of the files without .key and .pub
    name: PathBuf,
    /// Leave the secret key unencrypted; whoever can read the file can sign
    #[arg(long, conflicts_with = "password_file")]
    unencrypted: bool,
    /// Encrypt the secret key with the password in the first line of this file (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    key: String,
    files: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let password = super::protection(self.unencrypted, self.password_file.as_deref())?;
        let (key, files) = generate_single(&self.name, password.as_ref())?;
        if self.json {
            return super::print_json(&Made { key, files });
        }
        super::print_fields(&[("key", key)])?;
        super::print(files.iter().map(|file| file.display().to_string()))
    }
}
