//! Removing the files of disabled transfers: first they are taken out of use, and removed once they are no longer
//! merged. As long as a file is left, the next run knows that the removal is not finished.

use crate::host::Host;
use crate::host::store::StoreError;
use crate::plan::{Removal, RemovedFile};

/// Takes the files out of use: the next refresh does not merge them.
pub(crate) fn out_of_use(host: &Host, removal: &Removal) -> Result<(), StoreError> {
    for RemovedFile { location, set_aside, .. } in &removal.files {
        if let Some(aside) = set_aside {
            location.rename(host, aside)?;
        }
    }
    match &removal.link {
        Some(link) => host.store.remove(link),
        None => Ok(()),
    }
}

/// Removes the files.
pub(crate) fn off_the_disk(host: &Host, removal: &Removal) -> Result<(), StoreError> {
    let mut files = removal.files.iter().map(|file| file.set_aside.as_ref().unwrap_or(&file.location));
    files.try_for_each(|location| location.remove(host))
}
