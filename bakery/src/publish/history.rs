//! Which images this store has published: only those may be pruned.
//!
//! The list is a file of the store and is not published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sysext_manifests::catalog::Catalog;
use sysext_manifests::digest::Sha256;

use super::PublishError;
use crate::store::{self, Store};

/// The version of the list's format.
const FORMAT: u32 = 1;

/// Every image that was ever published, relative to the repository, with its digest.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    version: u32,
    pub(super) images: BTreeMap<String, Sha256>,
}

impl History {
    /// Reads the list of a store; empty if there is none yet.
    pub(super) fn read(store: &Store) -> Result<Self, PublishError> {
        let path = store.history();
        let Some(bytes) = store::read_if_present(&path).map_err(PublishError::File)? else {
            return Ok(Self { version: FORMAT, images: BTreeMap::new() });
        };
        serde_json::from_slice(&bytes)
            .ok()
            .filter(|history: &Self| history.version == FORMAT)
            .ok_or(PublishError::History { path })
    }

    /// Adds the images that a catalog names.
    pub(super) fn add(&mut self, catalog: &Catalog) {
        let instances = catalog.extensions.values().flat_map(|extension| &extension.instances);
        self.images.extend(instances.map(|instance| (instance.image.url.clone(), instance.image.sha256)));
    }

    pub(super) fn write(&self, store: &Store) -> Result<(), PublishError> {
        let mut json = serde_json::to_vec_pretty(self).map_err(PublishError::Json)?;
        json.push(b'\n');
        store::write(&store.history(), &json).map(drop).map_err(PublishError::File)
    }
}
