//! Removing the files of disabled transfers: first they are taken out of use, and removed once they are no longer
//! merged. As long as a file is left, the next run knows that the removal is not finished.

use std::path::Path;

use crate::acquire;
use crate::host::Host;
use crate::host::store::StoreError;
use crate::plan::{Removal, RemovedFile};

/// Takes the files out of use: the next refresh does not merge them.
pub fn out_of_use(host: &Host, removal: &Removal) -> Result<(), StoreError> {
    for RemovedFile { path, set_aside, .. } in &removal.files {
        if let Some(aside) = set_aside {
            host.store.rename(path, aside)?;
        }
    }
    match &removal.link {
        Some(link) => host.store.remove(link),
        None => Ok(()),
    }
}

/// Removes the files.
pub fn off_the_disk(host: &Host, removal: &Removal) -> Result<(), StoreError> {
    let mut names = removal.files.iter().map(|file| file.set_aside.as_ref().unwrap_or(&file.path));
    names.try_for_each(|path| remove(host, path))
}

/// Removes a file, and the record of its download beside it.
pub fn remove(host: &Host, path: &Path) -> Result<(), StoreError> {
    host.store.remove(path)?;
    let beside = acquire::origin_beside(path);
    host.store.remove(&beside)
}
