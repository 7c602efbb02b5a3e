//! `bakery sign`

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::keys::openpgp::OpenPgpKey;
use crate::keys::{Password, SigningKey};
use crate::release::sign::{Release, Since, Summary};
use crate::store::Store;

/// Show what the release of a store says, then add a signature to it.
///
/// Where the root wants several signatures under a catalog, one holder runs `bakery index --unfinished` and hands
/// the store on; each of the others runs this with a key of their own. The release that waits is taken, else the
/// finished one. That the store holds what the release says is checked first; what is signed is never rewritten.
/// `bakery publish` refuses it until enough have signed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store
    store: PathBuf,
    /// The secret catalog key
    #[arg(long, value_name = "FILE", required_unless_present = "openpgp_key")]
    key: Option<PathBuf>,
    /// The file with the key's password (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
    /// Sign each SHA256SUMS for stock systemd-sysupdate with this OpenPGP secret key (`gpg --export-secret-keys`);
    /// the transfer files stay as they are and say Verify=no, unlike those of `bakery index --openpgp-key`
    #[arg(long, value_name = "FILE")]
    openpgp_key: Option<PathBuf>,
    /// The file with the OpenPGP key's password
    #[arg(long, value_name = "FILE", requires = "openpgp_key")]
    openpgp_password_file: Option<PathBuf>,
    /// Sign as if it were this time
    #[arg(long, value_name = "TIMESTAMP")]
    now: Option<Timestamp>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was signed.
#[derive(Debug, Serialize)]
struct Signed {
    #[serde(flatten)]
    release: Summary,
    key: Option<String>,
    openpgp: Option<String>,
    lists: Vec<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let store = Store::new(&self.store);
        let mut release = Release::open(&store, self.now.map_or_else(super::now, Ok)?)?;
        if !self.json {
            show(&release.summary()?)?;
        }
        let mut fields = Vec::new();
        let key = self.signing_key()?;
        if let Some(key) = &key {
            release.sign(key)?;
            fields.push(("signed now", key.public()));
        }
        let openpgp = self.openpgp()?;
        let mut lists = Vec::new();
        if let Some(key) = &openpgp {
            lists = release.sign_lists(key)?;
            fields
                .push(("OpenPGP", format!("{} under SHA256SUMS of {}", key.fingerprint(), lists.join(", "))));
        }
        let summary = release.summary()?;
        release.write()?;
        let left = summary.missing();
        if self.json {
            let (key, openpgp) =
                (key.as_ref().map(SigningKey::public), openpgp.as_ref().map(OpenPgpKey::fingerprint));
            super::print_json(&Signed { release: summary, key, openpgp, lists })?;
        } else {
            super::print_fields(&fields)?;
        }
        super::say(match left {
            0 => format!(
                "Enough have signed: `bakery publish {}` brings it to the nodes.",
                self.store.display()
            ),
            left => missing(left, &self.store),
        });
        Ok(())
    }

    fn signing_key(&self) -> Result<Option<SigningKey>> {
        let Some(path) = &self.key else { return Ok(None) };
        let password = super::password(self.password_file.as_deref())?;
        Ok(Some(SigningKey::read(path, password.as_ref())?))
    }

    fn openpgp(&self) -> Result<Option<OpenPgpKey>> {
        let Some(path) = &self.openpgp_key else { return Ok(None) };
        let password = self.openpgp_password_file.as_deref().map(Password::from_file).transpose()?;
        Ok(Some(OpenPgpKey::read(path, password.as_ref())?))
    }
}

/// What to say of a release that waits for signatures.
pub(super) fn missing(count: usize, store: &Path) -> String {
    let more = if count == 1 { "one more".to_owned() } else { format!("{count} more") };
    format!(
        "Not finished: {more} must sign. Hand the store on; the next holder of a catalog key runs `bakery sign {} \
         --key FILE`.",
        store.display()
    )
}

fn show(summary: &Summary) -> Result<()> {
    let mut fields = vec![
        ("repository", summary.repository.clone()),
        ("root", summary.root.to_string()),
        ("serial", summary.serial.to_string()),
        ("issued", summary.issued.to_string()),
        ("expires", summary.expires.to_string()),
        ("sha256", summary.sha256.to_string()),
    ];
    for (name, offered) in &summary.extensions {
        let (new, old): (Vec<_>, Vec<_>) = offered.iter().partition(|offered| offered.since == Since::Now);
        fields.push((
            "offers",
            match old.len() {
                0 => name.clone(),
                old => format!("{name}, {old} as before"),
            },
        ));
        fields.extend(new.iter().map(|offered| ("", format!("{} {}", offered.version, offered.sha256))));
    }
    fields.push(("signed by", format!("{}, {} must", summary.signed.len(), summary.threshold)));
    fields.extend(summary.signed.iter().map(|key| ("", key.clone())));
    super::print_fields(&fields)
}
