//! `bakery keygen`

use std::path::PathBuf;

use super::Result;
use super::output::{print, print_fields, print_json, say};
use crate::keys::{Request, expiry, generate};
use crate::naming;

/// Generate a repository's keys and the file that makes nodes trust it.
///
/// The root key decides which keys may sign catalogs: keep it offline. `bakery index` needs the catalog key and
/// roots.json. NAME.toml goes to the nodes.
///
/// Where several people hold root keys, each generates one with `bakery key`; combine them with `bakery root init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory for the keys (created with mode 0700 if missing)
    directory: PathBuf,
    /// Name of the repository
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Base URL of the repository
    #[arg(long)]
    url: String,
    /// Leave the secret keys unencrypted; anyone who can read the files can sign
    #[arg(long, conflicts_with = "password_file")]
    unencrypted: bool,
    /// Encrypt the secret keys with the password in the first line of this file (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Validity of the root, in days
    #[arg(long, value_name = "DAYS", default_value_t = 1825, value_parser = clap::value_parser!(u32).range(1..))]
    root_expires_in: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        naming::check_repository(&self.repository)?;
        let password = super::password::for_new_keys(self.unencrypted, self.password_file.as_deref())?;
        let generated = generate(&Request {
            directory: &self.directory,
            repository: &self.repository,
            url: &self.url,
            password: password.as_ref(),
            expires: expiry(super::now()?, self.root_expires_in)?,
        })?;
        if self.json {
            return print_json(&generated);
        }
        print_fields(&[
            ("repository", self.repository.clone()),
            ("root key", generated.root),
            ("catalog key", generated.catalog),
            ("root expires", generated.expires.to_string()),
        ])?;
        print(generated.files.iter().map(|file| file.display().to_string()))?;
        say("Keep root.key offline. `bakery index --keys` needs catalog.key, roots.json and the TOML file.");
        say(format_args!("Nodes need {0}.toml as /etc/sysupdate/repositories/{0}.toml.", self.repository));
        Ok(())
    }
}
