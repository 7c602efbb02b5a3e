//! Images that the publisher stopped offering on purpose.
//!
//! `bakery publish` refuses a release that lacks an image which is published now, since the usual cause is that
//! another publisher released it. This list tells it which images `bakery index` was told to drop or replace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;

use super::{FileError, Store};
use crate::failure::Hint;

/// The version of the list's format.
const FORMAT: u32 = 1;

/// Every image that was dropped or replaced, relative to the repository, with the digests it had.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dropped {
    version: u32,
    images: BTreeMap<String, BTreeSet<Sha256>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DroppedError {
    #[error(transparent)]
    File(FileError),
    #[error("{path} is not a list of dropped images in a known format", path = .path.display())]
    Format { path: PathBuf },
}

impl Hint for DroppedError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Format { path } => Some(format!(
                "remove {}; `bakery publish` then asks for --drop again for images that are still published",
                path.display()
            )),
        }
    }
}

impl Dropped {
    /// Reads the list of a store; empty if there is none yet.
    pub(crate) fn read(store: &Store) -> Result<Self, DroppedError> {
        let path = store.dropped();
        let Some(bytes) = super::read_if_present(&path).map_err(DroppedError::File)? else {
            return Ok(Self { version: FORMAT, images: BTreeMap::new() });
        };
        serde_json::from_slice(&bytes)
            .ok()
            .filter(|dropped: &Self| dropped.version == FORMAT)
            .ok_or(DroppedError::Format { path })
    }

    pub(crate) fn add(&mut self, url: &str, sha256: Sha256) {
        self.images.entry(url.to_owned()).or_default().insert(sha256);
    }

    pub(crate) fn contains(&self, url: &str, sha256: Sha256) -> bool {
        self.images.get(url).is_some_and(|digests| digests.contains(&sha256))
    }

    /// Writes the list, if it has entries.
    pub(crate) fn write(&self, store: &Store) -> Result<(), DroppedError> {
        if self.images.is_empty() {
            return Ok(());
        }
        let path = store.dropped();
        let write = |error: serde_json::Error| FileError::Write { path: path.clone(), source: error.into() };
        let mut json = serde_json::to_vec_pretty(self).map_err(|error| DroppedError::File(write(error)))?;
        json.push(b'\n');
        super::write(&path, &json).map(drop).map_err(DroppedError::File)
    }
}
