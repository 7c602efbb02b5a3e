//! The origin of a partial file, stored beside it: without it, the download cannot be resumed.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;

use crate::host::store::{Operation, Result, Store, StoreError};

/// A digest and a validator have some 150 bytes; servers with long entity tags are still read.
const LIMIT: u64 = 16 << 10;

/// The file that a partial file is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartialOrigin {
    version: u32,
    /// The digest of the whole file.
    pub(super) sha256: Sha256,
    /// The entity tag or time of the server. A mirror with the same one is resumed, too.
    pub(super) validator: String,
}

impl PartialOrigin {
    pub(super) fn new(sha256: Sha256, validator: String) -> Self {
        Self { version: 1, sha256, validator }
    }

    /// Reads the origin of a partial file. An unreadable one is ignored: the download then starts from the
    /// beginning.
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

/// The path of the origin of a partial file. Its name begins as systemd's
/// temporary files do, so that no pattern matches it and every vacuum may remove it.
pub fn beside(partial: &Path) -> PathBuf {
    let name = partial.file_name().unwrap_or_default().to_string_lossy();
    partial.with_file_name(format!(".#{name}"))
}
