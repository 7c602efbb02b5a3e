//! OpenPGP: keyrings, and detached signatures over a manifest. No `gpg` is needed and no file is opened.
//!
//! This is stricter than systemd, which only looks at the exit status of `gpg --verify`: that is 0 even for a signature
//! of an expired or revoked key. Here a key must be valid at the time that is passed in. MD5, SHA-1 and RIPEMD-160 are
//! accepted in revocations only. Dates in the future are accepted: a clock that is behind must not lock a node out, and
//! an attacker gains nothing by it.

use std::collections::HashMap;

use jiff::Timestamp;

mod armor;
mod certificate;
mod error;
mod keyring;
mod packets;

pub use error::{KeyringNote, OpenPgpError, Unusable};
pub use keyring::Keyring;

use crate::checksums::{Checksums, ChecksumsError, ChecksumsWarning};
use crate::digest::Sha256;
use crate::hint::Hint;

/// The maximum size of a detached signature in bytes. One of RSA-4096 has about 600, armoured 900; a file may contain
/// several, or the certificate.
pub const SIGNATURE_LIMIT: u64 = 256 << 10;

/// The maximum size of a keyring in bytes. The one that Debian ships for other distributions has 46,992.
pub const KEYRING_LIMIT: u64 = 16 << 20;

/// The key that signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprint of the certificate, which is that of its primary key, in upper-case hexadecimal digits.
    pub certificate: String,
    /// The fingerprint of the key that signed: the primary key or a subkey.
    pub key: String,
    /// When the signature says it was made.
    pub made: Timestamp,
}

/// A `SHA256SUMS` with a valid signature. It can only be made by verifying one.
#[derive(Clone, Debug)]
pub struct SignedChecksums {
    url: String,
    signer: Signer,
    checksums: Checksums,
    /// The digests by name: a manifest may have 100,000 lines, each of which is looked up.
    by_name: HashMap<String, Sha256>,
}

/// Why a signed manifest is not trusted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SignedChecksumsError {
    #[error(transparent)]
    Signature(OpenPgpError),
    #[error(transparent)]
    Manifest(ChecksumsError),
}

impl Hint for SignedChecksumsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Signature(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
        }
    }
}

impl SignedChecksums {
    /// Verifies a manifest's signature and, only if it is valid, reads the manifest. The caller must still check that it
    /// has not expired.
    pub fn verify(
        url: &str,
        manifest: &[u8],
        signature: &[u8],
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<(Self, Vec<ChecksumsWarning>), SignedChecksumsError> {
        let signer = keyring.verify(manifest, signature, now).map_err(SignedChecksumsError::Signature)?;
        let (checksums, warnings) = Checksums::parse(manifest).map_err(SignedChecksumsError::Manifest)?;
        Ok((Self::new(url, signer, checksums), warnings))
    }

    fn new(url: &str, signer: Signer, checksums: Checksums) -> Self {
        let by_name = checksums.entries.iter().map(|entry| (entry.name.clone(), entry.sha256)).collect();
        Self { url: url.to_owned(), signer, checksums, by_name }
    }

    /// The manifest's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key that signed it.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The digest of a file.
    pub fn find(&self, name: &str) -> Option<Sha256> {
        self.by_name.get(name).copied()
    }

    /// The manifest.
    pub fn checksums(&self) -> &Checksums {
        &self.checksums
    }
}

#[cfg(test)]
mod tests;
