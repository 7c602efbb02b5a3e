//! What is copied to the served directory, in which order, and what is refused.

use sysext_manifests::catalog::FORMAT;

use super::*;
use crate::failure::Hint as _;
use crate::fake::{Publisher, files, time};
use crate::store::Overwrite;

#[test]
fn images_come_first_and_the_catalog_last() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.put("y", "1.0", b"why");
    publisher.compose().unwrap();
    let published = publisher.publish().unwrap();
    let expected = [
        "x/x-1.0-x86-64.raw",
        "y/y-1.0-x86-64.raw",
        "x/x.conf",
        "x/x.transfer",
        "y/y.conf",
        "y/y.transfer",
        "x/SHA256SUMS",
        "y/SHA256SUMS",
        "catalog/catalog.json",
    ];
    assert_eq!(published.copied, expected);
    assert_eq!(published.notes, [Note::Unsigned]);
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(files(publisher.served.root()), sorted);

    let again = publisher.publish().unwrap();
    assert_eq!((again.copied.len(), again.unchanged, again.bytes), (0, expected.len(), 0));
}

#[test]
fn file_that_does_not_match_the_catalog_stops_the_publication() {
    for file in ["x-1.0-x86-64.raw", "x.transfer"] {
        let publisher = Publisher::new();
        publisher.put("a", "1.0", b"fine");
        publisher.put("x", "1.0", b"one");
        publisher.compose().unwrap();
        fs::write(publisher.store.file("x", file), "altered").unwrap();
        assert!(
            matches!(publisher.publish(), Err(PublishError::Check(CheckError::Damaged { .. }))),
            "{file}"
        );
        assert!(!publisher.served.root().exists());
    }
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    fs::write(publisher.store.file("x", "SHA256SUMS"), format!("{}  z.raw\n", Sha256::of(b"z"))).unwrap();
    assert!(matches!(publisher.publish(), Err(PublishError::Check(CheckError::OtherList { .. }))));
}

#[test]
fn only_unlisted_images_are_pruned() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.put("x", "1.1", b"two");
    publisher.put("y", "1.0", b"why");
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    fs::write(publisher.served.file("x", "notes.txt"), "mine").unwrap();
    fs::remove_file(publisher.store.file("x", "x-1.0-x86-64.raw")).unwrap();
    fs::remove_dir_all(publisher.store.extension("y")).unwrap();
    publisher.compose_without(&["x@1.0", "y@1.0"]).unwrap();
    assert_eq!(publisher.publish().unwrap().removed, [""; 0]);
    publisher.obsolete = Obsolete::Remove;
    let published = publisher.publish().unwrap();
    assert_eq!(published.removed, ["x/x-1.0-x86-64.raw"]);
    assert_eq!(published.notes, [Note::Unsigned, Note::Kept { name: "y".to_owned() }]);
    let left = files(publisher.served.root());
    assert!(left.contains(&"x/notes.txt".to_owned()) && left.contains(&"y/y-1.0-x86-64.raw".to_owned()));
}

#[test]
fn files_of_others_are_not_pruned() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.put("x", "1.1", b"two");
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    let others = ["x-tools-3-x86-64.raw", "x-0.9-x86-64.raw"];
    others.iter().for_each(|name| fs::write(publisher.served.file("x", name), "mine").unwrap());
    for version in ["1.0", "1.1"] {
        fs::remove_file(publisher.store.file("x", &format!("x-{version}-x86-64.raw"))).unwrap();
    }
    // Of the same name as one that was published, and not what was published
    fs::write(publisher.served.file("x", "x-1.1-x86-64.raw"), "mine").unwrap();
    publisher.put("x", "1.2", b"three");
    publisher.compose_without(&["x@1.0", "x@1.1"]).unwrap();
    publisher.obsolete = Obsolete::Remove;
    assert_eq!(publisher.publish().unwrap().removed, ["x/x-1.0-x86-64.raw"]);
    let left = files(publisher.served.root());
    for name in others.into_iter().chain(["x-1.1-x86-64.raw", "x-1.2-x86-64.raw"]) {
        assert!(left.contains(&format!("x/{name}")), "{name}");
    }
    // A store that has forgotten what it published still knows what is served in its name
    fs::remove_file(publisher.store.root().join("catalog/published.json")).unwrap();
    fs::remove_file(publisher.store.file("x", "x-1.2-x86-64.raw")).unwrap();
    publisher.put("x", "1.3", b"four");
    publisher.compose_without(&["x@1.2"]).unwrap();
    assert_eq!(publisher.publish().unwrap().removed, ["x/x-1.2-x86-64.raw"]);
    fs::write(publisher.store.root().join("catalog/published.json"), "{}").unwrap();
    let error = publisher.publish().unwrap_err();
    assert!(matches!(error, PublishError::History { .. }) && error.hint().is_some(), "{error}");
}

#[test]
fn older_releases_are_not_published() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    let old = fs::read(publisher.store.catalog()).unwrap();
    publisher.now = time("2026-11-20T11:00:00Z");
    publisher.compose().unwrap();
    let second = fs::read(publisher.store.catalog()).unwrap();
    publisher.publish().unwrap();
    fs::write(publisher.store.catalog(), &old).unwrap();
    let error = publisher.publish().unwrap_err();
    assert!(matches!(error, PublishError::Older { found: 2, serial: 1, .. }), "{error}");

    // The same serial made anew at another time
    publisher.now = time("2026-11-20T12:00:00Z");
    publisher.compose().unwrap();
    assert!(matches!(publisher.publish(), Err(PublishError::Fork { serial: 2, .. })));
    assert_eq!(fs::read(publisher.served.catalog()).unwrap(), second);
}

#[test]
fn directory_of_another_repository_is_not_changed() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    let mut catalog = publisher.catalog();
    catalog.repository = "other".to_owned();
    let mut root = publisher.root.clone();
    root.repository = "other".to_owned();
    root.keys = vec![publisher.keys[0].public()];
    let file = sysext_manifests::catalog::CatalogFile {
        version: FORMAT,
        roots: vec![publisher.keys[0].seal(&root, "test").unwrap()],
        catalog: publisher.keys[0].seal(&catalog, "test").unwrap(),
    };
    fs::write(publisher.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    assert!(matches!(publisher.publish(), Err(PublishError::OtherRepository { .. })));
}

#[test]
fn valid_release_is_required() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    assert!(matches!(publisher.publish(), Err(PublishError::NotIndexed { .. })));
    publisher.compose().unwrap();
    publisher.now = time("2027-11-20T10:00:00Z");
    let error = publisher.publish().unwrap_err();
    assert_eq!(error.hint().unwrap(), "sign it again with `bakery index`");
}

#[test]
fn images_that_were_not_indexed_are_reported() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.put("x", "1.1", b"two");
    let error = publisher.publish().unwrap_err();
    assert!(error.to_string().ends_with(" contains images that are not on offer: x 1.1 x86-64"), "{error}");
    assert!(!publisher.served.root().exists());
    publisher.unindexed = Unindexed::Allow;
    publisher.publish().unwrap();
    publisher.unindexed = Unindexed::Refuse;
    publisher.compose().unwrap();
    publisher.publish().unwrap();
}

/// Copies the store to another publisher with the same keys.
fn colleague(publisher: &Publisher) -> Publisher {
    let other = publisher.colleague();
    for file in files(publisher.store.root()) {
        let to = other.store.root().join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(publisher.store.root().join(&file), to).unwrap();
    }
    other
}

#[test]
fn images_of_another_publisher_do_not_disappear() {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    let mut other = colleague(&publisher);
    publisher.put("x", "1.1", b"two");
    publisher.compose().unwrap();
    publisher.publish().unwrap();

    other.served = publisher.served.clone();
    other.put("y", "1.0", b"why");
    other.compose().unwrap();
    other.now = time("2026-11-20T11:00:00Z");
    assert_eq!(other.compose().unwrap().serial, 3);
    let before = fs::read(publisher.served.catalog()).unwrap();
    let error = other.publish().unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(" offers images that this release does not contain (serial 2): x 1.1 x86-64"),
        "{error}"
    );
    assert!(error.hint().unwrap().ends_with("--drop x@1.1"), "{:?}", error.hint());
    assert_eq!(fs::read(publisher.served.catalog()).unwrap(), before);

    other.drops = vec!["x@2.0".parse().unwrap()];
    assert!(matches!(other.publish(), Err(PublishError::DropUnknown { .. })));
    other.drops = vec!["x@1.1".parse().unwrap()];
    other.publish().unwrap();
}

#[test]
fn replaced_image_is_published_by_the_store_that_replaced_it() {
    let mut publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    let mut other = colleague(&publisher);
    other.served = publisher.served.clone();
    publisher.put("x", "1.0", b"another");
    publisher.overwrite = Overwrite::Allow;
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    // The other store still has the first bytes, under a later serial
    for _ in 0..2 {
        other.compose().unwrap();
    }
    assert!(matches!(other.publish(), Err(PublishError::Missing { .. })));
}
