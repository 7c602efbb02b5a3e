//! What reaches the served directory, in which order, and what is refused.

use super::*;
use crate::fake::{Desk, files, time};

#[test]
fn payloads_come_first_and_the_catalog_last() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.put("y", "1.0", b"why");
    desk.index().unwrap();
    let published = desk.publish().unwrap();
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
    assert_eq!(files(desk.served.root()), sorted);

    let again = desk.publish().unwrap();
    assert_eq!((again.copied.len(), again.unchanged, again.bytes), (0, expected.len(), 0));
}

#[test]
fn a_file_that_is_not_what_the_catalog_says_stops_everything() {
    for file in ["x-1.0-x86-64.raw", "x.transfer"] {
        let desk = Desk::new();
        desk.put("a", "1.0", b"fine");
        desk.put("x", "1.0", b"one");
        desk.index().unwrap();
        fs::write(desk.store.file("x", file), "altered").unwrap();
        assert!(matches!(desk.publish(), Err(PublishError::Check(CheckError::Damaged { .. }))), "{file}");
        assert!(!desk.served.root().exists());
    }
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    fs::write(desk.store.file("x", "SHA256SUMS"), format!("{}  z.raw\n", Sha256::of(b"z"))).unwrap();
    assert!(matches!(desk.publish(), Err(PublishError::Check(CheckError::Torn { .. }))));
}

#[test]
fn only_images_that_nothing_names_are_pruned() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.put("x", "1.1", b"two");
    desk.put("y", "1.0", b"why");
    desk.index().unwrap();
    desk.publish().unwrap();
    fs::write(desk.served.file("x", "notes.txt"), "mine").unwrap();
    fs::remove_file(desk.store.file("x", "x-1.0-x86-64.raw")).unwrap();
    fs::remove_dir_all(desk.store.extension("y")).unwrap();
    desk.index().unwrap();
    assert_eq!(desk.publish().unwrap().removed, [""; 0]);
    desk.obsolete = Obsolete::Remove;
    let published = desk.publish().unwrap();
    assert_eq!(published.removed, ["x/x-1.0-x86-64.raw"]);
    assert_eq!(published.notes, [Note::Unsigned, Note::Left { name: "y".to_owned() }]);
    let left = files(desk.served.root());
    assert!(left.contains(&"x/notes.txt".to_owned()) && left.contains(&"y/y-1.0-x86-64.raw".to_owned()));
}

#[test]
fn what_others_put_into_the_directory_is_not_pruned() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.put("x", "1.1", b"two");
    desk.index().unwrap();
    desk.publish().unwrap();
    let others = ["x-tools-3-x86-64.raw", "x-0.9-x86-64.raw"];
    others.iter().for_each(|name| fs::write(desk.served.file("x", name), "mine").unwrap());
    for version in ["1.0", "1.1"] {
        fs::remove_file(desk.store.file("x", &format!("x-{version}-x86-64.raw"))).unwrap();
    }
    // Of the same name as one that was published, and not what was published
    fs::write(desk.served.file("x", "x-1.1-x86-64.raw"), "mine").unwrap();
    desk.put("x", "1.2", b"three");
    desk.index().unwrap();
    desk.obsolete = Obsolete::Remove;
    assert_eq!(desk.publish().unwrap().removed, ["x/x-1.0-x86-64.raw"]);
    let left = files(desk.served.root());
    for name in others.into_iter().chain(["x-1.1-x86-64.raw", "x-1.2-x86-64.raw"]) {
        assert!(left.contains(&format!("x/{name}")), "{name}");
    }
    // A store that has forgotten what it published still knows what is served in its name
    fs::remove_file(desk.store.root().join("catalog/published.json")).unwrap();
    fs::remove_file(desk.store.file("x", "x-1.2-x86-64.raw")).unwrap();
    desk.put("x", "1.3", b"four");
    desk.index().unwrap();
    assert_eq!(desk.publish().unwrap().removed, ["x/x-1.2-x86-64.raw"]);
    fs::write(desk.store.root().join("catalog/published.json"), "{}").unwrap();
    let error = desk.publish().unwrap_err();
    assert!(matches!(error, PublishError::History { .. }) && error.hint().is_some(), "{error}");
}

#[test]
fn what_is_served_never_goes_back() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    let old = fs::read(desk.store.catalog()).unwrap();
    desk.now = time("2026-11-20T11:00:00Z");
    desk.index().unwrap();
    let second = fs::read(desk.store.catalog()).unwrap();
    desk.publish().unwrap();
    fs::write(desk.store.catalog(), &old).unwrap();
    let error = desk.publish().unwrap_err();
    assert!(matches!(error, PublishError::Older { found: 2, serial: 1, .. }), "{error}");

    // The same serial made anew at another time
    desk.now = time("2026-11-20T12:00:00Z");
    desk.index().unwrap();
    assert!(matches!(desk.publish(), Err(PublishError::Fork { serial: 2, .. })));
    assert_eq!(fs::read(desk.served.catalog()).unwrap(), second);
}

#[test]
fn another_repositorys_directory_is_left_alone() {
    let desk = Desk::new();
    desk.put("x", "1.0", b"one");
    desk.index().unwrap();
    desk.publish().unwrap();
    let mut catalog = desk.catalog();
    catalog.repository = "other".to_owned();
    let file = sysext_manifests::catalog::CatalogFile {
        version: 1,
        roots: desk.roots.clone(),
        catalog: desk.keys[0].seal(&catalog, "test").unwrap(),
    };
    fs::write(desk.store.catalog(), serde_json::to_vec(&file).unwrap()).unwrap();
    assert!(matches!(desk.publish(), Err(PublishError::OtherRepository { .. })));
}

#[test]
fn nothing_is_published_without_a_valid_release() {
    let mut desk = Desk::new();
    desk.put("x", "1.0", b"one");
    assert!(matches!(desk.publish(), Err(PublishError::NotIndexed { .. })));
    desk.index().unwrap();
    desk.now = time("2027-11-20T10:00:00Z");
    let error = desk.publish().unwrap_err();
    assert_eq!(error.hint().unwrap(), "`bakery index` signs it anew");
}
