//! `bakery keygen`

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::keys::{Request, expiry, generate};
use crate::naming;

/// Make the keys of a repository, and the file with which a node trusts it.
///
/// The root key says which keys may sign catalogs: keep it offline. The catalog key and roots.json are
/// what `bakery index` needs. NAME.toml goes to the nodes.
///
/// Where several people hold root keys, each makes one with `bakery key`, and `bakery root init` binds them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the keys go; made for you alone if it is missing
    directory: PathBuf,
    /// The repository's name
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Where nodes find the repository
    #[arg(long)]
    url: String,
    /// Leave the secret keys unencrypted; whoever can read the files can sign
    #[arg(long, conflicts_with = "password_file")]
    unencrypted: bool,
    /// Encrypt the secret keys with the password in the first line of this file (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// For how many days the root is believed
    #[arg(long, value_name = "DAYS", default_value_t = 1825, value_parser = clap::value_parser!(u32).range(1..))]
    root_expires_in: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        naming::check_repository(&self.repository)?;
        let password = super::protection(self.unencrypted, self.password_file.as_deref())?;
        let expires = expiry(super::now()?, self.root_expires_in)
            .with_context(|| format!("{} days from now is no date", self.root_expires_in))?;
        let made = generate(&Request {
            directory: &self.directory,
            repository: &self.repository,
            url: &self.url,
            password: password.as_ref(),
            expires,
        })?;
        if self.json {
            return super::print_json(&made);
        }
        super::print_fields(&[
            ("repository", self.repository.clone()),
            ("root key", made.root),
            ("catalog key", made.catalog),
            ("root expires", made.expires.to_string()),
        ])?;
        super::print(made.files.iter().map(|file| file.display().to_string()))?;
        super::say(format_args!(
            "Keep root.key offline. `bakery index --keys` needs catalog.key and roots.json."
        ));
        super::say(format_args!(
            "Nodes need {0}.toml as /etc/sysupdate/repositories/{0}.toml.",
            self.repository
        ));
        Ok(())
    }
}
