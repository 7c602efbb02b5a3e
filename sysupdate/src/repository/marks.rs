//! The trust state of a repository between runs: the marks, and a copy of the last catalog.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysext_manifests::repository::Marks;

use super::{CATALOG_LIMIT, RepositoryFailure};
use crate::acquire::CacheTag;
use crate::host::store::{EntryKind, Operation, Store, StoreError};
use crate::paths::Paths;

/// The format of the file.
pub(super) const FORMAT: u32 = 1;

/// The marks.
const STATE: &str = "state.json";

/// The last catalog.
const COPY: &str = "catalog.json";

/// The marks, and the version of the copy beside them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u32,
    pub(super) marks: Marks,
    /// The version of the copy; a server is asked for the catalog only if it changed.
    pub(super) seen: Option<CacheTag>,
}

/// What there was to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "forgotten", rename_all = "kebab-case")]
pub enum Forgotten {
    /// Marks.
    Marks {
        /// The number of the last trusted root.
        root: u64,
        /// The highest serial accepted under it.
        serial: u64,
    },
    /// Something that could not be read.
    Unreadable,
    /// Nothing was remembered.
    Nothing,
}

/// Reads the state, if there is one.
pub(super) fn recall(
    store: &dyn Store,
    directory: &Path,
    id: &str,
) -> Result<Option<State>, RepositoryFailure> {
    let path = directory.join(STATE);
    let unreadable =
        |reason: String| RepositoryFailure::Memory { id: id.to_owned(), path: path.clone(), reason };
    let bytes = store.read(&path, CATALOG_LIMIT).map_err(|error| unreadable(error.source.to_string()))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let state: State = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if state.version != FORMAT {
        let reason = format!("it has format {}, this program reads {FORMAT}", state.version);
        return Err(unreadable(reason));
    }
    Ok(Some(state))
}

/// The copy of the last catalog, if there is one.
pub(super) fn copy(
    store: &dyn Store,
    directory: &Path,
    id: &str,
) -> Result<Option<Vec<u8>>, RepositoryFailure> {
    let path = directory.join(COPY);
    store.read(&path, CATALOG_LIMIT).map_err(|error| RepositoryFailure::Memory {
        id: id.to_owned(),
        path,
        reason: error.source.to_string(),
    })
}

/// Writes the state and the copy. The marks are written first: a copy without them could be rolled back.
pub(super) fn remember(
    store: &dyn Store,
    directory: &Path,
    state: &State,
    document: &[u8],
) -> Result<(), RepositoryFailure> {
    let (state_path, copy_path) = (directory.join(STATE), directory.join(COPY));
    let failed = |error| StoreError::new(&state_path, Operation::Write, error);
    let bytes = serde_json::to_vec_pretty(state).map_err(failed)?;
    store.make_directory(directory)?;
    // The tag belongs to the copy: without the copy it must not be there, so it is written last.
    let without_tag = State { version: FORMAT, marks: state.marks.clone(), seen: None };
    let first = serde_json::to_vec_pretty(&without_tag).map_err(failed)?;
    store.save(&state_path, &first)?;
    store.save(&copy_path, document)?;
    Ok(store.save(&state_path, &bytes)?)
}

/// Forgets all that is remembered of a repository, readable or not. Needs the lock.
pub fn forget(store: &dyn Store, paths: &Paths, id: &str) -> Result<Forgotten, RepositoryFailure> {
    let directory = paths.repository_state.join(id);
    let forgotten = match recall(store, &directory, id) {
        Ok(Some(state)) => Forgotten::Marks { root: state.marks.root.number, serial: state.marks.serial },
        Ok(None) => Forgotten::Nothing,
        Err(_) => Forgotten::Unreadable,
    };
    // The copy goes first: marks without it are whole, and a crash in between has forgotten nothing.
    for path in [directory.join(COPY), directory.join(STATE)] {
        store.remove(&path)?;
    }
    Ok(forgotten)
}

/// The repositories with recorded marks.
pub(super) fn remembered(store: &dyn Store, paths: &Paths) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for entry in store.list(&paths.repository_state)? {
        if entry.kind == EntryKind::Directory {
            let inside = store.list(&paths.repository_state.join(&entry.name))?;
            found.extend(inside.iter().any(|file| file.name == STATE).then_some(entry.name));
        }
    }
    Ok(found)
}
