//! The catalog of a repository: fetched, verified, and recorded.

use std::path::{Path, PathBuf};

use sysext_manifests::catalog::Catalog;
use sysext_manifests::hint::Hint;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Admitted, Clock, Note, TrustError, Verified};

use crate::acquire::{Accepted, AcquireError, Fetcher, Rejected, Small};
use crate::host::Host;
use crate::host::store::StoreError;
use crate::paths::Paths;
use crate::settings::SettingsError;

mod clock;
mod describe;
mod marks;
pub mod status;

pub use clock::{RELEASED, now};
pub use marks::{Forgotten, forget};

use marks::{FORMAT, State, recall, remember};

/// Where a repository keeps its catalog.
const CATALOG: &str = "catalog/catalog.json";

/// How long a catalog file may be, in bytes. 35 extensions with 20 versions for two architectures are 1.6 MB of JSON and
/// under 100 kB in the file: catalogs of up to 32 MiB of JSON, which is the limit of an envelope, stay below this one.
/// What a server sends is read into memory before any signature is verified, so there is no more room than that.
const CATALOG_LIMIT: u64 = 4 << 20;

/// Whether the trust state of repositories is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It is, so that no older catalog is trusted afterwards. Needs the lock.
    Keep,
    /// Nothing is written.
    Leave,
}

/// A trusted catalog.
#[derive(Debug)]
pub struct Opened {
    /// The repository.
    pub repository: Repository,
    /// Its catalog.
    pub catalog: Verified<Catalog>,
    /// What the operator should know.
    pub notes: Vec<Note>,
    /// The URLs that were tried before and had no trusted catalog.
    pub rejected: Vec<Rejected<RepositoryFailure>>,
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its description is invalid.
    #[error(transparent)]
    Settings(SettingsError),
    /// Its catalog is not available or not trusted.
    #[error(transparent)]
    Failed(RepositoryFailure),
}

/// Why a repository's catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryFailure {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(AcquireError),
    /// The server answered that nothing changed, although this node has no catalog.
    #[error("the server of {id} sent no catalog although this node has none")]
    NotSent {
        /// The repository.
        id: String,
    },
    /// It is not trusted.
    #[error(transparent)]
    Trust(TrustError),
    /// It is older than the catalog of another mirror, even if that one has expired.
    #[error(
        "the catalog of {id} has serial {found} there, and another place has serial {newer}, which is newer"
    )]
    Older {
        /// The repository.
        id: String,
        /// Its serial.
        found: u64,
        /// The serial of the other mirror.
        newer: u64,
    },
    /// No mirror has a trusted one.
    #[error("none of the {} places of {id} has a trusted catalog: {}", .failures.len(), list(.failures))]
    Places {
        /// The repository.
        id: String,
        /// The failure of each.
        failures: Vec<Rejected<RepositoryFailure>>,
    },
    /// The trust state cannot be read. Without it no catalog is trusted: it could be older than an earlier one.
    #[error("{} is not readable: {reason}", path.display())]
    Memory {
        /// The repository.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The state of the repository cannot be written or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(failures: &[Rejected<RepositoryFailure>]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl RepositoryFailure {
    /// The failures of all mirrors as one: that of the only mirror, or that none has it, or a list.
    fn of_places(id: &str, mut failures: Vec<Rejected<Self>>) -> Self {
        if failures.len() == 1
            && let Some(failure) = failures.pop()
        {
            return match failure {
                Rejected::Fetch(error) => Self::Fetch(error),
                Rejected::Refused { reason, .. } => reason,
            };
        }
        let missing = failures.iter().map(|failure| match failure {
            Rejected::Fetch(AcquireError::NotFound { urls }) => Some(urls.clone()),
            _ => None,
        });
        match missing.collect::<Option<Vec<_>>>() {
            Some(urls) => Self::Fetch(AcquireError::NotFound { urls: urls.concat() }),
            None => Self::Places { id: id.to_owned(), failures },
        }
    }
}

impl Hint for RepositoryFailure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(AcquireError::NotFound { .. }) => {
                Some("a repository must have a signed catalog; check url= in the repository file".to_owned())
            }
            Self::Fetch(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Memory { id, .. } => Some(format!(
                "to accept an older catalog once, reset the trust state: `sysupdate trust reset {id}`"
            )),
            // A rejected catalog says more than one that could not be fetched.
            Self::Places { failures, .. } => failures
                .iter()
                .find_map(|failure| match failure {
                    Rejected::Refused { reason, .. } => reason.hint(),
                    Rejected::Fetch(_) => None,
                })
                .or_else(|| {
                    failures.iter().find_map(|failure| match failure {
                        Rejected::Fetch(error) => error.hint(),
                        Rejected::Refused { .. } => None,
                    })
                }),
            Self::Older { .. } => Some("the publisher must sign again".to_owned()),
            Self::NotSent { .. } | Self::Store(_) => None,
        }
    }
}

/// Fetches and verifies the catalog of a repository.
pub fn open(host: &Host, paths: &Paths, id: &str, memory: Memory) -> Result<Opened, OpenError> {
    let repository = describe::describe(&*host.store, paths, id).map_err(OpenError::Settings)?;
    open_described(host, &paths.repository_state.join(id), repository, memory).map_err(OpenError::Failed)
}

fn open_described(
    host: &Host,
    directory: &Path,
    repository: Repository,
    memory: Memory,
) -> Result<Opened, RepositoryFailure> {
    let state = recall(&*host.store, directory, &repository.id)?;
    let seen = state.as_ref().and_then(|state| state.seen.clone());
    let marks = state.as_ref().map(|state| &state.marks);
    let clock = Clock { shows: host.clock.now(), released: clock::released() };
    let admit = |document: &[u8]| trust::admit(document, &repository, marks, clock);
    // A copy that is no longer trusted is fetched again: that it did not change would not help.
    let mut copy = marks::copy(&*host.store, directory, &repository.id)?
        .zip(seen)
        .and_then(|(document, seen)| admit(&document).ok().map(|admitted| (document, Some(seen), admitted)));
    let unless = copy.as_ref().and_then(|(_, seen, _)| seen.clone());
    // The newest signed root and serial so far, expired or not: an older catalog must not replace it.
    let mut newest = (0, 0);
    let id = || repository.id.clone();
    let mut judge = |fetched| {
        let (document, seen, admitted) = match fetched {
            Small::NotModified => copy.take().ok_or_else(|| RepositoryFailure::NotSent { id: id() })?,
            Small::Fetched { bytes, seen, .. } => match admit(&bytes) {
                Ok(admitted) => (bytes, seen, admitted),
                Err(error) => {
                    if let TrustError::Expired { root, serial, .. } = error {
                        newest = newest.max((root, serial));
                    }
                    return Err(RepositoryFailure::Trust(error));
                }
            },
        };
        let Admitted { marks, .. } = &admitted;
        if (marks.root.number, marks.serial) < newest {
            let (_, newer) = newest;
            return Err(RepositoryFailure::Older { id: id(), found: marks.serial, newer });
        }
        Ok((document, seen, admitted))
    };
    let urls = repository.urls(CATALOG);
    let fetched = Fetcher::of(host).accepted(&urls, CATALOG_LIMIT, unless.as_ref(), &mut judge);
    let Accepted { value: (document, seen, admitted), rejected } =
        fetched.map_err(|failures| RepositoryFailure::of_places(&repository.id, failures))?;
    if memory == Memory::Keep {
        let state = State { version: FORMAT, marks: admitted.marks, seen };
        remember(&*host.store, directory, &state, &document)?;
    }
    Ok(Opened { repository, catalog: admitted.catalog, notes: admitted.notes, rejected })
}
