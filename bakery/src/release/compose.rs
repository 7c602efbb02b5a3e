//! A release: everything in the store as one signed catalog, with the manifests for stock tools.
//!
//! The catalog is written last, and only after it passed the checks that nodes make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, CatalogFile, Extension, FORMAT, Root};
use sysext_manifests::checksums;
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::{Envelope, is_same_key};

use super::collect::{self, Collected, Note};
use super::drops::{self, Drop};
use super::error::ComposeError;
use super::manifests::{self, Publication};
use super::read::{self, CatalogError, Validity};
use super::seal::{Signed, expiry, seal};
use crate::keys::SigningKey;
use crate::keys::openpgp::{self, OpenPgpKey};
use crate::naming;
use crate::store::dropped::Dropped;
use crate::store::{self, JsonError, Overwrite, Pending, Store};

/// What to release, and how.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) store: &'a Store,
    pub(crate) repository: &'a str,
    /// The base URL of the repository.
    pub(crate) url: &'a str,
    /// The keys that sign: at least as many as the newest root requires, unless others sign later.
    pub(crate) keys: &'a [SigningKey],
    /// The key that signs `SHA256SUMS` for stock tools.
    pub(crate) openpgp: Option<&'a OpenPgpKey>,
    /// The chain of roots.
    pub(crate) roots: &'a [Envelope],
    /// The newest root.
    pub(crate) root: &'a Root,
    /// The validity in days, if it is announced to stock tools too.
    pub(crate) valid_for: Option<u32>,
    /// The time of signing.
    pub(crate) now: Timestamp,
    pub(crate) overwrite: Overwrite,
    /// Versions that may disappear from the catalog.
    pub(crate) drops: &'a [Drop],
    pub(crate) purpose: Purpose,
    pub(crate) signers: Signers,
}

/// When the required signatures are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signers {
    /// All of them now.
    #[default]
    All,
    /// Some later: until then, the release is pending, next to the finished one.
    OthersLater,
}

/// What a release is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To offer what is in the store.
    #[default]
    Offer,
    /// To extend the current release. A store with other contents is refused.
    Refresh,
}

/// A new release.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Composed {
    pub(crate) repository: String,
    pub(crate) url: String,
    pub(crate) serial: u64,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// The first key that signed.
    pub(crate) key: String,
    /// All keys that signed.
    pub(crate) keys: Vec<String>,
    /// The number of signatures that are still required.
    pub(crate) missing: usize,
    /// The fingerprint of the OpenPGP certificate that signed for stock tools.
    pub(crate) openpgp: Option<String>,
    /// The digest of `catalog.json`.
    pub(crate) sha256: Sha256,
    /// The number of images of each extension.
    pub(crate) extensions: BTreeMap<String, usize>,
    pub(crate) notes: Vec<Note>,
}

/// The last releases of a store.
struct Previous {
    /// The finished one.
    finished: Option<(CatalogFile, Catalog)>,
    /// A release that lacks signatures, which this one replaces.
    pending: Option<Catalog>,
}

impl Previous {
    fn read(request: &Request<'_>) -> Result<Self, ComposeError> {
        let finished =
            read::catalog(&request.store.catalog(), Validity::Expired).map_err(ComposeError::Catalog)?;
        if let Some((file, last)) = &finished {
            check_follows(request, file, last)?;
        }
        Ok(Self { finished, pending: pending(request.store)? })
    }

    fn catalog(&self) -> Option<&Catalog> {
        self.finished.as_ref().map(|(_, catalog)| catalog)
    }
}

/// Creates a release of everything in the store.
pub(crate) fn compose(request: &Request<'_>) -> Result<Composed, ComposeError> {
    let store = request.store;
    naming::check_repository(request.repository).map_err(ComposeError::Naming)?;
    check_keys(request)?;
    let expires = expiry(request.now, request.valid_for, request.root)?;
    // Before anything is written: a missing store would be created, and an empty catalog signed.
    if !store.is_one().map_err(ComposeError::File)? {
        return Err(ComposeError::NoStore { store: store.root().to_owned() });
    }
    // Held to the end: two releases at the same time would use the same serial.
    let lock = Pending::create(&store.catalog()).map_err(ComposeError::File)?;
    let previous = Previous::read(request)?;

    let Collected { mut extensions, mut notes } =
        collect::collect(store, previous.catalog(), request.overwrite)?;
    let dropped = dropped(request, previous.catalog(), &extensions, &mut notes)?;
    if extensions.is_empty() && previous.catalog().is_none() {
        return Err(ComposeError::Nothing { store: store.root().to_owned() });
    }
    notes.extend(notes_about(request, &previous, expires));
    let files = add_manifests(request, expires, &mut extensions)?;
    if request.purpose == Purpose::Refresh {
        check_same(previous.catalog(), &extensions)?;
    }
    let catalog = Catalog {
        version: FORMAT,
        repository: request.repository.to_owned(),
        root: request.root.number,
        serial: next_serial(request.root, &previous)?,
        issued: request.now,
        expires,
        extensions,
    };
    let signed = seal(&store.catalog(), request.keys, request.roots, request.root, &catalog)?;

    dropped.write(store).map_err(ComposeError::Dropped)?;
    write(request, &catalog, files, &signed, lock)?;
    Ok(Composed {
        repository: catalog.repository,
        url: request.url.to_owned(),
        serial: catalog.serial,
        issued: catalog.issued,
        expires: catalog.expires,
        key: request.keys.first().map(SigningKey::public).unwrap_or_default(),
        keys: request.keys.iter().map(SigningKey::public).collect(),
        missing: signed.missing,
        openpgp: request.openpgp.map(OpenPgpKey::fingerprint),
        sha256: Sha256::of(&signed.document),
        extensions: catalog.extensions.iter().map(|(name, e)| (name.clone(), e.instances.len())).collect(),
        notes,
    })
}

/// A release continues the last one in the store.
fn check_follows(request: &Request<'_>, file: &CatalogFile, last: &Catalog) -> Result<(), ComposeError> {
    if last.repository != request.repository {
        return Err(ComposeError::OtherRepository {
            store: request.store.root().to_owned(),
            found: last.repository.clone(),
            repository: request.repository.to_owned(),
        });
    }
    // A catalog under an older root may be signed with a stolen key, so its time is ignored.
    if last.issued > request.now && last.root == request.root.number {
        return Err(ComposeError::ClockBehind { now: request.now, issued: last.issued });
    }
    if last.root > request.root.number && file.roots.first() == request.roots.first() {
        return Err(ComposeError::OlderRoot { root: request.root.number, last: last.root });
    }
    Ok(())
}

/// A release that lacks signatures.
fn pending(store: &Store) -> Result<Option<Catalog>, ComposeError> {
    let path = store.pending_catalog();
    let Some(bytes) = store::read_if_present(&path).map_err(ComposeError::File)? else { return Ok(None) };
    let file: CatalogFile = serde_json::from_slice(&bytes)
        .map_err(|error| ComposeError::Catalog(CatalogError::Json(JsonError::new(&path, &error))))?;
    let catalog = file.catalog.unpack_unverified();
    catalog.map(Some).map_err(|source| ComposeError::Catalog(CatalogError::Envelope { path, source }))
}

/// Every image that disappears from the catalog must be named by the publisher.
fn dropped(
    request: &Request<'_>,
    previous: Option<&Catalog>,
    extensions: &BTreeMap<String, Extension>,
    notes: &mut Vec<Note>,
) -> Result<Dropped, ComposeError> {
    let missing = previous.map(|previous| drops::missing(previous, extensions)).unwrap_or_default();
    let offered = |url: &str| {
        let mut instances = extensions.values().flat_map(|extension| &extension.instances);
        instances.any(|instance| instance.image.url == url)
    };
    // A replaced image is still offered under its name: `collect` has asked for --replace.
    let gone: Vec<_> = missing.iter().filter(|missing| !offered(&missing.url)).collect();
    if let Some(drop) = request.drops.iter().find(|drop| !gone.iter().any(|gone| gone.is(drop))) {
        let in_store = extensions.iter().any(|(name, extension)| {
            extension.instances.iter().any(|instance| drops::Missing::of(name, instance).is(drop))
        });
        return Err(match in_store {
            true => ComposeError::DropPresent { drop: drop.clone() },
            false => ComposeError::DropUnknown { drop: drop.clone() },
        });
    }
    let unnamed = |gone: &&&drops::Missing| !request.drops.iter().any(|drop| gone.is(drop));
    let unnamed: Vec<_> = gone.iter().filter(unnamed).map(|gone| (*gone).clone()).collect();
    if !unnamed.is_empty() {
        return Err(ComposeError::Missing { store: request.store.root().to_owned(), missing: unnamed });
    }
    notes.extend(gone.iter().map(|gone| Note::Dropped { image: gone.url.clone() }));
    let mut dropped = Dropped::read(request.store).map_err(ComposeError::Dropped)?;
    missing.iter().for_each(|missing| dropped.add(&missing.url, missing.sha256));
    Ok(dropped)
}

fn notes_about(request: &Request<'_>, previous: &Previous, expires: Timestamp) -> Vec<Note> {
    let last_roots = previous.finished.as_ref().map(|(file, _)| &file.roots);
    let root = request.root;
    let mut notes = Vec::new();
    if last_roots.is_some_and(|last| last.first() != request.roots.first()) {
        notes.push(Note::OtherRoot);
    }
    if request.openpgp.is_none() && is_open(request.url) {
        notes.push(Note::Unencrypted);
    }
    if root.expires < expires {
        notes.push(Note::RootExpiresFirst { root: root.number, expires: root.expires });
    }
    notes
}

/// Whether others can change what is downloaded from a URL: it is neither encrypted nor local.
fn is_open(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
}

/// Adds the digests of the manifests to the extensions; returns the files to write.
fn add_manifests(
    request: &Request<'_>,
    expires: Timestamp,
    extensions: &mut BTreeMap<String, Extension>,
) -> Result<Vec<(PathBuf, Vec<u8>)>, ComposeError> {
    let publication = Publication {
        repository: request.repository,
        url: request.url,
        openpgp: request.openpgp,
        now: request.now,
        best_before: request.valid_for.map(|_| expires),
    };
    let mut files = Vec::new();
    for (name, extension) in extensions {
        let listed = manifests::files(&publication, name, extension)?;
        extension.manifests = listed
            .iter()
            .filter(|(file, _)| file != checksums::FILE_NAME)
            .map(|(file, bytes)| (file.clone(), Sha256::of(bytes)))
            .collect();
        check_names(extension)?;
        files.extend(listed.into_iter().map(|(file, bytes)| (request.store.file(name, &file), bytes)));
    }
    Ok(files)
}

/// No published name of an extension may extend another. Signatures are not listed in the manifest, so
/// that nothing can be installed under their names.
fn check_names(extension: &Extension) -> Result<(), ComposeError> {
    let images = extension.instances.iter().map(|instance| instance.image.file_name());
    let is_signature = |name: &&str| matches!(*name, openpgp::ARMORED | openpgp::BINARY);
    let manifests = extension.manifests.keys().map(String::as_str).filter(|name| !is_signature(name));
    let names = images.chain(manifests).chain([checksums::FILE_NAME]);
    match naming::extended(names) {
        None => Ok(()),
        Some((shorter, longer)) => {
            Err(ComposeError::Extended { shorter: shorter.to_owned(), longer: longer.to_owned() })
        }
    }
}

/// The new catalog offers exactly what the last one offered.
fn check_same(
    previous: Option<&Catalog>,
    extensions: &BTreeMap<String, Extension>,
) -> Result<(), ComposeError> {
    let last = &previous.ok_or(ComposeError::NothingToRefresh)?.extensions;
    let names: BTreeSet<&String> = last.keys().chain(extensions.keys()).collect();
    let changed = names.into_iter().filter(|name| last.get(*name) != extensions.get(*name));
    let changed: Vec<String> = changed.cloned().collect();
    if changed.is_empty() { Ok(()) } else { Err(ComposeError::RefreshChanges { changed }) }
}

/// Enough keys, each once.
fn check_keys(request: &Request<'_>) -> Result<(), ComposeError> {
    let publics: Vec<String> = request.keys.iter().map(SigningKey::public).collect();
    let twice = |(index, key): &(usize, &String)| publics[..*index].iter().any(|k| is_same_key(k, key));
    if let Some((_, key)) = publics.iter().enumerate().find(twice) {
        return Err(ComposeError::KeyTwice { key: key.clone() });
    }
    let Root { number, catalog, .. } = request.root;
    if publics.len() < catalog.threshold && request.signers == Signers::All {
        return Err(ComposeError::Threshold {
            root: *number,
            threshold: catalog.threshold,
            given: publics.len(),
        });
    }
    Ok(())
}

/// Serials count under one root. A new root restarts at 1, also after the highest serial, which an attacker may have
/// signed. A serial that was signed before is never used again.
fn next_serial(root: &Root, previous: &Previous) -> Result<u64, ComposeError> {
    let used = previous.catalog().into_iter().chain(&previous.pending);
    match used.filter(|last| last.root == root.number).map(|last| last.serial).max() {
        None => Ok(1),
        Some(last) => last.checked_add(1).ok_or(ComposeError::LastSerial { root: root.number }),
    }
}

fn write(
    request: &Request<'_>,
    catalog: &Catalog,
    files: Vec<(PathBuf, Vec<u8>)>,
    signed: &Signed,
    mut lock: Pending,
) -> Result<(), ComposeError> {
    let store = request.store;
    // These belong to another release from here on.
    for path in [store.pending_catalog(), store.openpgp_digests()] {
        store::remove_if_present(&path).map_err(ComposeError::File)?;
    }
    if request.openpgp.is_none() {
        for name in catalog.extensions.keys() {
            remove_signatures(store, name)?;
        }
    }
    for (path, bytes) in files {
        store::write(&path, &bytes).map_err(ComposeError::File)?;
    }
    if signed.missing > 0 {
        return store::write(&store.pending_catalog(), &signed.document)
            .map(|_| ())
            .map_err(ComposeError::File);
    }
    lock.write(&signed.document).map_err(ComposeError::File)?;
    lock.commit().map_err(ComposeError::File)
}

/// Signatures of an earlier release would not match this one.
fn remove_signatures(store: &Store, name: &str) -> Result<(), ComposeError> {
    [openpgp::ARMORED, openpgp::BINARY]
        .iter()
        .try_for_each(|file| store::remove_if_present(&store.file(name, file)).map_err(ComposeError::File))
}

#[cfg(test)]
mod tests;
