//! What a node trusts, and on which evidence.
//!
//! Only this module makes a [`Verified`] value: from a signed catalog, from a manifest that lists its digest, or
//! under a policy for files that are already on the node. Downloaded bytes are [`Unverified`] until their digest
//! matches a verified [`Claim`].

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogFile, FORMAT, Instance, Resource, Root};
use crate::digest::Sha256;
use crate::envelope::{Document as _, Envelope, EnvelopeError, Role};
use crate::hint::Hint;
#[cfg(feature = "openpgp")]
use crate::openpgp::SignedChecksums;
use crate::position::SyntaxError;
use crate::repository::{Marks, Repository};

mod error;

pub use error::TrustError;

/// Why something is trusted. It is recorded for each installed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        /// The fingerprint of the OpenPGP certificate that signed the manifest, if it is signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed_by: Option<String>,
    },
    /// A file that was on the node already and that a policy accepts.
    Policy {
        /// The policy.
        rule: Policy,
    },
}

/// Which files without a signature or digest are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Every image in an extension directory, as systemd-sysext does.
    Any,
    /// Every file in a directory of this host that a definition names, as systemd-sysupdate does.
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

    /// Why it is trusted.
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
    /// Every instance that the catalog offers.
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
    /// A claim of an unsigned `SHA256SUMS`.
    pub fn listed(manifest_url: &str, claim: Claim) -> Self {
        Self { value: claim, evidence: Evidence::Manifest { url: manifest_url.to_owned(), signed_by: None } }
    }

    /// A claim of a `SHA256SUMS` with a valid OpenPGP signature; `None` if it does not list the file.
    #[cfg(feature = "openpgp")]
    pub fn signed_list(list: &SignedChecksums, claim: Claim) -> Option<Self> {
        let url = list.url().to_owned();
        let signed_by = Some(list.signer().certificate.clone());
        (list.find(&claim.name) == Some(claim.sha256))
            .then_some(Self { value: claim, evidence: Evidence::Manifest { url, signed_by } })
    }

    /// A claim about a file in a directory of this node that a definition names.
    pub fn local(claim: Claim) -> Self {
        Self { value: claim, evidence: Evidence::Policy { rule: Policy::LocalSource } }
    }
}

/// What a trusted source says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The file's name.
    pub name: String,
    /// Absolute URLs (`http`, `https`, `file`) in the order to try.
    pub urls: Vec<String>,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
}

/// A downloaded value with the digest of its bytes.
#[derive(Debug)]
pub struct Unverified<T> {
    value: T,
    sha256: Sha256,
    size: u64,
}

/// Why bytes do not match a claim.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum VerifyError {
    #[error("{name} has the SHA-256 digest {found}, expected {expected}")]
    Digest { name: String, expected: Sha256, found: Sha256 },
    #[error("{name} has {found} bytes, expected {expected}")]
    Size { name: String, expected: u64, found: u64 },
}

impl Hint for VerifyError {}

impl<T> Unverified<T> {
    /// A downloaded value; `sha256` and `size` were computed while its bytes were stored.
    pub fn new(value: T, sha256: Sha256, size: u64) -> Self {
        Self { value, sha256, size }
    }

    /// Accepts the value if it matches the claim, with the claim's evidence.
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

    /// The value, which must not be trusted yet.
    pub fn peek(&self) -> &T {
        &self.value
    }

    /// The digest of its bytes.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
}

/// A trusted catalog, and what the node has to store about it.
#[derive(Debug)]
pub struct Admitted {
    /// The catalog.
    pub catalog: Verified<Catalog>,
    /// What the node has to store, so that it never accepts an older catalog.
    pub marks: Marks,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// What the operator should know about a trusted catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The node's clock is behind the catalog's signing time.
    ClockBehind {
        /// The node's clock.
        clock: Timestamp,
        /// When the catalog was signed.
        issued: Timestamp,
    },
    /// More than two thirds of the catalog's lifetime are over.
    ExpiresSoon {
        /// When it expires.
        expires: Timestamp,
    },
    /// The node's configuration has other keys than when the marks were made, so the marks are ignored.
    MarksIgnored {
        /// The number of the root in the marks.
        root: u64,
        /// The serial in the marks.
        serial: u64,
    },
    /// The node follows a newer root than before.
    RootChanged {
        /// The number of the root before.
        from: u64,
        /// The number of the root now.
        to: u64,
    },
    /// The newer root names other keys that sign roots, or other keys that sign catalogs.
    KeysChanged {
        /// What the keys sign: `root` or `catalog`.
        document: &'static str,
        /// The keys before.
        before: Role,
        /// The keys now.
        now: Role,
    },
}

/// What differs between the root that a node knows and the newest one.
fn changes(known: &Root, newest: &Root) -> Vec<Note> {
    if known.number == newest.number {
        return Vec::new();
    }
    let mut notes = vec![Note::RootChanged { from: known.number, to: newest.number }];
    for (document, before, now) in [
        (Root::TYPE, known.role(), newest.role()),
        (Catalog::TYPE, known.catalog.clone(), newest.catalog.clone()),
    ] {
        if !before.is_same(&now) {
            notes.push(Note::KeysChanged { document, before, now });
        }
    }
    notes
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockBehind { clock, issued } => {
                write!(f, "the system clock ({clock}) is behind the catalog's signing time ({issued})")
            }
            Self::ExpiresSoon { expires } => {
                write!(f, "the catalog expires at {expires} and has not been renewed")
            }
            Self::MarksIgnored { root, serial } => write!(
                f,
                "the keys in this node's configuration changed, so the last accepted catalog (root {root}, serial \
                 {serial}) is ignored: an older one may be accepted once"
            ),
            Self::RootChanged { from, to } => write!(f, "the root is now {to}, it was {from}"),
            Self::KeysChanged { document, before, now } => {
                write!(f, "the keys that sign each {document} are now {now}; they were {before}")
            }
        }
    }
}

/// The times from which the node derives the current one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The node's clock, which may be wrong in either direction.
    pub shows: Timestamp,
    /// When the program was released: the current time cannot be earlier.
    pub released: Timestamp,
}

/// Decides whether a catalog is trusted.
///
/// `marks` are what the node stored about the last accepted catalog. The chain of roots starts at the root in
/// them, or at the first one that the operator's keys signed; each root must be signed by the threshold of its
/// predecessor and by its own. The current time is the latest of the clock, the newest signed time seen, and the
/// program's release, so that a wrong clock neither accepts expired data nor locks the node out for ever.
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
    let mut notes = Vec::new();
    // Marks that were made with other keys in /etc are ignored.
    let known = marks.filter(|marks| marks.keys.is_same(&repository.root));
    if let (Some(marks), None) = (marks, known) {
        notes.push(Note::MarksIgnored { root: marks.root.number, serial: marks.serial });
    }
    let root = newest_root(&file.roots, repository, known)?;
    notes.extend(known.into_iter().flat_map(|known| changes(&known.root, &root)));
    let marks = known;
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
    if catalog.expires.duration_since(catalog.issued) > root.catalog_lifetime_max() {
        return Err(TrustError::Lifetime {
            repository: id(),
            root: root.number,
            issued: catalog.issued,
            expires: catalog.expires,
            max_days: root.catalog_lifetime_max_days,
        });
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

/// The newest valid root of a chain that starts at the root in `marks`, or at the first one that the operator's keys
/// signed. Roots that do not continue the chain are skipped; compare the number of the result.
pub fn newest_root(
    chain: &[Envelope],
    repository: &Repository,
    marks: Option<&Marks>,
) -> Result<Root, TrustError> {
    let mut known = marks.map(|marks| marks.root.clone());
    for envelope in chain {
        let role = known.as_ref().map_or_else(|| repository.root.clone(), Root::role);
        // What the known root did not sign is older, or belongs to another chain. In the end the catalog's own
        // signature shows whether the right root was found.
        let Ok(packed) = envelope.verify(&role) else { continue };
        let invalid = |number, source: EnvelopeError| TrustError::Root {
            repository: repository.id.clone(),
            number,
            reason: source.to_string(),
        };
        let next_number = known.as_ref().map_or(1, |root| root.number.saturating_add(1));
        let root: Root = packed.unpack().map_err(|source| invalid(next_number, source))?;
        if root.repository != repository.id {
            return Err(TrustError::RootOfOtherRepository {
                repository: repository.id.clone(),
                number: root.number,
                found: root.repository,
            });
        }
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
        envelope.verify(&root.role()).map_err(|source| invalid(root.number, source))?;
        root.catalog.check().map_err(|source| invalid(root.number, source))?;
        known = Some(root);
    }
    known.ok_or_else(|| TrustError::NoRoot { repository: repository.id.clone(), roots: chain.len() })
}

#[cfg(test)]
mod tests;
