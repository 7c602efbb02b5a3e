//! Copies a release into a directory that a server serves: payloads first, the catalog last, so that
//! whoever fetches meanwhile finds everything that is named.
//!
//! A `SHA256SUMS` and its OpenPGP signatures cannot be replaced at once. All are laid beside first, and then
//! renamed one right after the other, the manifest first: stock systemd-sysupdate fetches in that order, so
//! that it finds two that do not fit only if its two requests fall on either side of the renames. With the
//! signature first it would also fail in between. It fails then, and succeeds when it tries again.

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
use crate::release::read::{self, Validity};
use crate::store::{self, FileError, Pending, Store};

mod error;
mod history;

pub(crate) use error::PublishError;

/// What to publish, and where.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Where the release is.
    pub(crate) store: &'a Store,
    /// The directory that is served.
    pub(crate) target: &'a Store,
    /// The time, for the catalog must not have ended.
    pub(crate) now: Timestamp,
    /// What becomes of images that are not on offer any more.
    pub(crate) obsolete: Obsolete,
}

/// What becomes of images in the served directory that this store published, and that the catalog does not
/// list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Obsolete {
    /// They stay.
    #[default]
    Keep,
    /// They are removed, after the catalog was replaced.
    Remove,
}

/// What was published.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Published {
    /// The repository's name.
    pub(crate) repository: String,
    /// The catalog's serial.
    pub(crate) serial: u64,
    /// Until when nodes believe it.
    pub(crate) expires: Timestamp,
    /// The files that were copied, in that order, relative to the directory.
    pub(crate) copied: Vec<String>,
    /// How many bytes that was.
    pub(crate) bytes: u64,
    /// How many files were there already.
    pub(crate) unchanged: usize,
    /// The images that were removed.
    pub(crate) removed: Vec<String>,
    /// What the publisher should know.
    pub(crate) notes: Vec<Note>,
}

/// What the publisher should know.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Note {
    /// Stock systemd-sysupdate is told not to ask for an OpenPGP signature.
    Unsigned,
    /// Stock systemd-sysupdate was told to ask for an OpenPGP signature, and there is none any more.
    SignatureGone,
    /// A directory of an extension that is not on offer any more.
    Left {
        /// The extension.
        name: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str(
                "the transfer files say Verify=no: sysupdate checks the signed catalog, but stock \
                 systemd-sysupdate trusts the server alone",
            ),
            Self::SignatureGone => f.write_str(
                "the last release was signed with OpenPGP and this one is not: nodes whose transfer files say \
                 Verify=yes and name no repository will fail",
            ),
            Self::Left { name } => {
                write!(
                    f,
                    "{name} is no longer on offer, its directory was left; nodes that use it will fail once it is removed"
                )
            }
        }
    }
}

/// Publishes the release in the store.
pub(crate) fn publish(request: &Request<'_>) -> Result<Published, PublishError> {
    let Request { store, target, .. } = request;
    let catalog_path = store.catalog();
    let unfinished = store.pending_catalog();
    if unfinished.symlink_metadata().is_ok() {
        return Err(PublishError::Unfinished { path: unfinished });
    }
    let (_, catalog) = read::catalog(&catalog_path, Validity::At(request.now))
        .map_err(PublishError::Offer)?
        .ok_or_else(|| PublishError::NotIndexed { path: catalog_path.clone() })?;
    let contents = check::check(store, &catalog).map_err(PublishError::Check)?;

    // Held to the end: two publishers at once could leave an older catalog over a newer one's files.
    let pending = Pending::create(&target.catalog()).map_err(PublishError::File)?;
    let served = check_served(request, &catalog)?;
    // Before anything that is named there could be pruned, and written before anything is served that a
    // later run could not tell from what others put there.
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
    copying.catalog(pending)?;
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

/// What is served already, which must not be newer, or someone else's.
fn check_served(request: &Request<'_>, catalog: &Catalog) -> Result<Option<Catalog>, PublishError> {
    let target = request.target;
    let Some((_, served)) = read::catalog(&target.catalog(), Validity::Ended).map_err(PublishError::Offer)?
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
    Ok(Some(served))
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

    /// Copies files and lets them appear one right after the other.
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

    /// A copy that has yet to appear, and its length; nothing if it is there already.
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
            // It changed since it was looked at.
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

/// Signatures of an earlier release, which fit nothing any more.
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

/// Images of extensions on offer that this store published and nothing names any more. What others put there
/// stays, whatever its name: also a file of that name with other bytes.
fn remove_obsolete(
    target: &Store,
    catalog: &Catalog,
    history: &History,
) -> Result<Vec<String>, PublishError> {
    let instances = catalog.extensions.values().flat_map(|extension| &extension.instances);
    let listed: BTreeSet<&str> = instances.map(|instance| instance.image.url.as_str()).collect();
    let mut removed = Vec::new();
    for (url, sha256) in &history.images {
        let is_ours = url
            .split_once('/')
            .is_some_and(|(name, file)| catalog.extensions.contains_key(name) && is_file_name(file));
        let path = target.root().join(url);
        if !is_ours || listed.contains(url.as_str()) || !has_digest(&path, *sha256)? {
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
            notes.push(Note::Left { name });
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
