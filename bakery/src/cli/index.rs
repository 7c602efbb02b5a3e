//! `bakery index`

use std::path::PathBuf;

use jiff::Timestamp;

use super::output::{print_fields, print_json, say, warn};
use super::{Result, password};
use crate::failure::Failure;
use crate::keys::openpgp::OpenPgpKey;
use crate::keys::{Password, SigningKey};
use crate::release::compose::{Purpose, Request, Signers, compose};
use crate::release::drops::Drop;
use crate::release::identity::{Given, UrlChange, identify};
use crate::release::read;
use crate::store::{Overwrite, Store};

/// Create a signed release of everything in the store.
///
/// Reads every record and image, checks each digest, writes SHA256SUMS and the transfer files, and last the signed
/// catalog with the next serial number. An image that is on offer and no longer in the store is an error, unless --drop
/// names it.
///
/// Catalogs expire, so that nobody can keep nodes on an old one. Nodes warn after two thirds of the lifetime and reject
/// the catalog once it has expired: run `index --refresh` and `publish` on a timer when a third has passed. With
/// --valid-for, this also extends the date for stock tools.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store
    store: PathBuf,
    /// Directory with catalog.key, roots.json and NAME.toml
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Name of the repository [default: from NAME.toml in DIR, or from the last release]
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Base URL of the repository [default: from NAME.toml in DIR, or from the last release]
    #[arg(long)]
    url: Option<String>,
    /// Accept a URL that differs from the last release's
    #[arg(long)]
    change_url: bool,
    /// Sign with this catalog key instead of DIR/catalog.key (repeatable, if the root requires several signatures)
    #[arg(long = "key", value_name = "FILE")]
    key: Vec<PathBuf>,
    /// File with the catalog key's password (or set BAKERY_PASSWORD); give it once, or once for each --key in their
    /// order
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// Sign each SHA256SUMS for stock systemd-sysupdate with this OpenPGP secret key (`gpg --export-secret-keys`);
    /// transfer files then contain Verify=yes
    #[arg(long, value_name = "FILE")]
    openpgp_key: Option<PathBuf>,
    /// File with the OpenPGP key's password
    #[arg(long, value_name = "FILE", requires = "openpgp_key")]
    openpgp_password_file: Option<PathBuf>,
    /// Validity in days, also announced to stock systemd-sysupdate (which then refuses the release) [default: 30, not
    /// announced]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    valid_for: Option<u32>,
    /// Sign with this time instead of the current one
    #[arg(long, value_name = "TIMESTAMP")]
    now: Option<Timestamp>,
    /// Offer images whose contents changed after they were released
    #[arg(long)]
    replace: bool,
    /// Stop offering this version, which is no longer in the store (repeatable)
    #[arg(long = "drop", value_name = "NAME@VERSION", value_parser = drop, conflicts_with = "refresh")]
    drops: Vec<Drop>,
    /// Sign with fewer keys than the root requires: the release is pending until others have signed it with `bakery
    /// sign`
    #[arg(long)]
    unfinished: bool,
    /// Extend the current release without changing its contents
    #[arg(long, conflicts_with = "replace")]
    refresh: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn drop(text: &str) -> Result<Drop, String> {
    super::option_value(text.parse())
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let keys = self.signing_keys()?;
        let (roots, root) = read::roots(&self.keys.join("roots.json"))?;
        let openpgp = self.openpgp()?;
        let store = Store::new(&self.store);
        let given = Given {
            repository: self.repository.as_deref(),
            url: self.url.as_deref(),
            url_change: if self.change_url { UrlChange::Allow } else { UrlChange::Refuse },
        };
        let identity = identify(given, &self.keys, &root.role(), &store)?;
        let composed = compose(&Request {
            store: &store,
            repository: &identity.repository,
            url: &identity.url,
            keys: &keys,
            openpgp: openpgp.as_ref(),
            roots: &roots,
            root: &root,
            valid_for: self.valid_for,
            now: self.now.map_or_else(super::now, Ok)?,
            overwrite: if self.replace { Overwrite::Allow } else { Overwrite::Refuse },
            drops: &self.drops,
            purpose: if self.refresh { Purpose::Refresh } else { Purpose::Offer },
            signers: if self.unfinished { Signers::OthersLater } else { Signers::All },
        })?;
        for note in &composed.notes {
            warn(note);
        }
        if composed.missing > 0 {
            say(super::sign::pending(composed.missing, &self.store));
        }
        if self.json {
            return print_json(&composed);
        }
        let offered = composed.extensions.iter().map(|(name, images)| format!("{name} ({images})"));
        print_fields(&[
            ("repository", composed.repository.clone()),
            ("url", composed.url.clone()),
            ("serial", composed.serial.to_string()),
            ("issued", composed.issued.to_string()),
            ("expires", composed.expires.to_string()),
            ("signed by", composed.keys.join(", ")),
            ("OpenPGP", composed.openpgp.clone().unwrap_or_else(|| "not signed".to_owned())),
            ("sha256", composed.sha256.to_string()),
            ("extensions", offered.collect::<Vec<_>>().join(", ")),
        ])
    }

    fn openpgp(&self) -> Result<Option<OpenPgpKey>> {
        let Some(path) = &self.openpgp_key else { return Ok(None) };
        let password = self.openpgp_password_file.as_deref().map(Password::from_file).transpose()?;
        Ok(Some(OpenPgpKey::read(path, password.as_ref())?))
    }

    fn signing_keys(&self) -> Result<Vec<SigningKey>> {
        let own = [self.keys.join("catalog.key")];
        let paths = if self.key.is_empty() { &own[..] } else { &self.key };
        let files = &self.password_file;
        if files.len() > 1 && files.len() != paths.len() {
            return Err(Failure::new(format_args!(
                "{} password files were given for {} keys",
                files.len(),
                paths.len()
            ))
            .usage());
        }
        let read = |(index, path): (usize, &PathBuf)| {
            let file = files.get(index).or(files.first());
            password::unlock(path, file.map(PathBuf::as_path))
        };
        paths.iter().enumerate().map(read).collect()
    }
}
