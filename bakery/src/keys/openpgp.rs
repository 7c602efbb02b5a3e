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
pub use absent::OpenPgpKey;
#[cfg(feature = "openpgp")]
pub use key::OpenPgpKey;

/// The armoured signature's name: the first that systemd-sysupdate 262 asks for, which saves it two requests.
pub const ARMORED: &str = "SHA256SUMS.sha256.asc";
/// The binary signature's name, which systemd-sysupdate 257 asks for.
pub const BINARY: &str = "SHA256SUMS.gpg";

/// One signature in both of its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// As text.
    pub armored: Vec<u8>,
    /// As bytes.
    pub binary: Vec<u8>,
}

/// Why there is no OpenPGP signature.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpKeyError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(KeyError),
    /// No secret key in it.
    #[error("{path} holds no OpenPGP secret key: {reason}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is encrypted and there is no password, or another.
    #[error("{path} cannot be unlocked: {}", if *.given { "the password is another one" } else { "it is encrypted and no password was given" }, path = .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Whether there was a password.
        given: bool,
    },
    /// None of its keys signs documents.
    #[error("{path} has no secret key that signs documents", path = .path.display())]
    NotForSigning {
        /// The file.
        path: PathBuf,
    },
    /// No node would accept what it signs.
    #[error("nodes would refuse a signature of {path}: {reason}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This program was built without OpenPGP.
    #[error("{path}: this build of bakery cannot sign with OpenPGP", path = .path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
}

impl OpenPgpKeyError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::File(error) => return error.hint(),
                Self::Unreadable { .. } => "write it with `gpg --export-secret-keys KEY`",
                Self::Locked { .. } => "give --openpgp-password-file FILE",
                Self::NotForSigning { .. } => "add a signing subkey: `gpg --quick-add-key KEY default sign`",
                Self::Refused { .. } => return None,
                Self::Absent { .. } => "build it with the feature openpgp, which is on by default",
            }
            .to_owned(),
        )
    }
}

#[cfg(test)]
#[cfg(feature = "openpgp")]
mod tests;
