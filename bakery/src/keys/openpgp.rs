//! Signing `SHA256SUMS` with OpenPGP, for stock systemd-sysupdate.
//!
//! A signature is made in memory and verified as a node verifies it, before anything is written.

use std::path::PathBuf;

use crate::failure::Hint;
use crate::keys::KeyError;

#[cfg(not(feature = "openpgp"))]
mod absent;
#[cfg(feature = "openpgp")]
mod key;

#[cfg(not(feature = "openpgp"))]
pub(crate) use absent::OpenPgpKey;
#[cfg(feature = "openpgp")]
pub(crate) use key::OpenPgpKey;

/// The name of the armoured signature: the first one that systemd-sysupdate 262 requests.
pub(crate) const ARMORED: &str = "SHA256SUMS.sha256.asc";
/// The name of the binary signature, which systemd-sysupdate 257 requests.
pub(crate) const BINARY: &str = "SHA256SUMS.gpg";

/// One signature in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signatures {
    pub(crate) armored: Vec<u8>,
    pub(crate) binary: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(feature = "openpgp"), expect(dead_code, reason = "such a build reads no key"))]
pub(crate) enum OpenPgpKeyError {
    #[error(transparent)]
    File(KeyError),
    #[error("{path} does not contain a usable OpenPGP secret key: {reason}", path = .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path} cannot be unlocked: {}", if *.given { "wrong password" } else { "it is encrypted, but no password was given" }, path = .path.display())]
    Locked { path: PathBuf, given: bool },
    #[error("{path} contains no secret key for signing", path = .path.display())]
    NotForSigning { path: PathBuf },
    #[error("nodes would reject signatures made with {path}: {reason}", path = .path.display())]
    Refused { path: PathBuf, reason: String },
    #[cfg(not(feature = "openpgp"))]
    #[error("{path}: this build of bakery cannot sign with OpenPGP", path = .path.display())]
    Absent { path: PathBuf },
}

impl Hint for OpenPgpKeyError {
    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::File(error) => return error.hint(),
                Self::Unreadable { .. } => "write it with `gpg --export-secret-keys KEY`",
                Self::Locked { .. } => "pass --openpgp-password-file FILE",
                Self::NotForSigning { .. } => "add a signing subkey: `gpg --quick-add-key KEY default sign`",
                Self::Refused { .. } => return None,
                #[cfg(not(feature = "openpgp"))]
                Self::Absent { .. } => "build it with the feature openpgp, which is on by default",
            }
            .to_owned(),
        )
    }
}

#[cfg(test)]
#[cfg(feature = "openpgp")]
mod tests;
