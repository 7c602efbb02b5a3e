//! Copies a release into a directory that a server serves: images first, the catalog last, so that a client finds
//! every file that the catalog names.
//!
//! A `SHA256SUMS` and its OpenPGP signatures cannot be replaced atomically. All are written under temporary names first
//! and then renamed one right after the other, the manifest first: stock systemd-sysupdate downloads them in that order,
//! so it sees a mismatch only if its two requests fall on either side of the renames. With the signature first it would
//! also fail in between. It fails then, and succeeds on the next attempt.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, Extension};
use sysext_manifests::checksums;
use sysext_manifests::digest::Sha256;

use self::history::History;
use crate::keys::openpgp;
use crate::naming;
use crate::release::check::{self, CheckError, File, is_file_name};
use crate::release::collect;
use crate::release::drops::{self, Drop};
use crate::release::read::{self, Validity};
use crate::store::dropped::Dropped;
use crate::store::{self, FileError, Pending, Store};

mod error;
mod history;

pub(crate) use error::PublishError;

/// What to publish, and where.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The store with the release.
    pub(crate) store: &'a Store,
    /// The directory that is served.
    pub(crate) target: &'a Store,
    /// The time: an expired catalog is refused.
    pub(crate) now: Timestamp,
    pub(crate) obsolete: Obsolete,
    pub(crate) unindexed: Unindexed,
    /// Versions that may disappear from what is published.
    pub(crate) drops: &'a [Drop],
}

/// What to do with images in the served directory that this store published and that the catalog does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Obsolete {
    #[default]
    Keep,
    /// Remove them after the catalog was replaced.
    Remove,
}

/// What to do if the store contains images that the release does not offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unindexed {
    /// Refuse to publish: `bakery index` was probably forgotten.
    #[default]
    Refuse,
    Allow,
}

/// What was published.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) repository: String,
    pub(crate) serial: u64,
    pub(crate) expires: Timestamp,
    /// The copied files in that order, relative to the directory.
    pub(crate) copied: Vec<String>,
    /// Their size in bytes.
    pub(crate) bytes: u64,
    /// The number of files that were up to date.
    pub(crate) unchanged: usize,
    /// The images that were removed.
    pub(crate) removed: Vec<String>,
    pub(crate) notes: Vec<Note>,
}

/// What the publisher should know.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Note {
    /// The transfer files set `Verify=no`.
    Unsigned,
    /// The last release had OpenPGP signatures and this one has none.
    SignatureGone,
    /// The directory of an extension that is not on offer any more.
    Kept { name: String },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str(
                "the transfer files contain Verify=no: sysupdate checks the signed catalog, but stock \
                 systemd-sysupdate trusts the server alone",
            ),
            Self::SignatureGone => f.write_str(
                "the last release was signed with OpenPGP and this one is not: nodes whose transfer files set \
                 Verify=yes and no Repository= will fail",
            ),
            Self::Kept { name } => write!(
                f,
                "{name} is no longer offered; its directory was kept; nodes still using it fail once it is removed"
            ),
        }
    }
}

/// Publishes the release in the store.
pub(crate) fn publish(request: &Request<'_>) -> Result<Published, PublishError> {
    let Request { store, target, .. } = request;
    if !store.is_one().map_err(PublishError::File)? {
        return Err(PublishError::NoStore { store: store.root().to_owned() });
    }
    let pending = store.pending_catalog();
    if pending.symlink_metadata().is_ok() {
        return Err(PublishError::Unfinished { path: pending });
    }
    let (_, catalog) = read::catalog(&store.catalog(), Validity::At(request.now))
        .map_err(PublishError::Catalog)?
        .ok_or_else(|| PublishError::NotIndexed { store: store.root().to_owned() })?;
    if request.unindexed == Unindexed::Refuse {
        let unindexed = collect::unindexed(store, &catalog).map_err(PublishError::Collect)?;
        if !unindexed.is_empty() {
            return Err(PublishError::Unindexed { store: store.root().to_owned(), unindexed });
        }
    }
    let contents = check::check(store, &catalog).map_err(PublishError::Check)?;

    // Held to the end: two publishers at the same time could leave an older catalog with newer files.
    let lock = Pending::create(&target.catalog()).map_err(PublishError::File)?;
    let served = check_served(request, &catalog)?;
    // Written before anything is copied: a later run could not tell these files from those of others.
    let mut history = History::read(store)?;
    served.iter().for_each(|served| history.add(served));
    history.add(&catalog);
    history.write(store)?;

    let mut unsigned = Vec::new();
    let mut copying = Copying { store, target, copied: Vec::new(), bytes: 0, unchanged: 0 };
    for file in &contents.files {
        copying.file(file)?;
    }
    for (name, list) in &contents.lists {
        copying.at_once(list)?;
        if list.len() == 1 {
            unsigned.extend(remove_signatures(target, name)?);
        }
    }
    copying.catalog(lock)?;
    let mut removed = match request.obsolete {
        Obsolete::Keep => Vec::new(),
        Obsolete::Remove => remove_obsolete(target, &catalog, &history)?,
    };
    let mut notes = notes(target, &catalog)?;
    if !unsigned.is_empty() {
        notes.push(Note::SignatureGone);
    }
    removed.extend(unsigned);
    Ok(Published {
        repository: catalog.repository.clone(),
        serial: catalog.serial,
        expires: catalog.expires,
        copied: copying.copied,
        bytes: copying.bytes,
        unchanged: copying.unchanged,
        removed,
        notes,
    })
}

/// The catalog that is published now. It must not be newer, of another repository, or offer more.
fn check_served(request: &Request<'_>, catalog: &Catalog) -> Result<Option<Catalog>, PublishError> {
    let target = request.target;
    let Some((_, served)) =
        read::catalog(&target.catalog(), Validity::Expired).map_err(PublishError::Catalog)?
    else {
        return Ok(None);
    };
    if served.repository != catalog.repository {
        return Err(PublishError::OtherRepository {
            target: target.root().to_owned(),
            found: served.repository,
            repository: catalog.repository.clone(),
        });
    }
    if (served.root, served.serial) > (catalog.root, catalog.serial) {
        return Err(PublishError::Older {
            target: target.root().to_owned(),
            found: served.serial,
            found_root: served.root,
            serial: catalog.serial,
            root: catalog.root,
        });
    }
    if (served.root, served.serial) == (catalog.root, catalog.serial) && served != *catalog {
        return Err(PublishError::Fork { target: target.root().to_owned(), serial: catalog.serial });
    }
    check_missing(request, &served, catalog)?;
    Ok(Some(served))
}

/// Whatever the new release no longer offers was dropped on purpose, in this store or by an option. Otherwise another
/// publisher released it, and it would disappear without notice.
fn check_missing(request: &Request<'_>, served: &Catalog, catalog: &Catalog) -> Result<(), PublishError> {
    let mut missing = drops::missing(served, &catalog.extensions);
    if let Some(drop) = request.drops.iter().find(|drop| !missing.iter().any(|missing| missing.is(drop))) {
        return Err(PublishError::DropUnknown { drop: drop.clone() });
    }
    let dropped = Dropped::read(request.store).map_err(PublishError::Dropped)?;
    missing.retain(|missing| {
        !dropped.contains(&missing.url, missing.sha256) && !request.drops.iter().any(|drop| missing.is(drop))
    });
    if missing.is_empty() {
        return Ok(());
    }
    let target = request.target.root().to_owned();
    Err(PublishError::Missing { target, serial: served.serial, missing })
}

struct Copying<'a> {
    store: &'a Store,
    target: &'a Store,
    copied: Vec<String>,
    bytes: u64,
    unchanged: usize,
}

impl Copying<'_> {
    fn file(&mut self, file: &File) -> Result<(), PublishError> {
        self.at_once(std::slice::from_ref(file))
    }

    /// Copies files, then renames them one right after the other.
    fn at_once(&mut self, files: &[File]) -> Result<(), PublishError> {
        let pending = files.iter().map(|file| self.prepare(file)).collect::<Result<Vec<_>, _>>()?;
        for (file, pending) in files.iter().zip(pending) {
            let Some((pending, length)) = pending else {
                self.unchanged += 1;
                continue;
            };
            pending.commit().map_err(PublishError::File)?;
            self.copied.push(file.path.clone());
            self.bytes += length;
        }
        Ok(())
    }

    /// A copy under a temporary name, and its length; nothing if the file is up to date.
    fn prepare(&self, file: &File) -> Result<Option<(Pending, u64)>, PublishError> {
        let File { path, sha256: expected } = file;
        let expected = *expected;
        let (from, to) = (self.store.root().join(path), self.target.root().join(path));
        if has_digest(&to, expected)? {
            return Ok(None);
        }
        let mut pending = Pending::create(&to).map_err(PublishError::File)?;
        let (found, length) =
            store::stream(&from, |bytes| pending.write(bytes)).map_err(PublishError::File)?;
        if found != expected {
            // It changed since it was checked.
            return Err(PublishError::Check(CheckError::Damaged { path: from, expected, found }));
        }
        Ok(Some((pending, length)))
    }

    fn catalog(&mut self, mut pending: Pending) -> Result<(), PublishError> {
        let path = self.store.catalog();
        let bytes = fs::read(&path).map_err(|source| PublishError::File(FileError::Read { path, source }))?;
        if has_digest(&self.target.catalog(), Sha256::of(&bytes))? {
            self.unchanged += 1;
            return Ok(());
        }
        pending.write(&bytes).map_err(PublishError::File)?;
        pending.commit().map_err(PublishError::File)?;
        self.copied.push(format!("{}/catalog.json", naming::CATALOG));
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn has_digest(path: &Path, expected: Sha256) -> Result<bool, PublishError> {
    if !path.exists() {
        return Ok(false);
    }
    store::digest(path).map(|(found, _)| found == expected).map_err(PublishError::File)
}

/// Removes signatures of an earlier release, which match nothing any more.
fn remove_signatures(target: &Store, name: &str) -> Result<Vec<String>, PublishError> {
    let mut removed = Vec::new();
    for file in [openpgp::ARMORED, openpgp::BINARY] {
        let path = target.file(name, file);
        match fs::remove_file(&path) {
            Ok(()) => removed.push(format!("{name}/{file}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(PublishError::File(FileError::Write { path, source })),
        }
    }
    Ok(removed)
}

/// Removes images of extensions on offer that this store published and that the catalog does not list. Files of others
/// are kept, also under the name of such an image.
fn remove_obsolete(
    target: &Store,
    catalog: &Catalog,
    history: &History,
) -> Result<Vec<String>, PublishError> {
    let instances = catalog.extensions.values().flat_map(|extension| &extension.instances);
    let listed: BTreeSet<&str> = instances.map(|instance| instance.image.url.as_str()).collect();
    let mut removed = Vec::new();
    for (url, sha256) in &history.images {
        let is_published = url
            .split_once('/')
            .is_some_and(|(name, file)| catalog.extensions.contains_key(name) && is_file_name(file));
        let path = target.root().join(url);
        if !is_published || listed.contains(url.as_str()) || !has_digest(&path, *sha256)? {
            continue;
        }
        fs::remove_file(&path)
            .map_err(|source| PublishError::File(FileError::Write { path: path.clone(), source }))?;
        removed.push(url.clone());
    }
    Ok(removed)
}

fn notes(target: &Store, catalog: &Catalog) -> Result<Vec<Note>, PublishError> {
    let mut notes = Vec::new();
    let signed = |extension: &Extension| extension.manifests.contains_key(openpgp::BINARY);
    if !catalog.extensions.values().all(signed) {
        notes.push(Note::Unsigned);
    }
    for name in target.extensions().map_err(PublishError::File)? {
        let was_extension = target.file(&name, checksums::FILE_NAME).exists();
        if was_extension && !catalog.extensions.contains_key(&name) {
            notes.push(Note::Kept { name });
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
