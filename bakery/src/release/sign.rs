//! Adds signatures to a release: each holder of a key signs in turn.
//!
//! `index` writes a release that lacks signatures next to the finished one. The store is passed from holder to holder;
//! each sees what the release offers, checks that the store contains it, and signs the same bytes. The last required
//! signature makes it the finished release.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::checksums;
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::is_same_key;
use sysext_manifests::version::Version;

use super::read::{self, Validity};
use super::{check, seal};
use crate::keys::SigningKey;
use crate::keys::openpgp::{self, OpenPgpKey, Signatures};
use crate::store::openpgp::{OpenPgpDigests, SignedList};
use crate::store::{self, FileError, JsonError, Pending, Store};

mod error;

pub(crate) use error::SignError;

/// A release that can be signed.
#[derive(Debug)]
pub(crate) struct Release<'a> {
    store: &'a Store,
    path: PathBuf,
    /// Held to the end: of two signatures made at the same time, one would be lost.
    lock: Pending,
    file: CatalogFile,
    catalog: Catalog,
    root: Root,
    now: Timestamp,
}

/// What a release offers, and who signed it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) repository: String,
    /// The number of the root with the catalog keys.
    pub(crate) root: u64,
    pub(crate) serial: u64,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// The digest of the signed bytes: the same for every signer of this release.
    pub(crate) sha256: Sha256,
    /// The images on offer, and what changed since the last finished release.
    pub(crate) extensions: BTreeMap<String, Vec<Offered>>,
    /// The number of required signatures.
    pub(crate) threshold: usize,
    /// The keys that signed.
    pub(crate) signed: Vec<String>,
    /// The keys that can still sign.
    pub(crate) unsigned: Vec<String>,
}

/// One image on offer.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) version: Version,
    pub(crate) arch: Architecture,
    pub(crate) sha256: Sha256,
    /// Whether the last finished release did not offer it.
    pub(crate) is_new: bool,
}

impl Summary {
    /// The number of signatures that are still required.
    pub(crate) fn missing(&self) -> usize {
        self.threshold.saturating_sub(self.signed.len())
    }
}

impl<'a> Release<'a> {
    /// Opens the pending release, or else the finished one, and checks that it matches the store.
    pub(crate) fn open(store: &'a Store, now: Timestamp) -> Result<Self, SignError> {
        let lock = Pending::create(&store.catalog()).map_err(SignError::File)?;
        let finished = read::catalog(&store.catalog(), Validity::Expired).map_err(SignError::Catalog)?;
        let pending = store.pending_catalog();
        let (path, file) = match store::read_if_present(&pending).map_err(SignError::File)? {
            Some(bytes) => {
                let file: CatalogFile = serde_json::from_slice(&bytes)
                    .map_err(|error| SignError::Json(JsonError::new(&pending, &error)))?;
                (pending, file)
            }
            None => match &finished {
                Some((file, _)) => (store.catalog(), file.clone()),
                None => return Err(SignError::NotIndexed { path: store.catalog() }),
            },
        };
        let (catalog, root) = read::unsigned(&path, &file).map_err(SignError::Altered)?;
        // Nobody signs what `summary` cannot show.
        file.catalog
            .unpack_to_sign::<Catalog>()
            .map_err(|source| SignError::Envelope { path: path.clone(), source })?;
        if let Some((_, last)) = &finished {
            if last.repository != catalog.repository {
                return Err(SignError::OtherRepository {
                    store: store.root().to_owned(),
                    found: catalog.repository,
                    repository: last.repository.clone(),
                });
            }
            if (last.root, last.serial) >= (catalog.root, catalog.serial) && *last != catalog {
                return Err(SignError::Superseded { path, serial: catalog.serial, last: last.serial });
            }
        }
        if catalog.expires <= now {
            return Err(SignError::Expired { path, expires: catalog.expires, now });
        }
        check::check(store, &catalog).map_err(SignError::Store)?;
        Ok(Self { store, path, lock, file, catalog, root, now })
    }

    /// What the release offers, and who signed it.
    pub(crate) fn summary(&self) -> Result<Summary, SignError> {
        let signed = self.signers()?;
        let is_signer = |key: &&String| signed.iter().any(|signer| is_same_key(signer, key));
        let unsigned = self.root.catalog.keys.iter().filter(|key| !is_signer(key)).cloned().collect();
        let last = read::catalog(&self.store.catalog(), Validity::Expired).map_err(SignError::Catalog)?;
        let last = last.map(|(_, last)| last).filter(|_| self.path != self.store.catalog());
        let mut extensions = BTreeMap::new();
        for (name, extension) in &self.catalog.extensions {
            let before = last.as_ref().and_then(|last| last.extensions.get(name));
            let offered = extension.instances.iter().map(|instance| {
                let known = before.is_some_and(|before| {
                    before.instances.iter().any(|other| other.image.sha256 == instance.image.sha256)
                });
                Offered {
                    version: instance.version.clone(),
                    arch: instance.arch,
                    sha256: instance.image.sha256,
                    is_new: !known,
                }
            });
            extensions.insert(name.clone(), offered.collect());
        }
        Ok(Summary {
            repository: self.catalog.repository.clone(),
            root: self.root.number,
            serial: self.catalog.serial,
            issued: self.catalog.issued,
            expires: self.catalog.expires,
            sha256: Sha256::of(&self.bytes()?),
            extensions,
            threshold: self.root.catalog.threshold,
            signed,
            unsigned,
        })
    }

    /// Adds a signature. The key must be a catalog key of the newest root, and must not have signed yet.
    pub(crate) fn sign(&mut self, key: &SigningKey) -> Result<(), SignError> {
        let public = key.public();
        let is_this = |other: &String| is_same_key(other, &public);
        if !self.root.catalog.keys.iter().any(is_this) {
            return Err(SignError::UnknownKey { key: public, root: self.root.number });
        }
        if self.signers()?.iter().any(is_this) {
            return Err(SignError::AlreadySigned { key: public, serial: self.catalog.serial });
        }
        let comment = seal::comment(&self.catalog);
        let signature = key.sign(&self.bytes()?, &comment).map_err(SignError::Key)?;
        self.file.catalog.signatures.push(signature);
        Ok(())
    }

    /// Signs each `SHA256SUMS` for stock tools; returns the extensions. Refused if the catalog names signatures.
    pub(crate) fn sign_lists(&self, key: &OpenPgpKey) -> Result<Vec<String>, SignError> {
        let named = |name: &&String| self.catalog.extensions[*name].manifests.contains_key(openpgp::BINARY);
        if let Some(name) = self.catalog.extensions.keys().find(named) {
            return Err(SignError::HasSignatures { name: name.clone() });
        }
        let mut record = OpenPgpDigests::default();
        let mut signed = Vec::new();
        for name in self.catalog.extensions.keys() {
            let path = self.store.file(name, checksums::FILE_NAME);
            let list = std::fs::read(&path)
                .map_err(|source| SignError::File(FileError::Read { path: path.clone(), source }))?;
            let Signatures { armored, binary } = key.sign(&list, self.now).map_err(SignError::OpenPgp)?;
            let digests = SignedList {
                list: Sha256::of(&list),
                armored: Sha256::of(&armored),
                binary: Sha256::of(&binary),
            };
            record.insert(name.clone(), digests);
            signed.push((name, armored, binary));
        }
        for (name, armored, binary) in &signed {
            let write = |file, bytes| store::write(&self.store.file(name, file), bytes);
            write(openpgp::ARMORED, armored).map_err(SignError::File)?;
            write(openpgp::BINARY, binary).map_err(SignError::File)?;
        }
        record.write(self.store).map_err(SignError::File)?;
        Ok(record.into_names())
    }

    /// Writes the release back: as the finished one if it has all required signatures, otherwise as the pending one.
    pub(crate) fn write(mut self) -> Result<(), SignError> {
        let mut document = serde_json::to_vec_pretty(&self.file).map_err(SignError::Write)?;
        document.push(b'\n');
        if self.signers()?.len() < self.root.catalog.threshold {
            return store::write(&self.store.pending_catalog(), &document)
                .map(|_| ())
                .map_err(SignError::File);
        }
        let (roots, repository) = (&self.file.roots, &self.catalog.repository);
        read::check(&self.path, &document, roots, repository, Validity::At(self.now))
            .map_err(SignError::Catalog)?;
        self.lock.write(&document).map_err(SignError::File)?;
        self.lock.commit().map_err(SignError::File)?;
        store::remove_if_present(&self.store.pending_catalog()).map_err(SignError::File)
    }

    fn signers(&self) -> Result<Vec<String>, SignError> {
        let signers = self.file.catalog.signers(&self.root.catalog);
        signers.map_err(|source| SignError::Envelope { path: self.path.clone(), source })
    }

    fn bytes(&self) -> Result<Vec<u8>, SignError> {
        self.file.catalog.bytes().map_err(|source| SignError::Envelope { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests;
