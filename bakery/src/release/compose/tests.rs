//! What a release offers, drops and refuses.

use std::fs;

use sysext_manifests::catalog::Wave;
use sysext_manifests::envelope::Role;

use super::*;
use crate::failure::Hint as _;
use crate::fake::{NOW, Publisher, files, time};
use crate::release::read::CatalogError;
use crate::store::FileError;
use crate::store::record::RecordError;

fn manifest(publisher: &Publisher, name: &str, file: &str) -> String {
    fs::read_to_string(publisher.store.file(name, file)).unwrap()
}

#[test]
fn versions_are_sorted_and_the_newest_describes_the_extension() {
    let publisher = Publisher::new();
    for version in ["1.10", "1.2", "1.2-2"] {
        publisher.put("x", version, version.as_bytes());
    }
    let composed = publisher.compose().unwrap();
    assert_eq!(composed.serial, 1);
    assert_eq!(composed.notes, []);
    assert_eq!(composed.extensions, [("x".to_owned(), 3)].into());
    assert_eq!(publisher.versions("x"), ["1.2", "1.2-2", "1.10"]);
    let catalog = publisher.catalog();
    assert_eq!(catalog.extensions["x"].description, "x as of 1.10");
    assert_eq!(catalog.expires, time("2026-12-20T10:00:00Z"));

    let sums = manifest(&publisher, "x", "SHA256SUMS");
    let names: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(names, ["x-1.10-x86-64.raw", "x-1.2-2-x86-64.raw", "x-1.2-x86-64.raw"]);
    let transfer = manifest(&publisher, "x", "x.transfer");
    assert_eq!(transfer, manifest(&publisher, "x", "x.conf"));
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
fn serial_increases_and_images_without_record_stay_on_offer() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    fs::remove_file(publisher.store.file("x", "x-1.0-x86-64.json")).unwrap();
    publisher.put("x", "1.1", b"two");
    let composed = publisher.compose().unwrap();
    assert_eq!((composed.serial, composed.notes), (2, vec![]));
    assert_eq!(publisher.versions("x"), ["1.0", "1.1"]);
}

#[test]
fn image_that_left_the_store_has_to_be_dropped() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.put("x", "1.1", b"two");
    publisher.put("y", "1", b"why");
    publisher.compose().unwrap();
    let before = fs::read(publisher.store.catalog()).unwrap();
    fs::remove_file(publisher.store.file("x", "x-1.0-x86-64.raw")).unwrap();
    fs::remove_dir_all(publisher.store.extension("y")).unwrap();
    fs::write(publisher.store.file("x", "x-9-x86-64.raw"), "no record").unwrap();
    let error = publisher.compose().unwrap_err();
    assert!(
        error.to_string().ends_with(" no longer contains images that are on offer: x 1.0 x86-64, y 1 x86-64")
    );
    assert!(error.hint().unwrap().ends_with("with --drop x@1.0 --drop y@1"), "{:?}", error.hint());
    publisher.drops = vec!["x@1.0".parse().unwrap()];
    assert!(matches!(publisher.compose(), Err(ComposeError::Missing { missing, .. }) if missing.len() == 1));
    assert_eq!(fs::read(publisher.store.catalog()).unwrap(), before);

    publisher.drops.push("y@1".parse().unwrap());
    let image = |name: &str| format!("{name}-x86-64.raw");
    let expected = [
        Note::Unrecorded { image: image("x/x-9") },
        Note::Dropped { image: image("x/x-1.0") },
        Note::Dropped { image: image("y/y-1") },
    ];
    assert_eq!(publisher.compose().unwrap().notes, expected);
    assert_eq!(publisher.versions("x"), ["1.1"]);
    assert!(!manifest(&publisher, "x", "SHA256SUMS").contains("1.0"));
    assert_eq!(publisher.catalog().extensions.len(), 1);
}

#[test]
fn only_what_left_the_store_can_be_dropped() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.drops = vec!["x@1.0".parse().unwrap()];
    assert!(matches!(publisher.compose(), Err(ComposeError::DropPresent { .. })));
    publisher.drops = vec!["x@2.0".parse().unwrap()];
    assert!(matches!(publisher.compose(), Err(ComposeError::DropUnknown { .. })));
}

#[test]
fn store_without_images_is_refused() {
    let publisher = Publisher::new();
    fs::create_dir_all(publisher.store.extension("x")).unwrap();
    fs::write(publisher.store.file("x", "x-1-x86-64.raw"), "no record").unwrap();
    assert!(matches!(publisher.compose(), Err(ComposeError::Nothing { .. })));
    assert!(!publisher.store.catalog().exists());
}

#[test]
fn new_version_below_the_newest_is_reported() {
    let publisher = Publisher::new();
    publisher.put("x", "1.1", b"two");
    publisher.compose().unwrap();
    publisher.put("x", "1.0", b"one");
    let older = Note::Older { image: "x/x-1.0-x86-64.raw".to_owned(), newest: "1.1".parse().unwrap() };
    assert_eq!(publisher.compose().unwrap().notes, [older]);
    // Once
    assert_eq!(publisher.compose().unwrap().notes, []);
}

#[test]
fn v_prefix_of_only_some_versions_is_refused() {
    let publisher = Publisher::new();
    publisher.put("x", "1.32.0", b"one");
    publisher.compose().unwrap();
    publisher.put("x", "v1.33.0", b"two");
    let error = publisher.compose().unwrap_err();
    assert_eq!(error.hint().unwrap(), "bake it as 1.33.0");
}

#[test]
fn damaged_image_stops_the_release() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    fs::write(publisher.store.file("x", "x-1.0-x86-64.raw"), "onE").unwrap();
    let before = files(publisher.store.root());
    assert!(matches!(publisher.compose(), Err(ComposeError::Damaged { .. })));
    assert_eq!(files(publisher.store.root()), before);
}

#[test]
fn changed_image_is_refused() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.put("x", "1.0", b"another");
    let error = publisher.compose().unwrap_err();
    assert_eq!(error.to_string(), "x/x-1.0-x86-64.raw was released with different contents (serial 1)");
    assert!(error.hint().unwrap().contains("--revision"));
    publisher.overwrite = Overwrite::Allow;
    let notes = publisher.compose().unwrap().notes;
    assert_eq!(notes, [Note::Replaced { image: "x/x-1.0-x86-64.raw".to_owned() }]);
}

#[test]
fn withdrawal_and_waves_are_kept() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.put("x", "1.1", b"two");
    publisher.compose().unwrap();
    let mut catalog = publisher.catalog();
    let instance = &mut catalog.extensions.get_mut("x").unwrap().instances[0];
    instance.withdrawn = Some("eats data".to_owned());
    instance.waves = vec![Wave { percent: 5, at: time(NOW) }];
    let file = CatalogFile {
        version: FORMAT,
        roots: publisher.roots.clone(),
        catalog: publisher.keys[0].seal(&catalog, "by hand").unwrap(),
    };
    fs::write(publisher.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    publisher.compose().unwrap();
    assert_eq!(publisher.catalog().extensions["x"].instances, catalog.extensions["x"].instances);
    // Stock tools know no withdrawal, so it is not listed for them.
    let sums = manifest(&publisher, "x", "SHA256SUMS");
    assert!(!sums.contains("x-1.0-x86-64.raw") && sums.contains("x-1.1-x86-64.raw"), "{sums}");
}

#[test]
fn stock_tools_get_a_date_only_with_valid_for() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.valid_for = Some(14);
    // Fourteen days end at ten in the morning; the day is promised whole.
    assert_eq!(publisher.compose().unwrap().expires, time("2026-12-05T00:00:00Z"));
    assert!(manifest(&publisher, "x", "SHA256SUMS").contains("  BEST-BEFORE-2026-12-05\n"));
    publisher.valid_for = None;
    publisher.compose().unwrap();
    assert!(!manifest(&publisher, "x", "SHA256SUMS").contains("BEST-BEFORE"));
}

#[test]
fn expired_catalog_still_counts() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.now = time("2029-01-01T00:00:00Z");
    let composed = publisher.compose().unwrap();
    assert_eq!(composed.serial, 2);
    publisher.now = time(NOW);
    assert!(matches!(publisher.compose(), Err(ComposeError::ClockBehind { .. })));
    publisher.now = time("2029-12-15T00:00:00Z");
    let expires = time("2030-01-01T00:00:00Z");
    assert_eq!(publisher.compose().unwrap().notes, [Note::RootExpiresFirst { root: 1, expires }]);
    publisher.now = expires;
    let error = publisher.compose().unwrap_err();
    assert!(matches!(error, ComposeError::Catalog(CatalogError::Trust { .. })), "{error}");
    assert_eq!(publisher.catalog().serial, 3);
}

#[test]
fn key_that_the_root_does_not_name_is_refused() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.keys = Publisher::new().keys;
    let error = publisher.compose().unwrap_err();
    assert!(error.hint().unwrap().contains("newest root"), "{error:?}");
    assert!(!publisher.store.catalog().exists());
    assert!(!publisher.store.file("x", "SHA256SUMS").exists());

    let keys = vec![publisher.keys[0].public(), publisher.root.keys[0].clone()];
    publisher.root.catalog = Role { threshold: 2, keys };
    assert!(matches!(publisher.compose(), Err(ComposeError::Threshold { root: 1, threshold: 2, given: 1 })));
    publisher.keys = vec![publisher.twin(), publisher.twin()];
    assert!(matches!(publisher.compose(), Err(ComposeError::KeyTwice { .. })));
}

#[test]
fn catalog_of_another_repository_or_damaged_one_is_refused() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    let error = compose(&Request { repository: "other", ..request(&publisher) }).unwrap_err();
    assert!(matches!(error, ComposeError::OtherRepository { .. }), "{error}");

    let text = fs::read_to_string(publisher.store.catalog()).unwrap();
    fs::write(publisher.store.catalog(), &text[..text.len() / 2]).unwrap();
    let error = publisher.compose().unwrap_err();
    assert!(matches!(error, ComposeError::Catalog(CatalogError::Json { .. })), "{error}");
}

#[test]
fn other_roots_than_last_time_are_reported() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    let other = Publisher::new();
    (publisher.keys, publisher.roots, publisher.root) = (other.keys, other.roots, other.root);
    assert_eq!(publisher.compose().unwrap().notes, [Note::OtherRoot]);
}

#[test]
fn refresh_extends_the_same_contents_only() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.purpose = Purpose::Refresh;
    assert!(matches!(publisher.compose(), Err(ComposeError::NothingToRefresh)));
    (publisher.purpose, publisher.valid_for) = (Purpose::Offer, Some(14));
    publisher.compose().unwrap();
    let before = publisher.catalog();

    (publisher.purpose, publisher.now) = (Purpose::Refresh, time("2026-11-25T00:00:00Z"));
    let composed = publisher.compose().unwrap();
    assert_eq!((composed.serial, composed.expires), (2, time("2026-12-09T00:00:00Z")));
    assert_eq!(publisher.catalog().extensions, before.extensions);
    assert!(manifest(&publisher, "x", "SHA256SUMS").contains("BEST-BEFORE-2026-12-09"));

    publisher.put("y", "1.0", b"new");
    let held = files(publisher.store.root());
    let error = publisher.compose().unwrap_err();
    assert_eq!(error.to_string(), "the store has changed since the last release: y");
    assert_eq!((files(publisher.store.root()), publisher.catalog().serial), (held, 2));
}

#[test]
fn new_root_restarts_the_serial_and_older_root_is_refused() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    // As if a thief had signed: the last serial, years ahead
    let mut stolen = publisher.catalog();
    (stolen.serial, stolen.issued) = (u64::MAX, time("2029-01-01T00:00:00Z"));
    stolen.expires = time("2029-01-31T00:00:00Z");
    let catalog = publisher.keys[0].seal(&stolen, "stolen").unwrap();
    let file = CatalogFile { version: FORMAT, roots: publisher.roots.clone(), catalog };
    fs::write(publisher.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    assert!(matches!(publisher.compose(), Err(ComposeError::ClockBehind { .. })));
    publisher.now = time("2029-01-01T00:00:00Z");
    assert!(matches!(publisher.compose(), Err(ComposeError::LastSerial { root: 1 })));

    publisher.now = time(NOW);
    let old = (publisher.roots.clone(), publisher.root.clone());
    publisher.rotate();
    assert_eq!((publisher.compose().unwrap().serial, publisher.catalog().root), (1, 2));
    (publisher.roots, publisher.root) = old;
    assert!(matches!(publisher.compose(), Err(ComposeError::OlderRoot { root: 1, last: 2 })));
}

fn request(publisher: &Publisher) -> Request<'_> {
    Request {
        store: &publisher.store,
        repository: "example",
        url: "https://example.org/r",
        keys: &publisher.keys,
        openpgp: None,
        roots: &publisher.roots,
        root: &publisher.root,
        valid_for: None,
        now: publisher.now,
        overwrite: Overwrite::Refuse,
        drops: &[],
        signers: Signers::All,
        purpose: Purpose::Offer,
    }
}

#[test]
fn record_of_another_image_is_refused() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    let from = publisher.store.file("x", "x-1.0-x86-64.json");
    fs::rename(&from, publisher.store.file("x", "x-2.0-x86-64.json")).unwrap();
    assert!(matches!(publisher.compose(), Err(ComposeError::Record(RecordError::Misplaced { .. }))));
}

#[test]
fn concurrent_releases_exclude_each_other() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    let held = Pending::create(&publisher.store.catalog()).unwrap();
    assert!(matches!(publisher.compose(), Err(ComposeError::File(FileError::Busy { .. }))));
    drop(held);
    assert_eq!(publisher.compose().unwrap().serial, 1);
}
