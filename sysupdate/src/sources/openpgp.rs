//! The OpenPGP signatures of manifests, and the keys of this node.

use std::path::PathBuf;

use sysext_manifests::checksums::{Checksums, ChecksumsWarning};
use sysext_manifests::hint::Hint;
use sysext_manifests::openpgp::{
    KEYRING_LIMIT, Keyring, OpenPgpError, SIGNATURE_LIMIT, SignedChecksums, SignedChecksumsError,
};
use sysext_manifests::trust::{Claim, Verified};

use crate::acquire::{AcquireError, Fetcher, Small};
use crate::host::Host;
use crate::host::store::StoreError;
use crate::host::transport::without_password;
use crate::paths::Paths;
use crate::repository;

/// The endings of signatures, in the order in which systemd-sysupdate tries them.
const ENDINGS: [&str; 4] = [".sha256.asc", ".sha256.gpg", ".gpg", ".asc"];

/// How often a manifest and its signature are fetched while they do not match: a publisher cannot replace both at once.
const ATTEMPTS: u32 = 2;

/// Why a manifest has no valid signature.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SignatureFailure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {source}", path.display())]
    Keyring { path: PathBuf, source: OpenPgpError },
    #[error("this node has no OpenPGP keyring: {}", list(paths))]
    NoKeyring { paths: Vec<PathBuf> },
    #[error(transparent)]
    Fetch(AcquireError),
    #[error("{url}: the server sent nothing")]
    NotSent { url: String },
    #[error("{url} has no OpenPGP signature; not found: {}", tried.join(", "))]
    Missing { url: String, tried: Vec<String> },
    #[error("{url}: {source}")]
    Refused { url: String, source: SignedChecksumsError },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Hint for SignatureFailure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Keyring { source, .. } => source.hint(),
            Self::NoKeyring { paths } => Some(format!(
                "put the publisher's public key into {} (`gpg --export KEY`), or set Repository= to use a signed \
                 catalog instead",
                paths.first().map_or_else(String::new, |path| path.display().to_string())
            )),
            Self::Fetch(error) => error.hint(),
            Self::Missing { .. } => Some(
                "set Repository= to use a signed catalog, or Verify=no to accept the manifest unsigned"
                    .to_owned(),
            ),
            Self::Refused { source, .. } => source.hint(),
            Self::Store(_) | Self::NotSent { .. } => None,
        }
    }
}

/// The keys that may sign manifests on this node. They are read once, when the first manifest needs them.
#[derive(Debug, Default)]
pub struct Keys {
    keyring: Option<Keyring>,
}

/// A manifest with a valid signature.
#[derive(Debug)]
pub struct SignedList(SignedChecksums);

impl SignedList {
    /// The list.
    pub fn checksums(&self) -> &Checksums {
        self.0.checksums()
    }

    /// A claim about a file of the list; nothing if it is not listed.
    pub fn claim(&self, claim: Claim) -> Option<Verified<Claim>> {
        Verified::signed_list(&self.0, claim)
    }
}

impl Keys {
    /// Fetches a manifest and its signature, and verifies it. Returns warnings besides.
    pub fn fetch(
        &mut self,
        host: &Host,
        paths: &Paths,
        url: &str,
        limit: u64,
    ) -> Result<(SignedList, Vec<String>), SignatureFailure> {
        let mut warnings = Vec::new();
        let keyring = match &self.keyring {
            Some(keyring) => keyring,
            None => {
                let (keyring, found) = keyring(host, paths)?;
                warnings.extend(found);
                self.keyring.insert(keyring)
            }
        };
        let (list, found) = fetch(host, keyring, url, limit)?;
        let url = without_password(url);
        warnings.extend(found.iter().map(|warning| format!("{url}: {warning}")));
        Ok((SignedList(list), warnings))
    }
}

/// Reads the keyrings of this node. Returns warnings besides.
fn keyring(host: &Host, paths: &Paths) -> Result<(Keyring, Vec<String>), SignatureFailure> {
    let mut keyring = Keyring::default();
    let mut warnings = Vec::new();
    for names in &paths.keyrings {
        for path in names {
            let Some(bytes) = host.store.read(path, KEYRING_LIMIT)? else { continue };
            let (found, notes) = Keyring::parse(&bytes)
                .map_err(|source| SignatureFailure::Keyring { path: path.clone(), source })?;
            warnings.extend(notes.iter().map(|note| format!("{}: {note}", path.display())));
            keyring.merge(found);
            break;
        }
    }
    if keyring.is_empty() {
        return Err(SignatureFailure::NoKeyring {
            paths: paths.keyrings.iter().flatten().cloned().collect(),
        });
    }
    Ok((keyring, warnings))
}

fn fetch(
    host: &Host,
    keyring: &Keyring,
    url: &str,
    limit: u64,
) -> Result<(SignedChecksums, Vec<ChecksumsWarning>), SignatureFailure> {
    let shown = without_password(url);
    let mut attempt = 1;
    loop {
        let manifest = fetch_one(host, url, limit)?;
        let (signature_url, signature) = fetch_signature(host, url)?;
        let result = SignedChecksums::verify(&shown, &manifest, &signature, keyring, repository::now(host));
        let mismatch = matches!(&result, Err(SignedChecksumsError::Signature(OpenPgpError::Mismatch { .. })));
        if mismatch && attempt < ATTEMPTS {
            attempt += 1;
            host.clock.sleep(host.retry_policy.first_wait);
            continue;
        }
        return result.map_err(|source| match source {
            SignedChecksumsError::Signature(_) => {
                SignatureFailure::Refused { url: without_password(&signature_url), source }
            }
            SignedChecksumsError::Manifest(_) => SignatureFailure::Refused { url: shown, source },
        });
    }
}

/// The signature and its URL. The next name is only tried if the server does not have this one.
fn fetch_signature(host: &Host, manifest: &str) -> Result<(String, Vec<u8>), SignatureFailure> {
    let mut tried = Vec::new();
    for ending in ENDINGS {
        let url = format!("{manifest}{ending}");
        match fetch_one(host, &url, SIGNATURE_LIMIT) {
            Ok(bytes) => return Ok((url, bytes)),
            Err(SignatureFailure::Fetch(AcquireError::NotFound { .. })) => tried.push(without_password(&url)),
            Err(failure) => return Err(failure),
        }
    }
    Err(SignatureFailure::Missing { url: without_password(manifest), tried })
}

fn fetch_one(host: &Host, url: &str, limit: u64) -> Result<Vec<u8>, SignatureFailure> {
    let urls = [url.to_owned()];
    match Fetcher::of(host).small(&urls, limit, None).map_err(SignatureFailure::Fetch)? {
        Small::Fetched { bytes, .. } => Ok(bytes),
        Small::NotModified => Err(SignatureFailure::NotSent { url: without_password(url) }),
    }
}

#[cfg(test)]
mod tests;
