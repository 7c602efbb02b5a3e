//! `bakery sign`

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::output::{print_fields, print_json, say};
use super::{Result, password};
use crate::keys::openpgp::OpenPgpKey;
use crate::keys::{Password, SigningKey};
use crate::release::sign::{Release, Summary};
use crate::store::Store;

/// Show what the release of a store offers, then add a signature to it.
///
/// If the root requires several signatures for a catalog, one holder runs `bakery index --unfinished` and passes the
/// store on; each of the others runs this command with their own key. Uses the pending release if there is one,
/// otherwise the finished one. The store must contain what the release offers; signed bytes are never changed.
/// `bakery publish` refuses the release until it has all required signatures.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store
    store: PathBuf,
    /// The secret catalog key
    #[arg(long, value_name = "FILE", required_unless_present = "openpgp_key")]
    key: Option<PathBuf>,
    /// File with the key's password (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
    /// Sign each SHA256SUMS for stock systemd-sysupdate with this OpenPGP secret key (`gpg --export-secret-keys`);
    /// the transfer files keep Verify=no, unlike those of `bakery index --openpgp-key`
    #[arg(long, value_name = "FILE")]
    openpgp_key: Option<PathBuf>,
    /// File with the OpenPGP key's password
    #[arg(long, value_name = "FILE", requires = "openpgp_key")]
    openpgp_password_file: Option<PathBuf>,
    /// Sign with this time instead of the current one
    #[arg(long, value_name = "TIMESTAMP")]
    now: Option<Timestamp>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

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
            fields.push(("OpenPGP", format!("{} (SHA256SUMS of {})", key.fingerprint(), lists.join(", "))));
        }
        let summary = release.summary()?;
        release.write()?;
        let missing = summary.missing();
        if self.json {
            let (key, openpgp) =
                (key.as_ref().map(SigningKey::public), openpgp.as_ref().map(OpenPgpKey::fingerprint));
            print_json(&Signed { release: summary, key, openpgp, lists })?;
        } else {
            print_fields(&fields)?;
        }
        say(match missing {
            0 => {
                format!("Fully signed. Run `bakery publish {} --to DIR` to deliver it.", self.store.display())
            }
            missing => pending(missing, &self.store),
        });
        Ok(())
    }

    fn signing_key(&self) -> Result<Option<SigningKey>> {
        let Some(path) = &self.key else { return Ok(None) };
        password::unlock(path, self.password_file.as_deref()).map(Some)
    }

    fn openpgp(&self) -> Result<Option<OpenPgpKey>> {
        let Some(path) = &self.openpgp_key else { return Ok(None) };
        let password = self.openpgp_password_file.as_deref().map(Password::from_file).transpose()?;
        Ok(Some(OpenPgpKey::read(path, password.as_ref())?))
    }
}

/// The next step for a release that lacks signatures.
pub(super) fn pending(count: usize, store: &Path) -> String {
    let more = match count {
        1 => "one more signature is".to_owned(),
        count => format!("{count} more signatures are"),
    };
    format!(
        "Pending: {more} required. Pass the store on; the next holder of a catalog key runs `bakery sign {} --key FILE`.",
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
        let (new, old): (Vec<_>, Vec<_>) = offered.iter().partition(|offered| offered.is_new);
        fields.push((
            "offers",
            match old.len() {
                0 => name.clone(),
                old => format!("{name}, {old} unchanged"),
            },
        ));
        fields.extend(
            new.iter()
                .map(|offered| ("", format!("{} {} {}", offered.version, offered.arch, offered.sha256))),
        );
    }
    fields.push(("signatures", format!("{} of {} required", summary.signed.len(), summary.threshold)));
    fields.extend(summary.signed.iter().map(|key| ("", key.clone())));
    print_fields(&fields)
}
