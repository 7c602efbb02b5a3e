//! A repository's catalog, fetched, believed, and remembered.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysext_manifests::catalog::Catalog;
use sysext_manifests::repository::{Marks, Repository};
use sysext_manifests::trust::{self, Clock, Note, TrustError, Verified};

use crate::acquire::{self, AcquireError, Seen, Small};
use crate::discover::Memory;
use crate::host::Host;
use crate::paths::Paths;
use crate::settings::{self, SettingsError};

/// Where a repository keeps its catalog.
const CATALOG: &str = "catalog/catalog.json";

/// How long a catalog file may be, in bytes: 35 extensions with 20 versions each are under 100 kB.
const CATALOG_LIMIT: u64 = 16 << 20;

/// The format of the memory this program writes.
const FORMAT: u32 = 1;

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
            Self::Memory { path, .. } => Some(format!(
                "if you accept that an older catalog may be believed once, remove {}",
                path.display()
            )),
            Self::NotSent { .. } | Self::Remember { .. } => None,
        }
    }
}

/// What is remembered between runs.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    marks: Marks,
    /// Which version of the catalog the copy beside is.
    seen: Option<Seen>,
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
    let (state_path, copy_path) = (directory.join("state.json"), directory.join("catalog.json"));
    let state = recall(host, &state_path)?;
    let copy = host
        .store
        .read(&copy_path, CATALOG_LIMIT)
        .map_err(|error| RepositoryFailure::Memory { path: copy_path.clone(), reason: error.to_string() })?;
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
        remember(host, directory, &state_path, &copy_path, &state, &document)?;
    }
    Ok(Opened { repository, catalog: admitted.catalog, notes: admitted.notes })
}

/// The release of this program as a time.
fn released() -> Timestamp {
    RELEASED.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn recall(host: &Host, path: &Path) -> Result<Option<State>, RepositoryFailure> {
    let unreadable = |reason: String| RepositoryFailure::Memory { path: path.to_owned(), reason };
    let bytes = host.store.read(path, CATALOG_LIMIT).map_err(|error| unreadable(error.to_string()))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let state: State = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if state.version != FORMAT {
        let reason = format!("it has format {}, this program reads {FORMAT}", state.version);
        return Err(unreadable(reason));
    }
    Ok(Some(state))
}

/// The marks go first: a copy without them would be a catalog that nothing holds to.
fn remember(
    host: &Host,
    directory: &Path,
    state_path: &Path,
    copy_path: &Path,
    state: &State,
    document: &[u8],
) -> Result<(), RepositoryFailure> {
    let failed = |path: &Path, source| RepositoryFailure::Remember { path: path.to_owned(), source };
    let bytes = serde_json::to_vec_pretty(state).map_err(|error| failed(state_path, error.into()))?;
    host.store.make_directory(directory).map_err(|source| failed(directory, source))?;
    // The tag belongs to the copy: without the copy it must not be there, so it is written last.
    let without_tag = State { version: FORMAT, marks: state.marks.clone(), seen: None };
    let first = serde_json::to_vec_pretty(&without_tag).map_err(|error| failed(state_path, error.into()))?;
    host.store.save(state_path, &first).map_err(|source| failed(state_path, source))?;
    host.store.save(copy_path, document).map_err(|source| failed(copy_path, source))?;
    host.store.save(state_path, &bytes).map_err(|source| failed(state_path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_a_time_and_not_before_the_changelogs_last() {
        assert_ne!(released(), Timestamp::UNIX_EPOCH);
    }
}
