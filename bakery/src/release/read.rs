//! Reads catalogs back: intact, and signed by the keys they name.
//!
//! A publisher needs no trust root to read a store of its own: that each root in the chain is signed by the one before
//! it, and that the newest root's keys signed the catalog, shows that the file was not altered.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sysext_manifests::catalog::{Catalog, CatalogFile, FORMAT, Root};
use sysext_manifests::envelope::{Document, Envelope, EnvelopeError, Role};
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock, TrustError};

use crate::failure::Hint;
use crate::store::{FileError, JsonError, read_if_present};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Json(JsonError),
    #[error("{path} does not exist", path = .path.display())]
    NoRoots { path: PathBuf },
    #[error("{path} contains no root", path = .path.display())]
    NoRoot { path: PathBuf },
    #[error("{path} has format {found}, but this program reads format {FORMAT}", path = .path.display())]
    Format { path: PathBuf, found: u32 },
    #[error("{path} is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, source: EnvelopeError },
    #[error("the release in {path} belongs to root {found}, the newest root is {newest}", path = .path.display())]
    OtherRoot { path: PathBuf, found: u64, newest: u64 },
    #[error("nodes would reject {path}", path = .path.display())]
    Trust { path: PathBuf, source: TrustError },
}

impl CatalogError {
    /// Whether missing signatures are the only problem.
    pub(crate) fn lacks_signatures(&self) -> bool {
        let Self::Trust { source: TrustError::Signature { source, .. }, .. } = self else { return false };
        matches!(source, EnvelopeError::BelowThreshold { .. })
    }
}

impl Hint for CatalogError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Json(_) | Self::Envelope { .. } => Some(
                "restore the file from where it was published; its serial numbers must not be used again"
                    .to_owned(),
            ),
            Self::NoRoot { .. } | Self::NoRoots { .. } => {
                Some("`bakery keygen` or `bakery root finish` writes roots.json".to_owned())
            }
            Self::Trust { source: TrustError::Signature { .. }, .. } => {
                Some("sign with the catalog key that the newest root in roots.json names".to_owned())
            }
            Self::Trust { source: TrustError::Expired { .. }, .. } => {
                Some("sign it again with `bakery index`".to_owned())
            }
            Self::Trust { source: TrustError::RootExpired { .. }, .. } => {
                Some("sign a new root with the root key (`bakery root rotate`)".to_owned())
            }
            Self::Trust { source: TrustError::OtherRepository { .. }, .. } => {
                Some("use a separate store for each repository".to_owned())
            }
            Self::Format { .. } => Some("create it again with `bakery index`".to_owned()),
            Self::OtherRoot { .. } | Self::Trust { .. } => None,
        }
    }
}

/// When a catalog must still be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// At this time.
    At(Timestamp),
    /// Any: an expired one still shows what was offered.
    Expired,
}

/// Reads the catalog at `path` if there is one.
pub(crate) fn catalog(
    path: &Path,
    validity: Validity,
) -> Result<Option<(CatalogFile, Catalog)>, CatalogError> {
    let Some(bytes) = read_if_present(path).map_err(CatalogError::File)? else { return Ok(None) };
    let file: CatalogFile =
        serde_json::from_slice(&bytes).map_err(|error| CatalogError::Json(JsonError::new(path, &error)))?;
    check_format(path, &file)?;
    let claimed: Catalog = open(path, &file.catalog)?;
    let catalog = check(path, &bytes, &file.roots, &claimed.repository, validity)?;
    Ok(Some((file, catalog)))
}

fn check_format(path: &Path, file: &CatalogFile) -> Result<(), CatalogError> {
    match file.version {
        FORMAT => Ok(()),
        found => Err(CatalogError::Format { path: path.to_owned(), found }),
    }
}

/// Checks a catalog as a node does that trusts the first root.
pub(crate) fn check(
    path: &Path,
    document: &[u8],
    roots: &[Envelope],
    repository: &str,
    validity: Validity,
) -> Result<Catalog, CatalogError> {
    let first = roots.first().ok_or_else(|| CatalogError::NoRoot { path: path.to_owned() })?;
    let first: Root = open(path, first)?;
    let repository =
        Repository { id: repository.to_owned(), url: String::new(), mirrors: Vec::new(), root: first.role() };
    let shows = match validity {
        Validity::At(time) => time,
        Validity::Expired => Timestamp::MIN,
    };
    let clock = Clock { shows, released: Timestamp::MIN };
    let admitted = trust::admit(document, &repository, None, clock)
        .map_err(|source| CatalogError::Trust { path: path.to_owned(), source })?;
    Ok(admitted.catalog.get().clone())
}

/// The catalog in a file that may lack signatures, and the newest root, which has its keys.
pub(crate) fn unsigned(path: &Path, file: &CatalogFile) -> Result<(Catalog, Root), CatalogError> {
    let envelope = |source| CatalogError::Envelope { path: path.to_owned(), source };
    check_format(path, file)?;
    let catalog: Catalog = file.catalog.unpack_unverified().map_err(envelope)?;
    let first = file.roots.first().ok_or_else(|| CatalogError::NoRoot { path: path.to_owned() })?;
    let first: Root = first.unpack_unverified().map_err(envelope)?;
    let node = Repository {
        id: catalog.repository.clone(),
        url: String::new(),
        mirrors: Vec::new(),
        root: first.role(),
    };
    let root = trust::newest_root(&file.roots, &node, None)
        .map_err(|source| CatalogError::Trust { path: path.to_owned(), source })?;
    if catalog.root != root.number {
        let (found, newest) = (catalog.root, root.number);
        return Err(CatalogError::OtherRoot { path: path.to_owned(), found, newest });
    }
    Ok((catalog, root))
}

/// A catalog with whatever nodes would think of it.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) catalog: Catalog,
    /// The newest root.
    pub(crate) root: Root,
    /// The catalog keys that signed.
    pub(crate) signed: Vec<String>,
    /// Why nodes would reject it.
    pub(crate) problem: Option<CatalogError>,
}

/// Describes a catalog, which may be expired or lack signatures.
pub(crate) fn describe(path: &Path, now: Timestamp) -> Result<Description, CatalogError> {
    let bytes = std::fs::read(path)
        .map_err(|source| CatalogError::File(FileError::Read { path: path.to_owned(), source }))?;
    let file: CatalogFile =
        serde_json::from_slice(&bytes).map_err(|error| CatalogError::Json(JsonError::new(path, &error)))?;
    let (catalog, root) = unsigned(path, &file)?;
    let signed = file
        .catalog
        .signers(&root.catalog)
        .map_err(|source| CatalogError::Envelope { path: path.to_owned(), source })?;
    let problem = check(path, &bytes, &file.roots, &catalog.repository, Validity::At(now)).err();
    Ok(Description { catalog, root, signed, problem })
}

/// The chain of roots to sign under, and the newest of them.
pub(crate) fn roots(path: &Path) -> Result<(Vec<Envelope>, Root), CatalogError> {
    let bytes = read_if_present(path).map_err(CatalogError::File)?;
    let bytes = bytes.ok_or_else(|| CatalogError::NoRoots { path: path.to_owned() })?;
    let roots: Vec<Envelope> =
        serde_json::from_slice(&bytes).map_err(|error| CatalogError::Json(JsonError::new(path, &error)))?;
    let newest = roots.last().ok_or_else(|| CatalogError::NoRoot { path: path.to_owned() })?;
    let newest = open(path, newest)?;
    Ok((roots, newest))
}

/// The contents, signed by the keys that the envelope itself names: intact, but not trusted yet.
fn open<T: Document>(path: &Path, envelope: &Envelope) -> Result<T, CatalogError> {
    let keys = envelope.signatures.iter().map(|signature| signature.key.clone()).collect();
    envelope
        .verify(&Role { threshold: 1, keys })
        .and_then(|packed| packed.unpack())
        .map_err(|source| CatalogError::Envelope { path: path.to_owned(), source })
}
