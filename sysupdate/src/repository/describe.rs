//! What the operator says about a repository: its URL and the keys that may sign its roots.

use std::path::PathBuf;

use sysext_manifests::repository::Repository;

use crate::host::store::Store;
use crate::paths::Paths;
use crate::settings::{SettingsError, read_unless_masked, valid_name};

/// The file that describes a repository.
pub(super) fn path(paths: &Paths, id: &str) -> PathBuf {
    paths.repositories.join(format!("{id}.toml"))
}

/// Reads the description of a repository.
pub(super) fn describe(store: &dyn Store, paths: &Paths, id: &str) -> Result<Repository, SettingsError> {
    let path = path(paths, id);
    let missing = || SettingsError::NoRepository { id: id.to_owned(), path: path.clone() };
    if !valid_name(id) {
        return Err(missing());
    }
    let text = read_unless_masked(store, &path)?.ok_or_else(missing)?;
    Repository::parse(id, &path.display().to_string(), &text)
        .map_err(|source| SettingsError::Repository { source })
}
