//! Catalogs as their own publisher reads them back: whole, undamaged, and signed as they claim.
//!
//! A publisher needs no trust root to see what a store of its own offers: that the chain of roots holds
//! from the first on, and that the newest one's keys signed, shows that the file is as it was made.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::envelope::{Envelope, EnvelopeError, Role};
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock, TrustError};

use crate::store::{FileError, read_if_present};

/// Why a catalog or the roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfferError {
    #[error(transparent)]
    File(FileError),
    #[error("{path} is not readable at line {} column {}", .source.line(), .source.column(), path = .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path} holds no root", path = .path.display())]
    NoRoot { path: PathBuf },
    #[error("{path} is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, source: EnvelopeError },
    #[error("no node would believe {path}", path = .path.display())]
    Trust { path: PathBuf, source: TrustError },
}

impl OfferError {
    /// Whether all that is wrong with a catalog is that too few signed it.
    pub(crate) fn is_too_few(&self) -> bool {
        let Self::Trust { source: TrustError::Signature { source, .. }, .. } = self else { return false };
        matches!(source, EnvelopeError::BelowThreshold { .. })
    }

    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Json { .. } | Self::Envelope { .. } => Some(
                "restore the file from where it was published; its serial must not start again".to_owned(),
            ),
            Self::NoRoot { .. } => Some("`bakery keygen` makes roots.json".to_owned()),
            Self::Trust { source: TrustError::Signature { .. }, .. } => {
                Some("sign with the catalog key that the newest root in roots.json names".to_owned())
            }
            Self::Trust { source: TrustError::Expired { .. }, .. } => {
                Some("`bakery index` signs it anew".to_owned())
            }
            Self::Trust { source: TrustError::RootExpired { .. }, .. } => {
                Some("a new root has to be signed with the root key".to_owned())
            }
            Self::Trust { source: TrustError::OtherRepository { .. }, .. } => {
                Some("a store belongs to one repository; use another directory for another name".to_owned())
            }
            Self::Trust { .. } => None,
        }
    }
}

/// When a catalog must still be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// At this time.
    At(Timestamp),
    /// It may have ended: only what it offered counts.
    Ended,
}

/// Reads the catalog at `path` if there is one.
pub(crate) fn catalog(path: &Path, validity: Validity) -> Result<Option<(CatalogFile, Catalog)>, OfferError> {
    let Some(bytes) = read_if_present(path).map_err(OfferError::File)? else { return Ok(None) };
    let file: CatalogFile = serde_json::from_slice(&bytes)
        .map_err(|source| OfferError::Json { path: path.to_owned(), source })?;
    let claimed: Catalog = peek(path, &file.catalog)?;
    let catalog = check(path, &bytes, &file.roots, &claimed.repository, validity)?;
    Ok(Some((file, catalog)))
}

/// Checks the text of a catalog as a node that knows the first root would.
pub(crate) fn check(
    path: &Path,
    document: &[u8],
    roots: &[Envelope],
    repository: &str,
    validity: Validity,
) -> Result<Catalog, OfferError> {
    let first = roots.first().ok_or_else(|| OfferError::NoRoot { path: path.to_owned() })?;
    let first: Root = peek(path, first)?;
    let repository =
        Repository { id: repository.to_owned(), url: String::new(), mirrors: Vec::new(), root: first.role() };
    let shows = match validity {
        Validity::At(time) => time,
        Validity::Ended => Timestamp::MIN,
    };
    let clock = Clock { shows, released: Timestamp::MIN };
    let admitted = trust::admit(document, &repository, None, clock)
        .map_err(|source| OfferError::Trust { path: path.to_owned(), source })?;
    Ok(admitted.catalog.get().clone())
}

/// The chain of roots to sign under, and the newest of them.
pub(crate) fn roots(path: &Path) -> Result<(Vec<Envelope>, Root), OfferError> {
    let bytes = std::fs::read(path)
        .map_err(|source| OfferError::File(FileError::Read { path: path.to_owned(), source }))?;
    let roots: Vec<Envelope> = serde_json::from_slice(&bytes)
        .map_err(|source| OfferError::Json { path: path.to_owned(), source })?;
    let newest = roots.last().ok_or_else(|| OfferError::NoRoot { path: path.to_owned() })?;
    let newest = peek(path, newest)?;
    Ok((roots, newest))
}

/// What is inside, signed by whoever claims to have signed it: undamaged, not yet believed.
fn peek<T: DeserializeOwned>(path: &Path, envelope: &Envelope) -> Result<T, OfferError> {
    let keys = envelope.signatures.iter().map(|signature| signature.key.clone()).collect();
    envelope
        .verify(&Role { threshold: 1, keys })
        .and_then(|packed| packed.unpack())
        .map_err(|source| OfferError::Envelope { path: path.to_owned(), source })
}
