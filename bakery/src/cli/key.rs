//! `bakery key`

use std::path::PathBuf;

use serde::Serialize;

use super::Result;
use super::output::{print, print_fields, print_json};
use crate::keys::generate_single;

/// Generate one key pair: NAME.key (secret) and NAME.pub (public, for `bakery root`).
///
/// Where several people hold keys, each generates a key on their own machine and hands over NAME.pub.
/// The files have minisign's format.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Path of the key pair, without the .key or .pub suffix
    name: PathBuf,
    /// Leave the secret key unencrypted; anyone who can read the file can sign
    #[arg(long, conflicts_with = "password_file")]
    unencrypted: bool,
    /// Encrypt the secret key with the password in the first line of this file (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Generated {
    key: String,
    files: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let password = super::password::for_new_keys(self.unencrypted, self.password_file.as_deref())?;
        let (key, files) = generate_single(&self.name, password.as_ref())?;
        if self.json {
            return print_json(&Generated { key, files });
        }
        print_fields(&[("key", key)])?;
        print(files.iter().map(|file| file.display().to_string()))
    }
}
