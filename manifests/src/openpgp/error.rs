//! Why an OpenPGP keyring or signature is of no use.

use std::fmt;

use jiff::Timestamp;

use crate::hint::Hint;

/// Why a keyring or a signature is not accepted. Keys are named by their fingerprints.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenPgpError {
    /// No certificates could be read.
    #[error("not an OpenPGP keyring: {reason}")]
    Keyring {
        /// Why not.
        reason: String,
    },
    /// No signature could be read.
    #[error("not an OpenPGP signature: {reason}")]
    Signature {
        /// Why not.
        reason: String,
    },
    /// More signatures than anyone makes.
    #[error("{found} OpenPGP signatures, at most {limit} are looked at")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// No key of the keyring.
    #[error("signed by {}, and the keyring has no such key", if signers.is_empty() { "nobody it names".to_owned() } else { signers.join(", ") })]
    Stranger {
        /// The keys that claim to have signed: fingerprints, or key identifiers where there is no more.
        signers: Vec<String>,
    },
    /// Other bytes were signed.
    #[error("the signature of OpenPGP key {key} does not fit")]
    Mismatch {
        /// The key.
        key: String,
    },
    /// Signed with a hash that can be forged.
    #[error("the signature of OpenPGP key {key} uses {hash}, which is not safe any more")]
    WeakHash {
        /// The key.
        key: String,
        /// The hash.
        hash: String,
    },
    /// A signature that covers something else than a document, or in a way that is not known here.
    #[error("the signature of OpenPGP key {key} {defect}")]
    Unsuitable {
        /// The key.
        key: String,
        /// What is wrong with it.
        defect: String,
    },
    /// The signature's life is over.
    #[error("the signature of OpenPGP key {key} expired at {expired} (it is {now} here)")]
    Expired {
        /// The key.
        key: String,
        /// When it ended.
        expired: Timestamp,
        /// The time that was assumed.
        now: Timestamp,
    },
    /// The key may not sign.
    #[error("OpenPGP key {key}{} {reason}", of(key, certificate))]
    Key {
        /// The key.
        key: String,
        /// The certificate it belongs to.
        certificate: String,
        /// Why not.
        reason: Unusable,
    },
}

fn of(key: &str, certificate: &str) -> String {
    if key == certificate { String::new() } else { format!(" of {certificate}") }
}

/// Why a key may not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its owner took it back, or the certificate it belongs to.
    Revoked {
        /// When.
        at: Option<Timestamp>,
    },
    /// Its life is over, or that of the certificate it belongs to.
    Expired {
        /// When it ended.
        at: Timestamp,
        /// The time that was assumed.
        now: Timestamp,
    },
    /// Nothing that its owner signed says what it is.
    NotBound,
    /// What its owner signed about it rests on a hash that can be forged.
    WeaklyBound {
        /// The hash.
        hash: String,
    },
    /// A subkey that did not agree to belong to the certificate: it may be someone else's.
    NoBackSignature,
    /// Its owner gave it another purpose.
    NotForSigning,
    /// It is younger than what it signed.
    Younger {
        /// When the signature claims to have been made.
        made: Timestamp,
        /// When the key was.
        created: Timestamp,
    },
    /// A key of a version before 4, whose fingerprint can be forged.
    Obsolete,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { at: Some(at) } => write!(f, "was revoked at {at}"),
            Self::Revoked { at: None } => f.write_str("was revoked"),
            Self::Expired { at, now } => write!(f, "expired at {at} (it is {now} here)"),
            Self::NotBound => f.write_str("has no valid self-signature"),
            Self::WeaklyBound { hash } => {
                write!(f, "has only self-signatures with {hash}, which is not safe any more")
            }
            Self::NoBackSignature => f.write_str("has not signed that it belongs to its certificate"),
            Self::NotForSigning => f.write_str("is not meant for signing"),
            Self::Younger { made, created } => {
                write!(f, "was created at {created}, after the signature of {made}")
            }
            Self::Obsolete => f.write_str("is of a version that is not safe any more"),
        }
    }
}

impl Hint for OpenPgpError {
    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Keyring { .. } => {
                    "write it with `gpg --export KEY`: public keys, binary or armoured"
                }
                Self::Stranger { .. } => {
                    "compare the fingerprint with the publisher's; if it is right, add the public key to \
                     /etc/systemd/import-pubring.pgp"
                }
                Self::Mismatch { .. } => {
                    "the file or its signature was altered, or replaced a moment ago: try again"
                }
                Self::Signature { .. } => "try again; if it stays, tell the publisher that the file is damaged",
                Self::WeakHash { .. } => "the publisher has to sign with SHA-256 or better",
                Self::Expired { .. } | Self::Key { reason: Unusable::Expired { .. }, .. } => {
                    "check this node's clock; if it is right, the publisher has to sign again, or the keyring \
                     here needs the key with its new expiry"
                }
                Self::Key { reason: Unusable::Revoked { .. }, .. } => {
                    "the publisher has to sign with another key, and this node to know that"
                }
                Self::Key { reason: Unusable::WeaklyBound { .. }, .. } => {
                    "the key's owner has to sign it again, which setting its expiry anew does"
                }
                Self::Key { .. } | Self::TooMany { .. } | Self::Unsuitable { .. } => return None,
            }
            .to_owned(),
        )
    }
}

/// Something in a keyring that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringNote {
    /// The certificate it stands in or after, if any came before.
    pub certificate: Option<String>,
    /// What it is.
    pub reason: String,
}

impl fmt::Display for KeyringNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Some(certificate) => {
                write!(f, "passed over a part of OpenPGP key {certificate}: {}", self.reason)
            }
            None => write!(f, "passed over the start: {}", self.reason),
        }
    }
}
