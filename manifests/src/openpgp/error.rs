//! Why an OpenPGP keyring or signature is not accepted.

use std::fmt;

use jiff::Timestamp;

use crate::hint::Hint;

/// Why a keyring or a signature is not accepted. Keys are named by their fingerprints.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum OpenPgpError {
    #[error("invalid OpenPGP keyring: {reason}")]
    Keyring { reason: String },
    #[error("invalid OpenPGP signature: {reason}")]
    Signature { reason: String },
    #[error("{found} OpenPGP signatures, but at most {limit} are checked")]
    TooMany { found: usize, limit: usize },
    #[error("signed by {}, which the keyring does not contain", if signers.is_empty() { "an unknown key".to_owned() } else { signers.join(", ") })]
    UnknownKey { signers: Vec<String> },
    #[error("the signature of OpenPGP key {key} does not match")]
    Mismatch { key: String },
    #[error("the signature of OpenPGP key {key} uses {hash}, which is no longer secure")]
    WeakHash { key: String, hash: String },
    #[error("the signature of OpenPGP key {key} {defect}")]
    Unsuitable { key: String, defect: String },
    #[error("the signature of OpenPGP key {key} expired at {expired} (it is {now} now)")]
    Expired { key: String, expired: Timestamp, now: Timestamp },
    #[error("OpenPGP key {key}{} {reason}", of(key, certificate))]
    Key { key: String, certificate: String, reason: Unusable },
}

fn of(key: &str, certificate: &str) -> String {
    if key == certificate { String::new() } else { format!(" of {certificate}") }
}

/// Why a key may not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its owner revoked it or its certificate.
    Revoked {
        /// The time of the revocation.
        at: Option<Timestamp>,
    },
    /// It or its certificate expired.
    Expired {
        /// When it expired.
        at: Timestamp,
        /// The current time.
        now: Timestamp,
    },
    /// Its owner did not sign it.
    NotBound,
    /// Its owner signed it with a hash that can be forged.
    WeaklyBound {
        /// The hash.
        hash: String,
    },
    /// A subkey that did not sign the certificate: it may belong to somebody else.
    NoBackSignature,
    /// It is for other purposes.
    NotForSigning,
    /// It was created after the signature.
    Younger {
        /// The time of the signature.
        made: Timestamp,
        /// The time of the key.
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
            Self::Expired { at, now } => write!(f, "expired at {at} (it is {now} now)"),
            Self::NotBound => f.write_str("has no valid self-signature"),
            Self::WeaklyBound { hash } => {
                write!(f, "has only self-signatures with {hash}, which is no longer secure")
            }
            Self::NoBackSignature => f.write_str("has not confirmed that it belongs to its certificate"),
            Self::NotForSigning => f.write_str("is not for signing"),
            Self::Younger { made, created } => {
                write!(f, "was created at {created}, after the signature of {made}")
            }
            Self::Obsolete => f.write_str("has a version that is no longer secure"),
        }
    }
}

impl Hint for OpenPgpError {
    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Keyring { .. } => "write it with `gpg --export KEY`: public keys, binary or armoured",
                Self::UnknownKey { .. } => {
                    "compare the fingerprint with the publisher's; if it is right, add the public key to \
                     /etc/systemd/import-pubring.pgp"
                }
                Self::Mismatch { .. } => {
                    "the file or its signature was altered, or is being replaced: try again"
                }
                Self::Signature { .. } => {
                    "try again; if it persists, tell the publisher that the file is damaged"
                }
                Self::WeakHash { .. } => "the publisher must sign with SHA-256 or better",
                Self::Expired { .. } | Self::Key { reason: Unusable::Expired { .. }, .. } => {
                    "check this node's clock; if it is right, the publisher must sign again, or the keyring \
                     needs the key with its new expiry date"
                }
                Self::Key { reason: Unusable::Revoked { .. }, .. } => {
                    "the publisher must sign with another key, which this node must have"
                }
                Self::Key { reason: Unusable::WeaklyBound { .. }, .. } => {
                    "the key's owner must sign it again, for example by setting a new expiry date"
                }
                Self::Key { .. } | Self::TooMany { .. } | Self::Unsuitable { .. } => return None,
            }
            .to_owned(),
        )
    }
}

/// A part of a keyring that was ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringNote {
    /// The certificate before or around it, if any.
    pub certificate: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for KeyringNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Some(certificate) => {
                write!(f, "ignored an invalid part of OpenPGP key {certificate}: {}", self.reason)
            }
            None => write!(f, "ignored an invalid part before the first key: {}", self.reason),
        }
    }
}
