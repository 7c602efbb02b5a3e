//! Signing `SHA256SUMS` with OpenPGP, for the nodes whose updater knows nothing else.
//!
//! A signature is made in memory and admitted as a node would admit it, before anything is written.

use std::path::PathBuf;

use crate::keys::KeyError;

#[cfg(not(feature = "openpgp"))]
mod absent;
#[cfg(feature = "openpgp")]
mod key;

#[cfg(not(feature = "openpgp"))]
pub(crate) use absent::OpenPgpKey;
#[cfg(feature = "openpgp")]
pub(crate) use key::OpenPgpKey;

/// The armoured signature's name: the first that systemd-sysupdate 262 asks for, which saves it two requests.
pub(crate) const ARMORED: &str = "SHA256SUMS.sha256.asc";
/// The binary signature's name, which systemd-sysupdate 257 asks for.
pub(crate) const BINARY: &str = "SHA256SUMS.gpg";

/// One signature in both of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signatures {
    /// As text.
    pub(crate) armored: Vec<u8>,
    /// As bytes.
    pub(crate) binary: Vec<u8>,
}

/// Why there is no OpenPGP signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenPgpKeyError {
    #[error(transparent)]
    File(KeyError),
    #[error("{path} holds no OpenPGP secret key: {reason}", path = .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path} cannot be unlocked: {}", if *.given { "the password is another one" } else { "it is encrypted and no password was given" }, path = .path.display())]
    Locked { path: PathBuf, given: bool },
    #[error("{path} has no secret key that signs documents", path = .path.display())]
    NotForSigning { path: PathBuf },
    #[error("nodes would refuse a signature of {path}: {reason}", path = .path.display())]
    Refused { path: PathBuf, reason: String },
    #[cfg(not(feature = "openpgp"))]
    #[error("{path}: this build of bakery cannot sign with OpenPGP", path = .path.display())]
    Absent { path: PathBuf },
}

impl OpenPgpKeyError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::File(error) => return error.hint(),
                Self::Unreadable { .. } => "write it with `gpg --export-secret-keys KEY`",
                Self::Locked { .. } => "give --openpgp-password-file FILE",
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
