//! OpenPGP: keyrings, and detached signatures over a manifest. No `gpg` is needed and no file is opened.
//!
//! Stricter than `gpg --verify`, whose exit status, which is all that systemd looks at, is 0 for the signature
//! of an expired or revoked key too: here a key must hold at the time that is passed in. MD5, SHA-1 and
//! RIPEMD-160 count nowhere but in a revocation. What is dated in the future is accepted: a clock that
//! runs behind must not lock a node out, and would gain an attacker nothing.

use jiff::Timestamp;

mod armor;
mod certificate;
mod error;
mod keyring;
mod packets;

pub use error::{KeyringNote, OpenPgpError, Unusable};
pub use keyring::Keyring;

use crate::checksums::{Checksums, ChecksumsError, ChecksumsWarning};
use crate::hint::Hint;

/// How long a detached signature may be, in bytes: RSA-4096 takes about 600, armoured 900; a publisher may
/// put a few side by side, or the certificate into it.
pub const SIGNATURE_LIMIT: u64 = 256 << 10;

/// How long a keyring may be, in bytes: the one that Debian ships for other distributions has 46,992.
pub const KEYRING_LIMIT: u64 = 16 << 20;

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprint of the certificate, which is that of its primary key, in upper-case hexadecimal digits.
    pub certificate: String,
    /// The fingerprint of the key that signed: the same, or that of a subkey.
    pub key: String,
    /// When, if the signature is to be believed.
    pub made: Timestamp,
}

/// A `SHA256SUMS` whose signature holds. There is no other way to make one than to verify it.
#[derive(Clone, Debug)]
pub struct SignedChecksums {
    url: String,
    signer: Signer,
    checksums: Checksums,
}

/// Why a signed manifest is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignedChecksumsError {
    /// Its signature does not hold.
    #[error(transparent)]
    Signature(OpenPgpError),
    /// It is signed, and no manifest.
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
    /// Verifies a manifest's signature and, only if it holds, reads the manifest. Freshness is still to be
    /// checked.
    pub fn verify(
        url: &str,
        manifest: &[u8],
        signature: &[u8],
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<(Self, Vec<ChecksumsWarning>), SignedChecksumsError> {
        let signer = keyring.verify(manifest, signature, now).map_err(SignedChecksumsError::Signature)?;
        let (checksums, warnings) = Checksums::parse(manifest).map_err(SignedChecksumsError::Manifest)?;
        Ok((Self { url: url.to_owned(), signer, checksums }, warnings))
    }

    /// Where the manifest was fetched.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who signed it.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// What it says.
    pub fn checksums(&self) -> &Checksums {
        &self.checksums
    }
}

#[cfg(test)]
mod tests;
