//! A publisher for tests: keys, a store, and a served directory. Images are a few bytes, since releasing and publishing
//! never opens them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Catalog, Instance, Resource, Root, Units};
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::Envelope;

use crate::keys::openpgp::OpenPgpKey;
use crate::keys::roots::{Chain, Change};
use crate::keys::{self, SigningKey};
use crate::naming;
use crate::publish::{self, Obsolete, PublishError, Published, Unindexed, publish};
use crate::release::compose::{self, Composed, Purpose, Signers, compose};
use crate::release::drops::Drop;
use crate::release::error::ComposeError;
use crate::release::read::{self, Validity};
use crate::store::record::{self, Record};
use crate::store::{self, Overwrite, Store};

/// The default time.
pub(crate) const NOW: &str = "2026-11-20T10:00:00Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) struct Publisher {
    directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) served: Store,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) roots: Vec<Envelope>,
    pub(crate) root: Root,
    pub(crate) now: Timestamp,
    pub(crate) openpgp: Option<OpenPgpKey>,
    pub(crate) valid_for: Option<u32>,
    pub(crate) overwrite: Overwrite,
    pub(crate) purpose: Purpose,
    pub(crate) signers: Signers,
    pub(crate) obsolete: Obsolete,
    pub(crate) unindexed: Unindexed,
    pub(crate) drops: Vec<Drop>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let request = keys::Request {
            directory: &keys,
            repository: "example",
            url: "https://example.org/r",
            password: None,
            expires: time("2030-01-01T00:00:00Z"),
        };
        keys::generate(&request).unwrap();
        let (roots, root) = read::roots(&keys.join("roots.json")).unwrap();
        Self {
            store: Store::new(directory.path().join("store")),
            served: Store::new(directory.path().join("served")),
            keys: vec![SigningKey::read(&keys.join("catalog.key"), None).unwrap()],
            roots,
            root,
            now: time(NOW),
            openpgp: None,
            valid_for: None,
            overwrite: Overwrite::Refuse,
            purpose: Purpose::Offer,
            signers: Signers::All,
            obsolete: Obsolete::Keep,
            unindexed: Unindexed::Refuse,
            drops: Vec::new(),
            directory,
        }
    }

    /// Another publisher with the same keys and an empty store.
    pub(crate) fn colleague(&self) -> Self {
        let mut other = Self::new();
        other.keys = vec![self.twin()];
        (other.roots, other.root, other.now) = (self.roots.clone(), self.root.clone(), self.now);
        other
    }

    /// Another copy of the first catalog key.
    pub(crate) fn twin(&self) -> SigningKey {
        SigningKey::read(&self.key_directory().join("catalog.key"), None).unwrap()
    }

    /// Creates the next root without changes.
    pub(crate) fn rotate(&mut self) {
        self.rotate_to(None, None);
    }

    /// Creates the next root with these additional catalog keys and this threshold; returns the keys.
    pub(crate) fn share(&mut self, threshold: usize, others: &[&str]) -> Vec<SigningKey> {
        let path = |name: &str| self.key_directory().join(name);
        let made = others.iter().map(|name| keys::generate_single(&path(name), None).unwrap().0);
        let publics = self.root.catalog.keys.iter().cloned().chain(made).collect();
        let read = |name: &&str| SigningKey::read(&path(name).with_extension("key"), None).unwrap();
        let others = others.iter().map(read).collect();
        self.rotate_to(Some(publics), Some(threshold));
        others
    }

    pub(crate) fn rotate_to(&mut self, catalog_keys: Option<Vec<String>>, catalog_threshold: Option<usize>) {
        let keys = self.key_directory();
        let change = Change {
            keys: None,
            threshold: None,
            catalog_keys,
            catalog_threshold,
            catalog_lifetime: None,
            expires: self.root.expires,
        };
        let path = keys.join("roots.json");
        let mut chain = Chain::read(&path).unwrap().next(&path, change).unwrap();
        chain.sign(&SigningKey::read(&keys.join("root.key"), None).unwrap()).unwrap();
        chain.finish(&path, self.now).unwrap();
        (self.roots, self.root) = read::roots(&path).unwrap();
    }

    /// Puts an image with these bytes and its record into the store.
    pub(crate) fn put(&self, name: &str, version: &str, bytes: &[u8]) {
        let record = record(name, version, bytes);
        let stem = record.stem().unwrap();
        store::write(&self.store.file(name, &format!("{stem}.raw")), bytes).unwrap();
        let json = serde_json::to_vec(&record).unwrap();
        store::write(&self.store.file(name, &format!("{stem}.json")), &json).unwrap();
    }

    pub(crate) fn key_directory(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    pub(crate) fn compose(&self) -> Result<Composed, ComposeError> {
        compose(&compose::Request {
            store: &self.store,
            repository: "example",
            url: "https://example.org/r",
            keys: &self.keys,
            openpgp: self.openpgp.as_ref(),
            roots: &self.roots,
            root: &self.root,
            valid_for: self.valid_for,
            now: self.now,
            overwrite: self.overwrite,
            drops: &self.drops,
            purpose: self.purpose,
            signers: self.signers,
        })
    }

    /// Releases without these versions, which are no longer in the store.
    pub(crate) fn compose_without(&mut self, drops: &[&str]) -> Result<Composed, ComposeError> {
        self.drops = drops.iter().map(|drop| drop.parse().unwrap()).collect();
        let composed = self.compose();
        self.drops.clear();
        composed
    }

    pub(crate) fn publish(&self) -> Result<Published, PublishError> {
        let (store, target) = (&self.store, &self.served);
        publish(&publish::Request {
            store,
            target,
            now: self.now,
            obsolete: self.obsolete,
            unindexed: self.unindexed,
            drops: &self.drops,
        })
    }

    pub(crate) fn catalog(&self) -> Catalog {
        read::catalog(&self.store.catalog(), Validity::Expired).unwrap().unwrap().1
    }

    pub(crate) fn versions(&self, name: &str) -> Vec<String> {
        let catalog = self.catalog();
        catalog.extensions[name].instances.iter().map(|i| i.version.to_string()).collect()
    }
}

/// Every file below a directory with its path, sorted.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn record(name: &str, version: &str, bytes: &[u8]) -> Record {
    let (version, arch) = (version.parse().unwrap(), Architecture::X86_64);
    let stem = naming::stem(name, &version, arch).unwrap();
    let image =
        Resource { url: record::image_url(name, &stem), size: bytes.len() as u64, sha256: Sha256::of(bytes) };
    let instance = Instance {
        upstream: version.to_string(),
        version,
        revision: 1,
        stream: None,
        channel: "stable".to_owned(),
        arch,
        image,
        format: "erofs".to_owned(),
        codec: "none".to_owned(),
        kernel: "5.15".to_owned(),
        writer: "fake-1".to_owned(),
        verity: None,
        transport: Vec::new(),
        deltas: Vec::new(),
        release: BTreeMap::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        units: Units::default(),
        health: Vec::new(),
        waves: Vec::new(),
        withdrawn: None,
    };
    let description = format!("{name} as of {}", instance.version);
    let name = name.to_owned();
    Record { version: record::FORMAT, name, description, homepage: None, license: None, instance }
}
