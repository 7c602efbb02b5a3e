//! The name and URL of a release, and contradictions between their sources.

use std::fs;

use super::*;
use crate::fake::Publisher;

fn identify(publisher: &Publisher, given: Given<'_>) -> Result<Identity, IdentityError> {
    super::identify(given, &publisher.key_directory(), &publisher.root.role(), &publisher.store)
}

fn released() -> Publisher {
    let publisher = Publisher::new();
    publisher.put("x", "1.0", b"one");
    publisher.compose().unwrap();
    publisher
}

fn expected() -> Identity {
    Identity { repository: "example".to_owned(), url: "https://example.org/r".to_owned() }
}

#[test]
fn name_and_url_come_from_the_keys_or_the_last_release() {
    let publisher = released();
    assert_eq!(identify(&publisher, Given::default()).unwrap(), expected());
    // A file of another program
    fs::write(publisher.key_directory().join("deny.toml"), "[bans]\n").unwrap();
    assert_eq!(identify(&publisher, Given::default()).unwrap(), expected());
    fs::remove_file(publisher.key_directory().join("example.toml")).unwrap();
    assert_eq!(identify(&publisher, Given::default()).unwrap(), expected());
    // Without a release there is nothing left to ask
    fs::remove_file(publisher.store.catalog()).unwrap();
    assert!(matches!(identify(&publisher, Given::default()), Err(IdentityError::NoName { .. })));
    let name = Given { repository: Some("example"), ..Given::default() };
    assert!(matches!(identify(&publisher, name), Err(IdentityError::NoUrl { .. })));
    let both = Given { url: Some("https://example.org/r/"), ..name };
    assert_eq!(identify(&publisher, both).unwrap(), expected());
}

#[test]
fn options_must_not_contradict_the_keys() {
    let publisher = released();
    let other = Given { repository: Some("exampel"), ..Given::default() };
    assert!(matches!(identify(&publisher, other), Err(IdentityError::OtherKeys { .. })));
    let other = Given { url: Some("https://example.org/s"), ..Given::default() };
    let error = identify(&publisher, other).unwrap_err();
    assert!(matches!(error, IdentityError::OtherUrl { .. }) && error.hint().is_some(), "{error}");
    let invalid = Given { url: Some("ftp://example.org/r"), ..Given::default() };
    assert!(matches!(identify(&publisher, invalid), Err(IdentityError::Key(KeyError::Url { .. }))));
    // With the keys of several repositories, one has to be chosen
    let text = fs::read_to_string(publisher.key_directory().join("example.toml")).unwrap();
    fs::write(publisher.key_directory().join("second.toml"), text).unwrap();
    assert!(matches!(identify(&publisher, Given::default()), Err(IdentityError::SeveralNames { .. })));
    let chosen = Given { repository: Some("example"), ..Given::default() };
    assert_eq!(identify(&publisher, chosen).unwrap(), expected());
}

#[test]
fn changed_url_has_to_be_allowed() {
    let publisher = released();
    let file = publisher.key_directory().join("example.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("example.org/r", "example.org/moved")).unwrap();
    let error = identify(&publisher, Given::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the last release of example has the URL https://example.org/r, not https://example.org/moved"
    );
    let allowed = Given { url_change: UrlChange::Allow, ..Given::default() };
    assert_eq!(identify(&publisher, allowed).unwrap().url, "https://example.org/moved");
}
