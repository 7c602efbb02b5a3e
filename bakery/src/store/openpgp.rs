//! The digests of the OpenPGP signatures that `bakery sign` added to a finished release.
//!
//! The catalog does not name these signatures, since they were made after it. A signature that is left over from
//! another release must not be published, so the store records which `SHA256SUMS` each one belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;

use super::{FileError, Store};

/// The version of the file's format.
const FORMAT: u32 = 1;

/// Which `SHA256SUMS` were signed with OpenPGP after the catalog was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenPgpDigests {
    version: u32,
    lists: BTreeMap<String, SignedList>,
}

/// The digests of a list and of its signatures.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedList {
    pub(crate) list: Sha256,
    pub(crate) armored: Sha256,
    pub(crate) binary: Sha256,
}

impl Default for OpenPgpDigests {
    fn default() -> Self {
        Self { version: FORMAT, lists: BTreeMap::new() }
    }
}

impl OpenPgpDigests {
    /// Reads the store's file. Without a readable one, no signature is published.
    pub(crate) fn read(store: &Store) -> Result<Self, FileError> {
        let bytes = super::read_if_present(&store.openpgp_digests())?;
        let digests = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        Ok(digests.filter(|digests| digests.version == FORMAT).unwrap_or_default())
    }

    pub(crate) fn write(&self, store: &Store) -> Result<(), FileError> {
        let path = store.openpgp_digests();
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| FileError::Write { path: path.clone(), source: error.into() })?;
        super::write(&path, &text).map(drop)
    }

    pub(crate) fn insert(&mut self, name: String, digests: SignedList) {
        self.lists.insert(name, digests);
    }

    /// The signatures of an extension's list, if exactly this list was signed.
    pub(crate) fn of(&self, name: &str, list: Sha256) -> Option<&SignedList> {
        self.lists.get(name).filter(|signed| signed.list == list)
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.lists.into_keys().collect()
    }
}
