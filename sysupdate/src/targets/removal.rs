//! Taking away what transfers have that take no part any more: first out of use, and off the disk once
//! nothing shows it. As long as any file is there, the next run knows that there is something left to do.

use std::path::Path;

use crate::acquire;
use crate::host::Host;
use crate::host::store::StoreError;
use crate::plan::{Leaving, Removal};

/// Takes it out of use: what is merged from now on does not have it.
pub fn out_of_use(host: &Host, removal: &Removal) -> Result<(), StoreError> {
    for Leaving { path, set_aside, .. } in &removal.files {
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

/// Removes a file, and what a download of it kept beside.
pub fn remove(host: &Host, path: &Path) -> Result<(), StoreError> {
    host.store.remove(path)?;
    let beside = acquire::origin_beside(path);
    host.store.remove(&beside)
}
