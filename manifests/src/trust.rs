//! What is believed, and on which evidence.
//!
//! A [`Verified`] value can only be made in this module: from a signed catalog, from a manifest that
//! named its digest, or under a policy for what was found on the node. Bytes from outside are
//! [`Unverified`] until their digest meets a verified [`Claim`].

use std::fmt;

use crate::digest::Sha256;

/// Why something is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A catalog signed by a key that the repository's root names.
    Signed {
        /// The repository's identifier.
        repository: String,
        /// The public key that signed, in minisign's base64 form.
        key: String,
        /// The catalog's serial.
        serial: u64,
    },
    /// A `SHA256SUMS` that was fetched and not signed.
    Manifest {
        /// Where it was fetched.
        url: String,
    },
    /// It lay on the node already, and a rule admits that.
    Policy {
        /// The rule.
        rule: Policy,
    },
}

/// The rules under which an image that merely lies there may be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Whatever lies in an extension directory, as systemd-sysext does.
    Any,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed { repository, key, serial } => {
                write!(f, "signed by {key} in serial {serial} of {repository}")
            }
            Self::Manifest { url } => write!(f, "listed in {url}, which is not signed"),
            Self::Policy { rule: Policy::Any } => f.write_str("placed on this node"),
        }
    }
}

/// A value together with the evidence for it.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    evidence: Evidence,
}

impl<T> Verified<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Why it is believed.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Gives up the evidence.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// A part of what was verified stands on the same evidence.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Verified<U> {
        Verified { value: part(self.value), evidence: self.evidence }
    }
}

/// What someone trusted said about a file: its name, where it may be had, and which bytes it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The file's name.
    pub name: String,
    /// Where it may be had, in the order to try; absolute URLs (`http`, `https`, `file`).
    pub urls: Vec<String>,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Its length in bytes, where it was said.
    pub size: Option<u64>,
}

/// Something that came from outside, with the digest its bytes turned out to have.
#[derive(Debug)]
pub struct Unverified<T> {
    value: T,
    sha256: Sha256,
    size: u64,
}

/// Why bytes are not what was claimed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    /// The digest differs.
    #[error("{name} has the SHA-256 digest {found}, expected {expected}")]
    Digest {
        /// The file's name.
        name: String,
        /// What was claimed.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// The length differs.
    #[error("{name} has {found} bytes, expected {expected}")]
    Size {
        /// The file's name.
        name: String,
        /// What was claimed.
        expected: u64,
        /// What came.
        found: u64,
    },
}

impl<T> Unverified<T> {
    /// Something from outside; `sha256` and `size` were taken of its bytes while they were stored.
    pub fn new(value: T, sha256: Sha256, size: u64) -> Self {
        Self { value, sha256, size }
    }

    /// Admits it if it is what the claim says, on the claim's evidence.
    pub fn verify(self, claim: &Verified<Claim>) -> Result<Verified<T>, VerifyError> {
        let Claim { name, sha256, size, .. } = claim.get();
        if let Some(expected) = size.filter(|size| *size != self.size) {
            return Err(VerifyError::Size { name: name.clone(), expected, found: self.size });
        }
        if *sha256 != self.sha256 {
            return Err(VerifyError::Digest { name: name.clone(), expected: *sha256, found: self.sha256 });
        }
        Ok(Verified { value: self.value, evidence: claim.evidence.clone() })
    }

    /// Looks at it without believing it.
    pub fn peek(&self) -> &T {
        &self.value
    }
}
