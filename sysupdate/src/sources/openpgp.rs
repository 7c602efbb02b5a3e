//! The OpenPGP signature beside a manifest, and the keys of this node that it may be made with.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::checksums::ChecksumsWarning;
use sysext_manifests::openpgp::{
    KEYRING_LIMIT, Keyring, OpenPgpError, SIGNATURE_LIMIT, SignedChecksums, SignedChecksumsError,
};

use crate::acquire::{AcquireError, Fetcher, Small};
use crate::host::Host;
use crate::host::store::StoreError;
use crate::host::transport::without_password;
use crate::paths::Paths;
use crate::repository::RELEASED;
use sysext_manifests::hint::Hint;

/// What follows the manifest's name, in the order in which systemd-sysupdate asks.
const ENDINGS: [&str; 4] = [".sha256.asc", ".sha256.gpg", ".gpg", ".asc"];

/// How often a manifest and its signature are fetched while they do not fit: a publisher cannot replace both at once.
const ATTEMPTS: u32 = 2;

/// Why a manifest's signature tells nothing, or that it must not be believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFailure {
    /// A keyring cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A keyring is none.
    #[error("{}: {source}", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OpenPgpError,
    },
    /// There are no keys on this node.
    #[error("there is no OpenPGP keyring on this node: {}", list(paths))]
    NoKeyring {
        /// Where one was looked for.
        paths: Vec<PathBuf>,
    },
    /// The manifest or its signature cannot be had.
    #[error(transparent)]
    Fetch(AcquireError),
    /// The server says that nothing changed, although it was not asked whether.
    #[error("{url}: the server sent nothing")]
    NotSent {
        /// What was asked for.
        url: String,
    },
    /// There is no signature.
    #[error("{url} has no OpenPGP signature; not found: {}", tried.join(", "))]
    Missing {
        /// The manifest.
        url: String,
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// The signature does not make the manifest believed.
    #[error("{url}: {source}")]
    Refused {
        /// The manifest, or its signature.
        url: String,
        /// Why.
        source: SignedChecksumsError,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Hint for SignatureFailure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Keyring { source, .. } => source.hint(),
            Self::NoKeyring { paths } => Some(format!(
                "put the publisher's public key into {} (`gpg --export KEY`), or say Repository= to trust a signed \
                 catalog instead",
                paths.first().map_or_else(String::new, |path| path.display().to_string())
            )),
            Self::Fetch(error) => error.hint(),
            Self::Missing { .. } => Some(
                "say Repository= to trust a signed catalog, or Verify=no to take the manifest as it comes"
                    .to_owned(),
            ),
            Self::Refused { source, .. } => source.hint(),
            Self::Store(_) | Self::NotSent { .. } => None,
        }
    }
}

/// The keys that may sign manifests on this node, and what is odd about them.
pub fn keyring(host: &Host, paths: &Paths) -> Result<(Keyring, Vec<String>), SignatureFailure> {
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

/// Fetches a manifest and its signature, and verifies it.
pub fn fetch(
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
        let result = SignedChecksums::verify(&shown, &manifest, &signature, keyring, now(host));
        let mismatch = matches!(&result, Err(SignedChecksumsError::Signature(OpenPgpError::Mismatch { .. })));
        if mismatch && attempt < ATTEMPTS {
            attempt += 1;
            host.clock.sleep(host.patience.first_wait);
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

/// The signature, and where it was found. Only a server that says it is not there is asked for the next.
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

/// It cannot be earlier than the program.
fn now(host: &Host) -> Timestamp {
    let shows = host.clock.now();
    RELEASED.parse().map_or(shows, |released: Timestamp| released.max(shows))
}

#[cfg(test)]
mod tests;
