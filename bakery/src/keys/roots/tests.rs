//! Proposals, who can sign them, and when they become a chain.

use super::*;
use crate::keys::{KeyError, generate_single, read_public};
use crate::store;

const NOW: &str = "2026-11-20T10:00:00Z";

/// A directory with keys and files.
struct Publisher(tempfile::TempDir);

impl Publisher {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a key pair on first use; returns the public key.
    fn public(&self, name: &str) -> String {
        let path = self.path(&format!("{name}.pub"));
        if !path.exists() {
            generate_single(&self.path(name), None).unwrap();
        }
        read_public(path.to_str().unwrap()).unwrap()
    }

    fn publics(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.public(name)).collect()
    }

    fn key(&self, name: &str) -> SigningKey {
        self.public(name);
        SigningKey::read(&self.path(&format!("{name}.key")), None).unwrap()
    }

    fn root(&self, keys: &[&str], threshold: usize) -> Root {
        let catalog = Role { threshold: 1, keys: self.publics(&["online"]) };
        Root {
            repository: "example".to_owned(),
            number: 1,
            threshold,
            keys: self.publics(keys),
            catalog,
            catalog_lifetime_max_days: 30,
            expires: time("2031-01-01T00:00:00Z"),
        }
    }

    /// A finished chain of one root.
    fn chain(&self, keys: &[&str], threshold: usize) -> Chain {
        let path = self.path("roots.json");
        let mut chain = Chain::begin(&path, self.root(keys, threshold)).unwrap();
        for key in &keys[..threshold] {
            chain.sign(&self.key(key)).unwrap();
        }
        chain.finish(&path, time(NOW)).unwrap();
        Chain::read(&path).unwrap()
    }

    fn change(&self, keys: &[&str], threshold: usize) -> Change {
        Change {
            keys: Some(self.publics(keys)),
            threshold: Some(threshold),
            catalog_keys: None,
            catalog_threshold: None,
            catalog_lifetime: None,
            expires: time("2032-01-01T00:00:00Z"),
        }
    }

    fn next(&self, chain: &Chain, keys: &[&str], threshold: usize) -> Chain {
        chain.next(&self.path("next.json"), self.change(keys, threshold)).unwrap()
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn two_of_three_sign_in_turn() {
    let publisher = Publisher::new();
    let path = publisher.path("roots.pending.json");
    let mut chain = Chain::begin(&path, publisher.root(&["a", "b", "c"], 2)).unwrap();
    chain.write_new().unwrap();
    assert!(matches!(chain.write_new(), Err(RootError::Exists { .. })));
    let signed = chain.sign(&publisher.key("c")).unwrap();
    assert_eq!((signed.needs.len(), signed.needs[0].missing()), (1, 1));
    let error = chain.finish(&publisher.path("roots.json"), time(NOW)).unwrap_err();
    assert!(matches!(&error, RootError::Unsigned { number: 1, .. }), "{error}");
    assert!(error.to_string().contains("1 of 2 required from the keys of root 1"), "{error}");
    assert!(!publisher.path("roots.json").exists());
    chain.write_back().unwrap();

    let mut chain = Chain::read(&path).unwrap();
    assert_eq!(chain.sign(&publisher.key("a")).unwrap().needs[0].missing(), 0);
    chain.finish(&publisher.path("roots.json"), time(NOW)).unwrap();
    Chain::read(&publisher.path("roots.json")).unwrap().check().unwrap();
}

#[test]
fn next_root_needs_the_old_keys_and_its_own() {
    let publisher = Publisher::new();
    let chain = publisher.chain(&["a", "b"], 2);
    let next = publisher.next(&chain, &["b", "c", "d"], 2);
    let signed_by = |names: &[&str]| {
        let mut next = next.clone();
        names.iter().for_each(|name| drop(next.sign(&publisher.key(name)).unwrap()));
        next.check()
    };
    for few in [&["c", "d"][..], &["a", "b"], &["a", "c", "d"], &["b", "c"], &[]] {
        assert!(matches!(signed_by(few), Err(RootError::Unsigned { number: 2, .. })), "{few:?}");
    }
    // One signature of a key that is in both counts for both
    signed_by(&["a", "b", "c"]).unwrap();
    signed_by(&["d", "c", "b", "a"]).unwrap();
}

#[test]
fn key_counts_once_and_unknown_key_is_refused() {
    let publisher = Publisher::new();
    let mut chain = Chain::begin(&publisher.path("x"), publisher.root(&["a", "b"], 2)).unwrap();
    chain.sign(&publisher.key("a")).unwrap();
    assert!(matches!(chain.sign(&publisher.key("a")), Err(RootError::AlreadySigned { number: 1, .. })));
    assert!(matches!(chain.sign(&publisher.key("stranger")), Err(RootError::UnknownKey { number: 1, .. })));
    // Put in by hand, the same signature twice is still one
    let (envelope, _) = &mut chain.links[0];
    envelope.signatures.push(envelope.signatures[0].clone());
    assert!(matches!(chain.check(), Err(RootError::Unsigned { .. })));

    let error = Chain::begin(&publisher.path("x"), publisher.root(&["a", "a"], 1)).unwrap_err();
    assert!(matches!(error, RootError::Twice { role: "root", .. }), "{error}");
    for threshold in [0, 3] {
        let error = Chain::begin(&publisher.path("x"), publisher.root(&["a", "b"], threshold)).unwrap_err();
        assert!(matches!(error, RootError::Role { role: "root", .. }), "{error}");
    }
}

#[test]
fn signatures_of_several_copies_are_merged() {
    let publisher = Publisher::new();
    let chain = publisher.chain(&["a", "b"], 2);
    let (mut one, mut other) =
        (publisher.next(&chain, &["a", "b"], 2), publisher.next(&chain, &["a", "b"], 2));
    one.sign(&publisher.key("a")).unwrap();
    other.sign(&publisher.key("b")).unwrap();
    one.join(&other).unwrap();
    one.join(&other).unwrap();
    one.check().unwrap();
    let another = publisher.next(&chain, &["a"], 1);
    assert!(matches!(one.join(&another), Err(RootError::OtherProposal { .. })));
}

#[test]
fn root_extends_the_chain_it_was_proposed_for() {
    let publisher = Publisher::new();
    let chain = publisher.chain(&["a"], 1);
    let (mut first, mut second) = (publisher.next(&chain, &["a"], 1), publisher.next(&chain, &["b"], 1));
    first.sign(&publisher.key("a")).unwrap();
    first.finish(&publisher.path("roots.json"), time(NOW)).unwrap();
    second.sign(&publisher.key("a")).unwrap();
    second.sign(&publisher.key("b")).unwrap();
    let error = second.finish(&publisher.path("roots.json"), time(NOW)).unwrap_err();
    assert!(matches!(error, RootError::OtherChain { .. }), "{error}");
    assert_eq!(Chain::read(&publisher.path("roots.json")).unwrap().last().keys, publisher.publics(&["a"]));
    // What nobody finished is nothing to go on from
    let unsigned = publisher.next(&first, &["c"], 1);
    let error = unsigned.next(&publisher.path("y"), publisher.change(&["c"], 1)).unwrap_err();
    assert!(matches!(error, RootError::Unsigned { number: 3, .. }), "{error}");
}

#[test]
fn nothing_is_signed_after_an_invalid_chain() {
    let publisher = Publisher::new();
    let chain = publisher.chain(&["a"], 1);
    let mut next = publisher.next(&chain, &["a"], 1);
    next.links[0].0.signatures.clear();
    assert!(matches!(next.sign(&publisher.key("a")), Err(RootError::Trust(_))));
    let mut gap = publisher.next(&chain, &["a"], 1);
    let mut root = gap.links[1].1.clone();
    root.number = 3;
    let packed = Envelope::pack(&root).unwrap();
    gap.links[1] = (Envelope::seal(&packed, Vec::new()), root);
    gap.sign(&publisher.key("a")).unwrap();
    assert!(matches!(gap.check(), Err(RootError::Trust(_))));
}

#[test]
fn expired_root_is_not_finished() {
    let publisher = Publisher::new();
    let mut chain = Chain::begin(&publisher.path("x"), publisher.root(&["a"], 1)).unwrap();
    chain.sign(&publisher.key("a")).unwrap();
    let error = chain.finish(&publisher.path("roots.json"), time("2031-01-01T00:00:00Z")).unwrap_err();
    assert!(matches!(error, RootError::Expired { number: 1, .. }), "{error}");
    assert!(!publisher.path("roots.json").exists());
}

#[test]
fn invalid_chains_are_reported() {
    let publisher = Publisher::new();
    let path = publisher.path("roots.json");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Chain::read(&path).unwrap_err()
    };
    assert!(matches!(read("[]"), RootError::Empty { .. }));
    assert!(matches!(read("{"), RootError::Json { .. }));
    assert!(matches!(
        read(r#"[{"signed": "AAAA", "signatures": []}]"#),
        RootError::Envelope { position: 1, .. }
    ));
}

#[test]
fn public_keys_are_files_or_text() {
    let publisher = Publisher::new();
    let key = publisher.public("a");
    assert_eq!(read_public(&key).unwrap(), key);
    for text in ["", "untrusted comment: nothing\n", "RWx\n"] {
        store::write(&publisher.path("bad.pub"), text.as_bytes()).unwrap();
        let error = read_public(publisher.path("bad.pub").to_str().unwrap()).unwrap_err();
        assert!(matches!(error, KeyError::Public { .. }), "{error}");
    }
    // A secret key given by mistake is not repeated on the terminal
    let error = read_public(publisher.path("a.key").to_str().unwrap()).unwrap_err();
    let secret = std::fs::read_to_string(publisher.path("a.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        assert!(!error.to_string().contains(secret), "the secret is in the message");
        cause = error.source();
    }
}
