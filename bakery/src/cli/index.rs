//! `bakery index`

use std::path::PathBuf;

use anyhow::{Result, ensure};
use jiff::Timestamp;

use crate::keys::openpgp::OpenPgpKey;
use crate::keys::{Password, SigningKey};
use crate::release::compose::{Purpose, Request, Signers, index};
use crate::release::read;
use crate::store::{Overwrite, Store};

/// Make a signed release of everything in a store.
///
/// Reads every record and image, checks each digest, writes SHA256SUMS and the transfer files, and last
/// the signed catalog with the next serial.
///
/// A catalog ends, so that nobody can hold nodes back with an old one. Nodes warn when two thirds of its life
/// are over and refuse it when it has ended: run `index --refresh` and `publish` at a third of it, on a timer.
/// Nothing is baked then, and with --valid-for the date for stock tools moves as well.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store
    store: PathBuf,
    /// The repository's name
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Where nodes find the repository
    #[arg(long)]
    url: String,
    /// The directory with catalog.key and roots.json
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Sign with this catalog key instead of the one in DIR; repeat it if the root wants several signatures
    #[arg(long = "key", value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The file with the catalog key's password (or set BAKERY_PASSWORD); given several times, one for each
    /// --key in their order, else the same for all
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// Sign each SHA256SUMS for stock systemd-sysupdate with this OpenPGP secret key (`gpg --export-secret-keys`);
    /// transfer files then say Verify=yes
    #[arg(long, value_name = "FILE")]
    openpgp_key: Option<PathBuf>,
    /// The file with the OpenPGP key's password
    #[arg(long, value_name = "FILE", requires = "openpgp_key")]
    openpgp_password_file: Option<PathBuf>,
    /// Vouch for that many days, also towards stock systemd-sysupdate, which fails afterwards; without it the
    /// catalog lives 30 days and stock tools are told no date
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    valid_for: Option<u32>,
    /// Sign as if it were this time
    #[arg(long, value_name = "TIMESTAMP")]
    now: Option<Timestamp>,
    /// Offer images that changed under their name after they were offered
    #[arg(long)]
    replace: bool,
    /// Sign with fewer keys than the root wants: the release waits in the store until others have added their
    /// signatures with `bakery sign`
    #[arg(long)]
    unfinished: bool,
    /// Offer for longer what is on offer already, and refuse to offer anything else
    #[arg(long, conflicts_with = "replace")]
    refresh: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn openpgp(&self) -> Result<Option<OpenPgpKey>> {
        let Some(path) = &self.openpgp_key else { return Ok(None) };
        let password = self.openpgp_password_file.as_deref().map(Password::from_file).transpose()?;
        Ok(Some(OpenPgpKey::read(path, password.as_ref())?))
    }

    pub(super) fn run(self) -> Result<()> {
        let keys = self.signing_keys()?;
        let (roots, root) = read::roots(&self.keys.join("roots.json"))?;
        let openpgp = self.openpgp()?;
        let indexed = index(&Request {
            store: &Store::new(&self.store),
            repository: &self.repository,
            url: &self.url,
            keys: &keys,
            openpgp: openpgp.as_ref(),
            roots: &roots,
            root: &root,
            valid_for: self.valid_for,
            now: self.now.map_or_else(super::now, Ok)?,
            overwrite: if self.replace { Overwrite::Allow } else { Overwrite::Refuse },
            purpose: if self.refresh { Purpose::Refresh } else { Purpose::Offer },
            signers: if self.unfinished { Signers::OthersLater } else { Signers::All },
        })?;
        for note in &indexed.notes {
            super::say(format_args!("warning: {note}"));
        }
        if indexed.missing > 0 {
            super::say(super::sign::missing(indexed.missing, &self.store));
        }
        if self.json {
            return super::print_json(&indexed);
        }
        let offered = indexed.extensions.iter().map(|(name, images)| format!("{name} ({images})"));
        let openpgp = indexed.openpgp.clone().unwrap_or_else(|| "nobody".to_owned());
        super::print_fields(&[
            ("repository", indexed.repository.clone()),
            ("serial", indexed.serial.to_string()),
            ("issued", indexed.issued.to_string()),
            ("expires", indexed.expires.to_string()),
            ("signed by", indexed.keys.join(", ")),
            ("OpenPGP", openpgp),
            ("sha256", indexed.sha256.to_string()),
            ("extensions", offered.collect::<Vec<_>>().join(", ")),
        ])
    }

    fn signing_keys(&self) -> Result<Vec<SigningKey>> {
        let own = [self.keys.join("catalog.key")];
        let paths = if self.key.is_empty() { &own[..] } else { &self.key };
        let files = &self.password_file;
        ensure!(
            files.len() <= 1 || files.len() == paths.len(),
            "{} password files were given for {} keys",
            files.len(),
            paths.len()
        );
        let read = |(index, path): (usize, &PathBuf)| {
            let file = files.get(index).or(files.first());
            let password = super::password(file.map(PathBuf::as_path))?;
            Ok(SigningKey::read(path, password.as_ref())?)
        };
        paths.iter().enumerate().map(read).collect()
    }
}
