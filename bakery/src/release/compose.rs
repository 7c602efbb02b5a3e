//! The release: everything in the store as one signed catalog, with the stock manifests beside it.
//!
//! The catalog is written last, and only after it was admitted as a node would admit it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, CatalogFile, Extension, FORMAT, Root};
use sysext_manifests::checksums;
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::{Envelope, is_same_key};

use crate::keys::openpgp::{self, OpenPgpKey};
use crate::keys::{KeyError, SigningKey};
use crate::naming;
use crate::release::read::{self, OfferError, Validity};
use crate::store::{self, Overwrite, Pending, Store};

use super::collect::{self, Note};
use super::error::IndexError;
use super::manifests::{self, Publication};

/// How long a catalog lives unless said otherwise: long enough for a monthly release, short enough that
/// a mirror cannot hold nodes back for a season.
const LIFE_DEFAULT_DAYS: u32 = 30;

/// What to make a release of, and how.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The images and their records.
    pub(crate) store: &'a Store,
    /// The repository's name.
    pub(crate) repository: &'a str,
    /// Where nodes will find the repository.
    pub(crate) url: &'a str,
    /// The keys that sign: at least as many as the newest root wants, unless others sign later.
    pub(crate) keys: &'a [SigningKey],
    /// The key that signs what stock tools read, if they are to check that.
    pub(crate) openpgp: Option<&'a OpenPgpKey>,
    /// The chain of roots.
    pub(crate) roots: &'a [Envelope],
    /// The newest root.
    pub(crate) root: &'a Root,
    /// For how many days to vouch, also towards stock systemd-sysupdate.
    pub(crate) valid_for: Option<u32>,
    /// The time of signing.
    pub(crate) now: Timestamp,
    /// What to do about an image that changed after it was offered.
    pub(crate) overwrite: Overwrite,
    /// What the release is for.
    pub(crate) purpose: Purpose,
    /// Who signs.
    pub(crate) signers: Signers,
}

/// Who signs a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signers {
    /// As many as the root wants, now.
    #[default]
    All,
    /// Others may sign later: until enough have, the release waits beside the finished one.
    OthersLater,
}

/// What a release is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To offer what is in the store.
    #[default]
    Offer,
    /// To offer what is on offer already, for longer. A store that holds something else is refused.
    Refresh,
}

/// What was released.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Indexed {
    /// The repository's name.
    pub(crate) repository: String,
    /// The catalog's serial.
    pub(crate) serial: u64,
    /// When it was signed.
    pub(crate) issued: Timestamp,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// The key that signed, or the first of them.
    pub(crate) key: String,
    /// All keys that signed.
    pub(crate) keys: Vec<String>,
    /// How many others must still sign before it can be published.
    pub(crate) missing: usize,
    /// The OpenPGP certificate that signed the stock manifests, by its fingerprint.
    pub(crate) openpgp: Option<String>,
    /// The digest of `catalog.json`.
    pub(crate) sha256: Sha256,
    /// How many images of each extension are on offer.
    pub(crate) extensions: BTreeMap<String, usize>,
    /// What the publisher should know.
    pub(crate) notes: Vec<Note>,
}

/// Makes a release of what is in the store.
pub(crate) fn index(request: &Request<'_>) -> Result<Indexed, IndexError> {
    let Request { store, now, root, .. } = request;
    naming::check_repository(request.repository).map_err(IndexError::Naming)?;
    check_keys(request)?;
    let expires = expiry(*now, request.valid_for)?;
    // Before anything is written: what is not there would be made, and an empty catalog signed.
    if !store.is_one().map_err(IndexError::File)? {
        return Err(IndexError::NoStore { store: store.root().to_owned() });
    }

    let path = store.catalog();
    // Held to the end: two releases at once would give out the same serial.
    let mut pending = Pending::create(&path).map_err(IndexError::File)?;
    let previous = read::catalog(&path, Validity::Ended).map_err(IndexError::Offer)?;
    if let Some((file, last)) = &previous {
        check_follows(request, last)?;
        if last.root > root.number && file.roots.first() == request.roots.first() {
            return Err(IndexError::OlderRoot { root: root.number, last: last.root });
        }
    }
    let waiting = waiting(store)?;
    let (last_roots, previous) = previous.map(|(file, catalog)| (file.roots, catalog)).unzip();

    let (mut extensions, mut notes) = collect::collect(store, previous.as_ref(), request.overwrite)?;
    let publication = Publication {
        repository: request.repository,
        url: request.url,
        openpgp: request.openpgp,
        now: *now,
        best_before: request.valid_for.map(|_| expires),
    };
    let mut files = Vec::new();
    for (name, extension) in &mut extensions {
        let listed = manifests::files(&publication, name, extension)?;
        extension.manifests = listed
            .iter()
            .filter(|(file, _)| file != checksums::FILE_NAME)
            .map(|(file, bytes)| (file.clone(), Sha256::of(bytes)))
            .collect();
        check_names(extension)?;
        files.extend(listed.into_iter().map(|(file, bytes)| (store.file(name, &file), bytes)));
    }
    if last_roots.is_some_and(|last| last.first() != request.roots.first()) {
        notes.push(Note::OtherRoot);
    }
    if request.openpgp.is_none() && is_open(request.url) {
        notes.push(Note::Unencrypted);
    }
    if root.expires < expires {
        notes.push(Note::RootEndsFirst { root: root.number, expires: root.expires });
    }

    if request.purpose == Purpose::Refresh {
        check_same(previous.as_ref(), &extensions)?;
    }
    let catalog = Catalog {
        version: FORMAT,
        repository: request.repository.to_owned(),
        root: root.number,
        serial: next_serial(root, previous.as_ref(), waiting.as_ref())?,
        issued: *now,
        expires,
        extensions,
    };
    let sealed = seal(request.keys, &catalog, &comment(&catalog))?;
    let file = CatalogFile { version: FORMAT, roots: request.roots.to_vec(), catalog: sealed };
    let mut document = serde_json::to_vec_pretty(&file).map_err(IndexError::Json)?;
    document.push(b'\n');
    let missing = root.catalog.threshold.saturating_sub(request.keys.len());
    let checked = read::check(&path, &document, &file.roots, request.repository, Validity::At(*now));
    match checked {
        Err(error) if !(missing > 0 && error.is_too_few()) => return Err(IndexError::Offer(error)),
        _ => {}
    }

    // Whatever waited for signatures, or was signed afterwards, is of another release from here on
    for path in [store.pending_catalog(), store.openpgp_record()] {
        store::remove_if_present(&path).map_err(IndexError::File)?;
    }
    if request.openpgp.is_none() {
        for name in catalog.extensions.keys() {
            remove_signatures(store, name)?;
        }
    }
    for (path, bytes) in files {
        store::write(&path, &bytes).map_err(IndexError::File)?;
    }
    if missing > 0 {
        store::write(&store.pending_catalog(), &document).map_err(IndexError::File)?;
    } else {
        pending.write(&document).map_err(IndexError::File)?;
        pending.commit().map_err(IndexError::File)?;
    }
    Ok(Indexed {
        repository: catalog.repository,
        serial: catalog.serial,
        issued: catalog.issued,
        expires: catalog.expires,
        key: request.keys.first().map(SigningKey::public).unwrap_or_default(),
        keys: request.keys.iter().map(SigningKey::public).collect(),
        missing,
        openpgp: request.openpgp.map(OpenPgpKey::fingerprint),
        sha256: Sha256::of(&document),
        extensions: catalog.extensions.iter().map(|(name, e)| (name.clone(), e.instances.len())).collect(),
        notes,
    })
}

/// Whether others can change what is fetched from an address: it is not encrypted and not this machine.
fn is_open(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
}

/// A release goes on where the last one in the store ended.
fn check_follows(request: &Request<'_>, last: &Catalog) -> Result<(), IndexError> {
    if last.repository != request.repository {
        return Err(IndexError::OtherRepository {
            store: request.store.root().to_owned(),
            found: last.repository.clone(),
            repository: request.repository.to_owned(),
        });
    }
    // What a thief signed with a key that the new root does not name binds nobody.
    if last.issued > request.now && last.root == request.root.number {
        return Err(IndexError::ClockBehind { now: request.now, issued: last.issued });
    }
    Ok(())
}

/// Nothing is on offer now that was not before, and the other way round.
fn check_same(
    previous: Option<&Catalog>,
    extensions: &BTreeMap<String, Extension>,
) -> Result<(), IndexError> {
    let last = &previous.ok_or(IndexError::NothingToRefresh)?.extensions;
    let names: BTreeSet<&String> = last.keys().chain(extensions.keys()).collect();
    let changed = names.into_iter().filter(|name| last.get(*name) != extensions.get(*name));
    let changed: Vec<String> = changed.cloned().collect();
    if changed.is_empty() { Ok(()) } else { Err(IndexError::NoRefresh { changed }) }
}

/// Enough keys, each once.
fn check_keys(request: &Request<'_>) -> Result<(), IndexError> {
    let publics: Vec<String> = request.keys.iter().map(SigningKey::public).collect();
    let twice = |(index, key): &(usize, &String)| publics[..*index].iter().any(|k| is_same_key(k, key));
    if let Some((_, key)) = publics.iter().enumerate().find(twice) {
        return Err(IndexError::KeyTwice { key: key.clone() });
    }
    let Root { number, catalog, .. } = request.root;
    if publics.len() < catalog.threshold && request.signers == Signers::All {
        return Err(IndexError::Threshold {
            root: *number,
            threshold: catalog.threshold,
            given: publics.len(),
        });
    }
    Ok(())
}

/// A release that waits for signatures, and that this one replaces. Some may have signed it.
fn waiting(store: &Store) -> Result<Option<Catalog>, IndexError> {
    let path = store.pending_catalog();
    let Some(bytes) = store::read_if_present(&path).map_err(IndexError::File)? else { return Ok(None) };
    let file: CatalogFile = serde_json::from_slice(&bytes)
        .map_err(|source| IndexError::Offer(OfferError::Json { path: path.clone(), source }))?;
    let catalog = file.catalog.unpack_unverified();
    catalog.map(Some).map_err(|source| IndexError::Offer(OfferError::Envelope { path, source }))
}

/// Serials count under one root; a new root starts afresh, also from the last number there is, to which a
/// thief may have driven it. What some have signed already has used its serial up.
fn next_serial(
    root: &Root,
    previous: Option<&Catalog>,
    waiting: Option<&Catalog>,
) -> Result<u64, IndexError> {
    let used = previous.into_iter().chain(waiting).filter(|last| last.root == root.number);
    match used.map(|last| last.serial).max() {
        None => Ok(1),
        Some(last) => last.checked_add(1).ok_or(IndexError::LastSerial { root: root.number }),
    }
}

fn seal(keys: &[SigningKey], catalog: &Catalog, what: &str) -> Result<Envelope, IndexError> {
    let packed = Envelope::pack(catalog).map_err(|error| IndexError::Key(KeyError::Pack(error)))?;
    let signatures = keys.iter().map(|key| key.sign(&packed, what)).collect::<Result<_, _>>();
    Ok(Envelope::seal(&packed, signatures.map_err(IndexError::Key)?))
}

/// The trusted comment of every signature of a catalog.
pub(super) fn comment(catalog: &Catalog) -> String {
    format!("catalog {} of {}", catalog.serial, catalog.repository)
}

/// When the catalog ends. Stock tools know days only, so a life they are told ends at midnight UTC, and
/// never earlier than promised.
fn expiry(now: Timestamp, valid_for: Option<u32>) -> Result<Timestamp, IndexError> {
    let days = valid_for.unwrap_or(LIFE_DEFAULT_DAYS);
    let beyond = || IndexError::Lifetime { days, now };
    let expires = now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).map_err(|_| beyond())?;
    if valid_for.is_none() {
        return Ok(expires);
    }
    let date = Offset::UTC.to_datetime(expires).date();
    let midnight =
        |date: jiff::civil::Date| Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| beyond());
    if midnight(date)? == expires {
        return Ok(expires);
    }
    midnight(date.tomorrow().map_err(|_| beyond())?)
}

/// Signatures of an earlier release would not fit this one.
fn remove_signatures(store: &Store, name: &str) -> Result<(), IndexError> {
    [openpgp::ARMORED, openpgp::BINARY]
        .iter()
        .try_for_each(|file| store::remove_if_present(&store.file(name, file)).map_err(IndexError::File))
}

/// No published name of an extension may extend another. Signatures are not listed in the manifest, so
/// that nothing can be installed under their names.
fn check_names(extension: &Extension) -> Result<(), IndexError> {
    let images = extension.instances.iter().map(|instance| instance.image.file_name());
    let is_signature = |name: &&str| matches!(*name, openpgp::ARMORED | openpgp::BINARY);
    let manifests = extension.manifests.keys().map(String::as_str).filter(|name| !is_signature(name));
    let names = images.chain(manifests).chain([checksums::FILE_NAME]);
    match naming::extended(names) {
        None => Ok(()),
        Some((shorter, longer)) => {
            Err(IndexError::Extended { shorter: shorter.to_owned(), longer: longer.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests;
