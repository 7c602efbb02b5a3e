//! Signatures under a release that exists: one holder of a key after the other adds theirs.
//!
//! `index` writes a release that not enough have signed beside the finished one. It is handed from holder to
//! holder with its store; each sees what it says, finds that the store holds what it says, and signs the bytes
//! as they are. With the signature that completes it, it takes the place of the finished one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::checksums;
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::is_same_key;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust;

use super::read::{self, Validity};
use super::{check, compose};
use crate::keys::SigningKey;
use crate::keys::openpgp::{self, OpenPgpKey, Signatures};
use crate::store::openpgp::{OpenPgpDigests, SignedList};
use crate::store::{self, FileError, Pending, Store};

mod error;

pub(crate) use error::SignError;

/// A release that may get a signature.
#[derive(Debug)]
pub(crate) struct Release<'a> {
    store: &'a Store,
    /// Where it was read.
    path: PathBuf,
    /// Held to the end: two who sign at once would lose one signature.
    lock: Pending,
    file: CatalogFile,
    catalog: Catalog,
    root: Root,
    now: Timestamp,
}

/// What a release says, and who signed it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// The repository's name.
    pub(crate) repository: String,
    /// The number of the root that names the keys.
    pub(crate) root: u64,
    /// The catalog's serial.
    pub(crate) serial: u64,
    /// When it was made.
    pub(crate) issued: Timestamp,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// The digest of the bytes that are signed: the same for everybody who signs this release.
    pub(crate) sha256: Sha256,
    /// The versions on offer, by extension, and what changed since the last finished release.
    pub(crate) extensions: BTreeMap<String, Vec<Offered>>,
    /// How many must sign.
    pub(crate) threshold: usize,
    /// Those who did.
    pub(crate) signed: Vec<String>,
    /// Those who did not, any of whom may.
    pub(crate) unsigned: Vec<String>,
}

/// One image on offer.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Its version and architecture.
    pub(crate) version: String,
    /// The digest of its bytes.
    pub(crate) sha256: Sha256,
    /// Whether the last finished release offered it as well.
    pub(crate) since: Since,
}

/// Since when something is on offer.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Since {
    /// Since an earlier release.
    Before,
    /// Since this one.
    Now,
}

impl Summary {
    /// How many signatures are still missing.
    pub(crate) fn missing(&self) -> usize {
        self.threshold.saturating_sub(self.signed.len())
    }
}

impl<'a> Release<'a> {
    /// Opens the release that waits for signatures, or the finished one, and checks that it is the store's.
    pub(crate) fn open(store: &'a Store, now: Timestamp) -> Result<Self, SignError> {
        let lock = Pending::create(&store.catalog()).map_err(SignError::File)?;
        let finished = read::catalog(&store.catalog(), Validity::Ended).map_err(SignError::Offer)?;
        let pending = store.pending_catalog();
        let (path, file) = match store::read_if_present(&pending).map_err(SignError::File)? {
            Some(bytes) => {
                let file = serde_json::from_slice(&bytes)
                    .map_err(|source| SignError::Json { path: pending.clone(), source })?;
                (pending, file)
            }
            None => match &finished {
                Some((file, _)) => (store.catalog(), file.clone()),
                None => return Err(SignError::NotIndexed { path: store.catalog() }),
            },
        };
        let (catalog, root) = walked(&path, &file)?;
        if let Some((_, last)) = &finished {
            if last.repository != catalog.repository {
                return Err(SignError::OtherRepository {
                    store: store.root().to_owned(),
                    found: catalog.repository,
                    repository: last.repository.clone(),
                });
            }
            if (last.root, last.serial) >= (catalog.root, catalog.serial) && *last != catalog {
                return Err(SignError::Overtaken { path, serial: catalog.serial, last: last.serial });
            }
        }
        if catalog.expires <= now {
            return Err(SignError::Ended { path, expires: catalog.expires, now });
        }
        check::check(store, &catalog).map_err(SignError::Store)?;
        Ok(Self { store, path, lock, file, catalog, root, now })
    }

    /// What it says, and who signed it.
    pub(crate) fn summary(&self) -> Result<Summary, SignError> {
        let signed = self.signers()?;
        let is_signer = |key: &&String| signed.iter().any(|signer| is_same_key(signer, key));
        let unsigned = self.root.catalog.keys.iter().filter(|key| !is_signer(key)).cloned().collect();
        let last = read::catalog(&self.store.catalog(), Validity::Ended).map_err(SignError::Offer)?;
        let last = last.map(|(_, last)| last).filter(|_| self.path != self.store.catalog());
        let mut extensions = BTreeMap::new();
        for (name, extension) in &self.catalog.extensions {
            let before = last.as_ref().and_then(|last| last.extensions.get(name));
            let offered = extension.instances.iter().map(|instance| {
                let known = before.is_some_and(|before| {
                    before.instances.iter().any(|other| other.image.sha256 == instance.image.sha256)
                });
                Offered {
                    version: format!("{} {}", instance.version, instance.arch),
                    sha256: instance.image.sha256,
                    since: if known { Since::Before } else { Since::Now },
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

    /// Adds a signature. The key must be one whose signature counts, and must not have signed yet.
    pub(crate) fn sign(&mut self, key: &SigningKey) -> Result<(), SignError> {
        let public = key.public();
        let is_ours = |other: &String| is_same_key(other, &public);
        if !self.root.catalog.keys.iter().any(is_ours) {
            return Err(SignError::Stranger { key: public, root: self.root.number });
        }
        if self.signers()?.iter().any(is_ours) {
            return Err(SignError::Again { key: public, serial: self.catalog.serial });
        }
        let what = compose::comment(&self.catalog);
        let signature = key.sign(&self.bytes()?, &what).map_err(SignError::Key)?;
        self.file.catalog.signatures.push(signature);
        Ok(())
    }

    /// Signs each `SHA256SUMS` for stock tools; returns the extensions. What the catalog names already is left.
    pub(crate) fn sign_lists(&self, key: &OpenPgpKey) -> Result<Vec<String>, SignError> {
        let named = |name: &&String| self.catalog.extensions[*name].manifests.contains_key(openpgp::BINARY);
        if let Some(name) = self.catalog.extensions.keys().find(named) {
            return Err(SignError::Named { name: name.clone() });
        }
        let mut record = OpenPgpDigests::default();
        let mut made = Vec::new();
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
            made.push((name, armored, binary));
        }
        for (name, armored, binary) in &made {
            let write = |file, bytes| store::write(&self.store.file(name, file), bytes);
            write(openpgp::ARMORED, armored).map_err(SignError::File)?;
            write(openpgp::BINARY, binary).map_err(SignError::File)?;
        }
        record.write(self.store).map_err(SignError::File)?;
        Ok(record.into_names())
    }

    /// Writes the release back: to its place once enough have signed, else to where it waits.
    pub(crate) fn write(mut self) -> Result<(), SignError> {
        let json = |source| SignError::Json { path: self.path.clone(), source };
        let mut document = serde_json::to_vec_pretty(&self.file).map_err(json)?;
        document.push(b'\n');
        if self.signers()?.len() < self.root.catalog.threshold {
            return store::write(&self.store.pending_catalog(), &document)
                .map(|_| ())
                .map_err(SignError::File);
        }
        let (roots, repository) = (&self.file.roots, &self.catalog.repository);
        read::check(&self.path, &document, roots, repository, Validity::At(self.now))
            .map_err(SignError::Offer)?;
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

/// The catalog in a file that not enough need have signed, and the root that names its keys.
fn walked(path: &Path, file: &CatalogFile) -> Result<(Catalog, Root), SignError> {
    let envelope = |source| SignError::Envelope { path: path.to_owned(), source };
    let catalog: Catalog = file.catalog.unpack_unverified().map_err(envelope)?;
    let first = file.roots.first().ok_or_else(|| SignError::NoRoot { path: path.to_owned() })?;
    let first: Root = first.unpack_unverified().map_err(envelope)?;
    let node = Repository {
        id: catalog.repository.clone(),
        url: String::new(),
        mirrors: Vec::new(),
        root: first.role(),
    };
    let root = trust::newest_root(&file.roots, &node, None)
        .map_err(|source| SignError::Trust { path: path.to_owned(), source })?;
    if catalog.root != root.number {
        return Err(SignError::OtherRoot { path: path.to_owned(), found: catalog.root, newest: root.number });
    }
    Ok((catalog, root))
}

#[cfg(test)]
mod tests;
