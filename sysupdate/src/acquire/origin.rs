//! What a partial download is a part of, kept beside it: without that it cannot be gone on from.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;

use crate::host::store::{Operation, Result, Store, StoreError};

/// A digest and a validator have some 150 bytes; servers with long entity tags are still read.
const LIMIT: u64 = 16 << 10;

/// What the bytes of a partial download belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    version: u32,
    /// The digest that the whole is to have.
    pub(super) sha256: Sha256,
    /// What the server called these bytes. A mirror that calls its bytes the same goes on too.
    pub(super) validator: String,
}

impl Origin {
    pub(super) fn new(sha256: Sha256, validator: String) -> Self {
        Self { version: 1, sha256, validator }
    }

    /// What is written beside a partial download. What cannot be understood is as good as nothing: the
    /// download then starts from the beginning.
    pub(super) fn read(store: &dyn Store, partial: &Path) -> Result<Option<Self>> {
        let bytes = match store.read(&beside(partial), LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
            other => other?,
        };
        let origin: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(origin.filter(|origin| origin.version == 1))
    }

    pub(super) fn write(&self, store: &dyn Store, partial: &Path) -> Result<()> {
        let path = beside(partial);
        let bytes =
            serde_json::to_vec(self).map_err(|error| StoreError::new(&path, Operation::Write, error))?;
        store.write_new(&path, &bytes)
    }
}

/// The file beside a partial download that says what it is a part of. Its name begins as systemd's
/// temporary files do, so that no pattern matches it and every vacuum may remove it.
pub fn beside(partial: &Path) -> PathBuf {
    let name = partial.file_name().unwrap_or_default().to_string_lossy();
    partial.with_file_name(format!(".#{name}"))
}
