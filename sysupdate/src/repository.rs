//! A repository's catalog, fetched, believed, and remembered.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sysext_manifests::catalog::Catalog;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock, Note, TrustError, Verified};

use crate::acquire::{self, AcquireError, Seen, Small};
use crate::discover::Memory;
use crate::host::Host;
use crate::paths::Paths;
use crate::settings::{self, SettingsError};

mod memory;
pub mod standing;

pub use memory::{Forgotten, forget};

use memory::{FORMAT, State, recall, remember};

/// Where a repository keeps its catalog.
const CATALOG: &str = "catalog/catalog.json";

/// How long a catalog file may be, in bytes: 35 extensions with 20 versions each are under 100 kB.
const CATALOG_LIMIT: u64 = 16 << 20;

/// No clock on a node that runs this program can rightly show an earlier time.
pub const RELEASED: &str = "2026-11-20T00:00:00Z";

/// A catalog that is believed.
#[derive(Debug)]
pub struct Opened {
    /// The repository.
    pub repository: Repository,
    /// Its catalog.
    pub catalog: Verified<Catalog>,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its description is not usable.
    #[error(transparent)]
    Settings(SettingsError),
    /// Its catalog is not.
    #[error(transparent)]
    Failed(RepositoryFailure),
}

/// Why a repository's catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryFailure {
    /// It cannot be had.
    #[error(transparent)]
    Fetch(AcquireError),
    /// The server says that nothing changed, although nothing is known here.
    #[error("the server of {id} sent no catalog although this node has none")]
    NotSent {
        /// The repository.
        id: String,
    },
    /// It is not believed.
    #[error(transparent)]
    Trust(TrustError),
    /// What the node remembers cannot be read. Nothing is believed without it: it could be older than
    /// what was seen.
    #[error("{} is not readable: {reason}", path.display())]
    Memory {
        /// The repository.
        id: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What was seen cannot be remembered.
    #[error("cannot write {}: {source}", path.display())]
    Remember {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was seen cannot be forgotten.
    #[error("cannot remove {}: {source}", path.display())]
    Forget {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl RepositoryFailure {
    /// What the operator can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(AcquireError::NotFound { .. }) => {
                Some("a repository without a catalog is not believed; check url= in its file".to_owned())
            }
            Self::Fetch(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Memory { id, .. } => Some(format!(
                "if you accept that an older catalog may be believed once: `sysupdate trust reset {id}`"
            )),
            Self::NotSent { .. } | Self::Remember { .. } | Self::Forget { .. } => None,
        }
    }
}

/// Fetches a repository's catalog and decides whether it is believed.
pub fn open(host: &Host, paths: &Paths, id: &str, memory: Memory) -> Result<Opened, OpenError> {
    let repository = settings::repository(&*host.store, paths, id).map_err(OpenError::Settings)?;
    open_described(host, &paths.repository_state.join(id), repository, memory).map_err(OpenError::Failed)
}

fn open_described(
    host: &Host,
    directory: &Path,
    repository: Repository,
    memory: Memory,
) -> Result<Opened, RepositoryFailure> {
    let state = recall(&*host.store, directory, &repository.id)?;
    let copy = memory::copy(&*host.store, directory, &repository.id)?;
    let copy = copy.zip(state.as_ref().and_then(|state| state.seen.clone()));
    let fetch = |unless: Option<&Seen>| {
        let urls = repository.urls(CATALOG);
        let (transport, clock) = (&*host.transport, &*host.clock);
        acquire::fetch_small(transport, clock, &urls, CATALOG_LIMIT, unless, &host.patience)
            .map_err(RepositoryFailure::Fetch)
    };
    let clock = Clock { shows: host.clock.now(), released: released() };
    let marks = state.as_ref().map(|state| &state.marks);
    let admit = |document: &[u8]| trust::admit(document, &repository, marks, clock);
    let believe = |fetched| match fetched {
        Small::Fetched { bytes, seen, .. } => {
            let admitted = admit(&bytes).map_err(RepositoryFailure::Trust)?;
            Ok((bytes, seen, admitted))
        }
        Small::NotModified => Err(RepositoryFailure::NotSent { id: repository.id.clone() }),
    };
    let (document, seen, admitted) = match (fetch(copy.as_ref().map(|(_, seen)| seen))?, copy) {
        (Small::NotModified, Some((copy, seen))) => match admit(&copy) {
            Ok(admitted) => (copy, Some(seen), admitted),
            // The copy may be damaged. Without another look at what the server has, that would last until
            // the publisher signs again.
            Err(_) => believe(fetch(None)?)?,
        },
        (fetched, _) => believe(fetched)?,
    };
    if memory == Memory::Keep {
        let state = State { version: FORMAT, marks: admitted.marks, seen };
        remember(&*host.store, directory, &state, &document)?;
    }
    Ok(Opened { repository, catalog: admitted.catalog, notes: admitted.notes })
}

/// The release of this program as a time.
fn released() -> Timestamp {
    RELEASED.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_a_time_and_not_before_the_changelogs_last() {
        assert_ne!(released(), Timestamp::UNIX_EPOCH);
    }
}
