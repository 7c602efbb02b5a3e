//! What is believed, and on which evidence.
//!
//! A [`Verified`] value can only be made in this module: from a signed catalog, from a manifest that
//! named its digest, or under a policy for what was found on the node. Bytes from outside are
//! [`Unverified`] until their digest meets a verified [`Claim`].

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogFile, FORMAT, Instance, Resource, Root};
use crate::digest::Sha256;
use crate::envelope::{Envelope, EnvelopeError};
use crate::hint::Hint;
#[cfg(feature = "openpgp")]
use crate::openpgp::SignedChecksums;
use crate::position::SyntaxError;
use crate::repository::{Marks, Repository};

mod error;

pub use error::TrustError;

/// Why something is trusted. It is stored beside what was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// A catalog lists it, signed by a key that the repository's root names.
    Signed {
        /// The repository's identifier.
        repository: String,
        /// The number of the root.
        root: u64,
        /// The catalog's serial.
        serial: u64,
        /// The public key that signed, in minisign's base64 form.
        key: String,
    },
    /// A `SHA256SUMS` lists it.
    Manifest {
        /// The manifest's URL.
        url: String,
        /// The fingerprint of the OpenPGP certificate that signed the manifest; none if it is not signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed_by: Option<String>,
    },
    /// Nothing lists it, and a rule admits it.
    Policy {
        /// The rule.
        rule: Policy,
    },
}

/// The rules by which something is used that nothing lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Every image in an extension directory may be merged, as systemd-sysext does.
    Any,
    /// A directory of this host that a definition names is a source, as for systemd-sysupdate.
    LocalSource,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed { repository, serial, key, .. } => {
                write!(f, "catalog serial {serial} of {repository}, key {key}")
            }
            Self::Manifest { url, signed_by: None } => write!(f, "{url}, not signed"),
            Self::Manifest { url, signed_by: Some(fingerprint) } => {
                write!(f, "{url}, signed by OpenPGP key {fingerprint}")
            }
            Self::Policy { rule: Policy::Any } => f.write_str("placed on this node"),
            Self::Policy { rule: Policy::LocalSource } => f.write_str("copied from a directory of this node"),
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
}

impl Verified<PathBuf> {
    /// The same bytes under another name.
    pub fn moved(self, to: PathBuf) -> Self {
        Self { value: to, evidence: self.evidence }
    }
}

impl Verified<Catalog> {
    /// Every instance on offer.
    pub fn instances(&self) -> impl Iterator<Item = Verified<&Instance>> {
        let instances = self.value.extensions.values().flat_map(|extension| &extension.instances);
        instances.map(|instance| Verified { value: instance, evidence: self.evidence.clone() })
    }
}

impl Verified<&Instance> {
    /// What the catalog says about its image.
    pub fn claim(&self, repository: &Repository) -> Verified<Claim> {
        let Resource { url, size, sha256 } = &self.value.image;
        let name = self.value.image.file_name().to_owned();
        let claim = Claim { name, urls: repository.urls(url), sha256: *sha256, size: Some(*size) };
        Verified { value: claim, evidence: self.evidence.clone() }
    }
}

impl Verified<Claim> {
    /// What a `SHA256SUMS` without a signature says about a file beside it.
    pub fn listed(manifest_url: &str, claim: Claim) -> Self {
        Self { value: claim, evidence: Evidence::Manifest { url: manifest_url.to_owned(), signed_by: None } }
    }

    /// What a `SHA256SUMS` whose OpenPGP signature holds says about a file: nothing, if it does not list it.
    #[cfg(feature = "openpgp")]
    pub fn signed_list(list: &SignedChecksums, claim: Claim) -> Option<Self> {
        let url = list.url().to_owned();
        let signed_by = Some(list.signer().certificate.clone());
        (list.checksums().find(&claim.name) == Some(claim.sha256))
            .then_some(Self { value: claim, evidence: Evidence::Manifest { url, signed_by } })
    }

    /// What was read of a file in a directory of this node that a definition names.
    pub fn local(claim: Claim) -> Self {
        Self { value: claim, evidence: Evidence::Policy { rule: Policy::LocalSource } }
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

impl Hint for VerifyError {}

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

    /// The digest its bytes have.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
}

/// A catalog that may be believed, and what to remember of it.
#[derive(Debug)]
pub struct Admitted {
    /// The catalog.
    pub catalog: Verified<Catalog>,
    /// What to remember, so that nothing older is believed again.
    pub marks: Marks,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// What the operator should know about a catalog that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The catalog was signed later than this node's clock shows.
    ClockBehind {
        /// What the clock shows.
        clock: Timestamp,
        /// When the catalog was signed.
        issued: Timestamp,
    },
    /// More than two thirds of the catalog's life are over.
    ExpiresSoon {
        /// When it ends.
        expires: Timestamp,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockBehind { clock, issued } => {
                write!(
                    f,
                    "the clock shows {clock}, but the catalog was signed at {issued}: the clock runs behind"
                )
            }
            Self::ExpiresSoon { expires } => {
                write!(f, "the catalog expires at {expires} and has not been renewed")
            }
        }
    }
}

/// The times that decide what is stale.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the node's clock shows. It may be wrong in either direction.
    pub shows: Timestamp,
    /// When the program was released: it cannot be earlier.
    pub released: Timestamp,
}

/// Decides whether a catalog may be believed.
///
/// `marks` are what the node remembers. The chain of roots is walked from the root they name, or from the
/// first one that the operator's keys signed; each next root must be signed by the threshold of its
/// predecessor and by its own. Time is the largest of the clock, the newest signed time seen, and the
/// program's release, so that a wrong clock neither admits stale data nor locks the node out for good.
pub fn admit(
    document: &[u8],
    repository: &Repository,
    marks: Option<&Marks>,
    clock: Clock,
) -> Result<Admitted, TrustError> {
    let id = || repository.id.clone();
    let file: CatalogFile = serde_json::from_slice(document)
        .map_err(|error| TrustError::Json { repository: id(), source: SyntaxError::json(&error) })?;
    if file.version != FORMAT {
        return Err(TrustError::Format { repository: id(), found: file.version });
    }
    // Other keys in /etc are another trust: what was seen under the old ones says nothing.
    let marks = marks.filter(|marks| marks.keys == repository.root);
    let root = newest_root(&file.roots, repository, marks)?;
    let marks = marks.filter(|marks| marks.root.number == root.number);
    let now = [Some(clock.shows), Some(clock.released), marks.map(|marks| marks.issued)];
    let now = now.into_iter().flatten().max().unwrap_or(clock.shows);
    if root.expires <= now {
        return Err(TrustError::RootExpired {
            repository: id(),
            number: root.number,
            expires: root.expires,
            now,
        });
    }

    let signature = |source| TrustError::Signature { repository: id(), root: root.number, source };
    let packed = file.catalog.verify(&root.catalog).map_err(signature)?;
    let catalog: Catalog = packed.unpack().map_err(signature)?;
    if catalog.version != FORMAT {
        return Err(TrustError::Format { repository: id(), found: catalog.version });
    }
    if catalog.repository != repository.id {
        return Err(TrustError::OtherRepository { repository: id(), found: catalog.repository });
    }
    if catalog.root != root.number {
        return Err(TrustError::OtherRoot { repository: id(), found: catalog.root, newest: root.number });
    }
    let seen = marks.map_or(0, |marks| marks.serial);
    if catalog.serial < seen {
        return Err(TrustError::Replayed { repository: id(), found: catalog.serial, seen });
    }
    if catalog.expires <= now {
        let Catalog { root, serial, expires, .. } = catalog;
        return Err(TrustError::Expired { repository: id(), root, serial, expires, now });
    }
    catalog.check_urls().map_err(|(extension, resource, reason)| TrustError::Url {
        repository: id(),
        extension: extension.to_owned(),
        url: resource.url.clone(),
        reason,
    })?;

    let mut notes = Vec::new();
    if clock.shows < catalog.issued {
        notes.push(Note::ClockBehind { clock: clock.shows, issued: catalog.issued });
    }
    let life = catalog.expires.duration_since(catalog.issued);
    if catalog.expires.duration_since(now) < life / 3 {
        notes.push(Note::ExpiresSoon { expires: catalog.expires });
    }
    let issued = marks.map_or(catalog.issued, |marks| marks.issued.max(catalog.issued));
    let marks = Marks { keys: repository.root.clone(), root, serial: catalog.serial, issued };
    let key = packed.keys().first().cloned().unwrap_or_default();
    let evidence = Evidence::Signed { repository: id(), root: catalog.root, serial: catalog.serial, key };
    Ok(Admitted { catalog: Verified { value: catalog, evidence }, marks, notes })
}

/// Walks the chain of roots as far as it holds: from the root that `marks` name, or from the first that the
/// operator's keys signed. What does not lead on is passed over; compare the number of what is returned.
pub fn newest_root(
    chain: &[Envelope],
    repository: &Repository,
    marks: Option<&Marks>,
) -> Result<Root, TrustError> {
    let mut known = marks.map(|marks| marks.root.clone());
    for envelope in chain {
        let role = known.as_ref().map_or_else(|| repository.root.clone(), Root::role);
        // What the known root did not sign is older than it, or not for us; the catalog's own signature
        // tells in the end whether the walk arrived.
        let Ok(packed) = envelope.verify(&role) else { continue };
        let does_not_hold = |number, source: EnvelopeError| TrustError::Root {
            repository: repository.id.clone(),
            number,
            reason: source.to_string(),
        };
        let next_number = known.as_ref().map_or(1, |root| root.number.saturating_add(1));
        let root: Root = packed.unpack().map_err(|source| does_not_hold(next_number, source))?;
        if let Some(known) = &known {
            if root.number <= known.number {
                continue;
            }
            if root.number != next_number {
                return Err(TrustError::Root {
                    repository: repository.id.clone(),
                    number: root.number,
                    reason: format!("it follows root {}", known.number),
                });
            }
        }
        envelope.verify(&root.role()).map_err(|source| does_not_hold(root.number, source))?;
        root.catalog.check().map_err(|source| does_not_hold(root.number, source))?;
        known = Some(root);
    }
    known.ok_or_else(|| TrustError::NoRoot { repository: repository.id.clone(), roots: chain.len() })
}

#[cfg(test)]
mod tests;
