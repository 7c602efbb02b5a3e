//! What a release offers, what it drops, and what it refuses.

use std::fs;

use sysext_manifests::catalog::Wave;
use sysext_manifests::envelope::Role;

use super::*;
use crate::fake::{Desk, NOW, files, time};
use crate::release::read::OfferError;
use crate::store::FileError;
use crate::store::record::RecordError;

fn manifest(desk: &Desk, name: &str, file: &str) -> String {
    fs::read_to_string(desk.store.file(name, file)).unwrap()
}

#[test]
fn versions_are_offered_in_their_order_and_described_by_the_newest() {
    let desk = Desk::new();
    for version in ["1.10", "1.2", "1.2-2"] {
        desk.put("x", version, version.as_bytes());
    }
    let indexed = desk.index().unwrap();
    assert_eq!(indexed.serial, 1);
    assert_eq!(indexed.notes, []);
    assert_eq!(indexed.extensions, [("x".to_owned(), 3)].into());
    assert_eq!(desk.versions("x"), ["1.2", "1.2-2", "1.10"]);
    let catalog = desk.catalog();
    assert_eq!(catalog.extensions["x"].description, "x as of 1.10");
    assert_eq!(catalog.expires, time("2026-12-20T10:00:00Z"));

    let sums = manifest(&desk, "x", "SHA256SUMS");
    let names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(names, ["x-1.10-x86-64.raw", "x-1.2-2-x86-64.raw", "x-1.2-x86-64.raw"]);
    let transfer = manifest(&desk, "x", "x.transfer");
    assert_eq!(transfer, manifest(&desk, "x", "x.conf"));
    for line in
        ["Verify=no", "Path=https://example.org/r/x/", "MatchPattern=x-@v-%a.raw", "Repository=example"]
    {
        assert!(transfer.lines().any(|found| found == line), "{line} is not in {transfer}");
    }
    let digest = Sha256::of(transfer.as_bytes());
    let manifests = [("x.conf".to_owned(), digest), ("x.transfer".to_owned(), digest)];
    assert_eq!(catalog.extensions["x"].manifests, manifests.into());
}

#[test]
fn the_serial_counts_and_what_was_offered_without_a_record_stays() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    fs::remove_file(desk.store.file("x", "x-1.0-x86-64.json")).unwrap();
    desk.put("x", "1.1", b"two");
    let indexed = desk.index().unwrap();
    assert_eq!((indexed.serial, indexed.notes), (2, vec![]));
    assert_eq!(desk.versions("x"), ["1.0", "1.1"]);
}

#[test]
fn an_image_that_is_gone_is_dropped_and_said() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.put("x", "1.1", b"two");
    desk.put("y", "1", b"why");
    desk.index().unwrap();
    fs::remove_file(desk.store.file("x", "x-1.0-x86-64.raw")).unwrap();
    fs::remove_dir_all(desk.store.extension("y")).unwrap();
    fs::write(desk.store.file("x", "x-9-x86-64.raw"), "found in the street").unwrap();
    let image = |name: &str| format!("x/{name}-x86-64.raw");
    let expected = [
        Note::Dropped { image: image("x-1.0") },
        Note::Unrecorded { image: image("x-9") },
        Note::Gone { name: "y".to_owned() },
    ];
    assert_eq!(desk.index().unwrap().notes, expected);
    assert_eq!(desk.versions("x"), ["1.1"]);
    assert!(!manifest(&desk, "x", "SHA256SUMS").contains("1.0"));
    assert_eq!(desk.catalog().extensions.len(), 1);
}

#[test]
fn a_damaged_image_stops_the_release() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    fs::write(desk.store.file("x", "x-1.0-x86-64.raw"), "onE").unwrap();
    let before = files(desk.store.root());
    assert!(matches!(desk.index(), Err(IndexError::Damaged { .. })));
    assert_eq!(files(desk.store.root()), before);
}

#[test]
fn other_bytes_under_an_offered_name_are_refused() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    desk.put("x", "1.0", b"another");
    let error = desk.index().unwrap_err();
    assert_eq!(error.to_string(), "x/x-1.0-x86-64.raw was offered in serial 1 with other bytes");
    assert!(error.hint().unwrap().contains("--revision"));
    desk.overwrite = Overwrite::Allow;
    let notes = desk.index().unwrap().notes;
    assert_eq!(notes, [Note::Replaced { image: "x/x-1.0-x86-64.raw".to_owned() }]);
}

#[test]
fn what_was_decided_about_an_image_stays_decided() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.put("x", "1.1", b"two");
    desk.index().unwrap();
    let mut catalog = desk.catalog();
    let instance = &mut catalog.extensions.get_mut("x").unwrap().instances[0];
    instance.withdrawn = Some("eats data".to_owned());
    instance.waves = vec![Wave { percent: 5, at: time(NOW) }];
    let file = CatalogFile {
        version: FORMAT,
        roots: desk.roots.clone(),
        catalog: desk.keys[0].seal(&catalog, "by hand").unwrap(),
    };
    fs::write(desk.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    desk.index().unwrap();
    assert_eq!(desk.catalog().extensions["x"].instances, catalog.extensions["x"].instances);
    // Stock tools know no withdrawal, so it is not listed for them.
    let sums = manifest(&desk, "x", "SHA256SUMS");
    assert!(!sums.contains("x-1.0-x86-64.raw") && sums.contains("x-1.1-x86-64.raw"), "{sums}");
}

#[test]
fn stock_tools_are_told_a_date_only_if_someone_vouches() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.valid_for = Some(14);
    // Fourteen days end at ten in the morning; the day is promised whole.
    assert_eq!(desk.index().unwrap().expires, time("2026-12-05T00:00:00Z"));
    assert!(manifest(&desk, "x", "SHA256SUMS").contains("  BEST-BEFORE-2026-12-05\n"));
    desk.valid_for = None;
    desk.index().unwrap();
    assert!(!manifest(&desk, "x", "SHA256SUMS").contains("BEST-BEFORE"));
}

#[test]
fn an_ended_catalog_still_counts() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    desk.now = time("2029-01-01T00:00:00Z");
    let indexed = desk.index().unwrap();
    assert_eq!(indexed.serial, 2);
    desk.now = time(NOW);
    assert!(matches!(desk.index(), Err(IndexError::ClockBehind { .. })));
    desk.now = time("2029-12-15T00:00:00Z");
    let expires = time("2030-01-01T00:00:00Z");
    assert_eq!(desk.index().unwrap().notes, [Note::RootEndsFirst { root: 1, expires }]);
    desk.now = expires;
    let error = desk.index().unwrap_err();
    assert!(matches!(error, IndexError::Offer(OfferError::Trust { .. })), "{error}");
    assert_eq!(desk.catalog().serial, 3);
}

#[test]
fn a_key_that_the_root_does_not_name_signs_nothing() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.keys = Desk::new().keys;
    let error = desk.index().unwrap_err();
    assert!(error.hint().unwrap().contains("newest root"), "{error:?}");
    assert!(!desk.store.catalog().exists());
    assert!(!desk.store.file("x", "SHA256SUMS").exists());

    let keys = vec![desk.keys[0].public(), desk.root.keys[0].clone()];
    desk.root.catalog = Role { threshold: 2, keys };
    assert!(matches!(desk.index(), Err(IndexError::Threshold { root: 1, threshold: 2, given: 1 })));
    desk.keys = vec![desk.twin(), desk.twin()];
    assert!(matches!(desk.index(), Err(IndexError::KeyTwice { .. })));
}

#[test]
fn a_store_with_another_repositorys_or_a_damaged_catalog_is_refused() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    let error = index(&Request { repository: "other", ..request(&desk) }).unwrap_err();
    assert!(matches!(error, IndexError::OtherRepository { .. }), "{error}");

    let text = fs::read_to_string(desk.store.catalog()).unwrap();
    fs::write(desk.store.catalog(), &text[..text.len() / 2]).unwrap();
    let error = desk.index().unwrap_err();
    assert!(matches!(error, IndexError::Offer(OfferError::Json { .. })), "{error}");
}

#[test]
fn other_roots_than_those_of_the_last_release_are_said() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    let other = Desk::new();
    (desk.keys, desk.roots, desk.root) = (other.keys, other.roots, other.root);
    assert_eq!(desk.index().unwrap().notes, [Note::OtherRoot]);
}

#[test]
fn a_refresh_offers_the_same_for_longer_or_nothing() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.purpose = Purpose::Refresh;
    assert!(matches!(desk.index(), Err(IndexError::NothingToRefresh)));
    (desk.purpose, desk.valid_for) = (Purpose::Offer, Some(14));
    desk.index().unwrap();
    let before = desk.catalog();

    (desk.purpose, desk.now) = (Purpose::Refresh, time("2026-11-25T00:00:00Z"));
    let indexed = desk.index().unwrap();
    assert_eq!((indexed.serial, indexed.expires), (2, time("2026-12-09T00:00:00Z")));
    assert_eq!(desk.catalog().extensions, before.extensions);
    assert!(manifest(&desk, "x", "SHA256SUMS").contains("BEST-BEFORE-2026-12-09"));

    desk.put("y", "1.0", b"new");
    let held = files(desk.store.root());
    let error = desk.index().unwrap_err();
    assert_eq!(error.to_string(), "what is in the store is not what was offered last: y");
    assert_eq!((files(desk.store.root()), desk.catalog().serial), (held, 2));
}

#[test]
fn a_new_root_starts_the_serial_afresh_and_an_older_one_is_refused() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    // As if a thief had signed: the last serial, years ahead
    let mut stolen = desk.catalog();
    (stolen.serial, stolen.issued) = (u64::MAX, time("2029-01-01T00:00:00Z"));
    stolen.expires = time("2029-12-01T00:00:00Z");
    let catalog = desk.keys[0].seal(&stolen, "stolen").unwrap();
    let file = CatalogFile { version: FORMAT, roots: desk.roots.clone(), catalog };
    fs::write(desk.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    assert!(matches!(desk.index(), Err(IndexError::ClockBehind { .. })));
    desk.now = time("2029-01-01T00:00:00Z");
    assert!(matches!(desk.index(), Err(IndexError::LastSerial { root: 1 })));

    desk.now = time(NOW);
    let old = (desk.roots.clone(), desk.root.clone());
    desk.rotate();
    assert_eq!((desk.index().unwrap().serial, desk.catalog().root), (1, 2));
    (desk.roots, desk.root) = old;
    assert!(matches!(desk.index(), Err(IndexError::OlderRoot { root: 1, last: 2 })));
}

fn request(desk: &Desk) -> Request<'_> {
    Request {
        store: &desk.store,
        repository: "example",
        url: "https://example.org/r/",
        keys: &desk.keys,
        openpgp: None,
        roots: &desk.roots,
        root: &desk.root,
        valid_for: None,
        now: desk.now,
        overwrite: Overwrite::Refuse,
        signers: Signers::All,
        purpose: Purpose::Offer,
    }
}

#[test]
fn a_record_that_describes_something_else_is_refused() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    let from = desk.store.file("x", "x-1.0-x86-64.json");
    fs::rename(&from, desk.store.file("x", "x-2.0-x86-64.json")).unwrap();
    assert!(matches!(desk.index(), Err(IndexError::Record(RecordError::Misplaced { .. }))));
}

#[test]
fn two_releases_at_once_exclude_each_other() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    let held = Pending::create(&desk.store.catalog()).unwrap();
    assert!(matches!(desk.index(), Err(IndexError::File(FileError::Busy { .. }))));
    drop(held);
    assert_eq!(desk.index().unwrap().serial, 1);
}
