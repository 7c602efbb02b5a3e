//! Every way in which a node may stand towards a repository, and how it forgets.

use std::path::Path;

use super::*;
use crate::host::fake::{FakeHost, FakeStore};
use crate::repository::{Forgotten, forget};

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const STATE: &str = "/var/lib/sysupdate/repositories/example/state.json";
const COPY: &str = "/var/lib/sysupdate/repositories/example/catalog.json";

fn paths() -> Paths {
    Paths::new(Path::new("/"))
}

/// A node that trusts `example` and has seen serial 42 under root 3.
fn node() -> FakeStore {
    let store = FakeHost::new().store;
    let file = format!("url = 'https://example.org'\nkeys = ['{KEY}']");
    store.put("/etc/sysupdate/repositories/example.toml", file.as_bytes());
    store.put(STATE, state(KEY).as_bytes());
    store
}

fn state(key: &str) -> String {
    let root = format!(
        r#"{{"repository": "example", "catalog_lifetime_max_days": 30, "number": 3, "threshold": 1, "keys": ["{KEY}"], "expires": "2031-01-01T00:00:00Z",
            "catalog": {{"threshold": 1, "keys": ["{KEY}"]}}}}"#
    );
    format!(
        r#"{{"version": 1, "seen": null, "marks": {{"keys": {{"threshold": 1, "keys": ["{key}"]}},
            "root": {root}, "serial": 42, "issued": "2026-11-20T00:00:00Z"}}}}"#
    )
}

fn text(store: &FakeStore) -> String {
    look(store, &paths(), "example").to_string()
}

#[test]
fn what_is_remembered_is_shown() {
    let store = node();
    let standing = look(&store, &paths(), "example");
    assert!(standing.is_usable());
    let expected = "example\n  \
        url           https://example.org/\n  \
        keys          1 of 1: RWQf6LRC…Ln73Y7GFO3; from /etc/sysupdate/repositories/example.toml\n  \
        root          3, expires 2031-01-01T00:00:00Z\n  \
        root keys     1 of 1: RWQf6LRC…Ln73Y7GFO3\n  \
        catalog keys  1 of 1: RWQf6LRC…Ln73Y7GFO3\n  \
        serial        42\n  \
        issued        2026-11-20T00:00:00Z\n  \
        expires       unknown: the last catalog was not kept\n";
    assert_eq!(standing.to_string(), expected);
}

#[test]
fn a_copy_that_nobody_signed_is_not_quoted() {
    let store = node();
    store.put(COPY, br#"{"version": 2, "roots": [], "signed": "AA==", "signatures": []}"#);
    assert!(text(&store).contains("does not fit: signed by nobody"), "{}", text(&store));
    store.put(COPY, b"{");
    assert!(text(&store).contains("does not fit: EOF"), "{}", text(&store));
}

#[test]
fn changed_keys_are_told() {
    let store = node();
    let other = KEY.replace("GFO3", "GFO4");
    store.put(STATE, state(&other).as_bytes());
    let standing = look(&store, &paths(), "example");
    let Remembered::Marks { under: Under::Others { role }, .. } = &standing.remembered else {
        panic!("{standing:?}")
    };
    assert_eq!(role.keys, [other]);
    assert!(standing.to_string().contains("no longer used"), "{standing}");
}

#[test]
fn what_cannot_be_read_is_told_and_can_be_forgotten() {
    for damage in [&b"{"[..], b"", br#"{"version": 2}"#] {
        let store = node();
        store.put(STATE, damage);
        let standing = look(&store, &paths(), "example");
        assert!(
            !standing.is_usable() && standing.to_string().contains("no catalog is trusted"),
            "{standing}"
        );
        assert_eq!(forget(&store, &paths(), "example").unwrap(), Forgotten::Unreadable);
        assert_eq!(look(&store, &paths(), "example").remembered, Remembered::Nothing);
    }
}

#[test]
fn a_repository_is_known_by_its_file_or_by_what_is_remembered() {
    let store = node();
    store.put("/etc/sysupdate/repositories/other.toml", b"url = 1");
    store.put("/etc/sysupdate/repositories/README", b"");
    store.put("/var/lib/sysupdate/repositories/gone/state.json", state(KEY).as_bytes());
    store.put("/var/lib/sysupdate/repositories/empty/notes", b"");
    let known = known(&store, &paths()).unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["example", "gone", "other"]);
    let gone = look(&store, &paths(), "gone");
    assert!(matches!(gone.configured, Configured::Missing { .. }) && gone.is_usable(), "{gone}");
    assert!(!look(&store, &paths(), "other").is_usable());
}

#[test]
fn forgetting_leaves_nothing_and_a_crash_forgets_all_or_nothing() {
    let store = node();
    store.put(COPY, b"{}");
    store.stop_before(1);
    assert!(forget(&store, &paths(), "example").is_err());
    store.go_on();
    let Remembered::Marks { serial: 42, catalog: Kept::Missing, .. } =
        look(&store, &paths(), "example").remembered
    else {
        panic!("{}", text(&store))
    };
    assert_eq!(forget(&store, &paths(), "example").unwrap(), Forgotten::Marks { root: 3, serial: 42 });
    assert_eq!((store.bytes(STATE), store.bytes(COPY)), (None, None));
    assert_eq!(forget(&store, &paths(), "example").unwrap(), Forgotten::Nothing);
}
