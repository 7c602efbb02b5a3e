//! Every way in which a catalog must be rejected, and the ways in which it must be trusted.

use std::collections::BTreeMap;

use minisign::KeyPair;

use super::*;
use crate::catalog::Extension;
use crate::envelope::{Role, Signature};

const NOW: &str = "2026-11-20T10:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn clock(shows: &str) -> Clock {
    Clock { shows: time(shows), released: time("2026-11-01T00:00:00Z") }
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn sign<T: serde::Serialize>(document: &T, keys: &[&KeyPair]) -> Envelope {
    let packed = Envelope::pack(document).unwrap();
    let signatures = keys
        .iter()
        .map(|pair| Signature {
            key: pair.pk.to_base64(),
            minisig: minisign::sign(None, &pair.sk, packed.as_slice(), None, None).unwrap().into_string(),
        })
        .collect();
    Envelope::seal(&packed, signatures)
}

fn role(keys: &[&KeyPair], threshold: usize) -> Role {
    Role { threshold, keys: keys.iter().map(|pair| pair.pk.to_base64()).collect() }
}

fn root(number: u64, keys: &[&KeyPair], catalog: &KeyPair) -> Root {
    let Role { threshold, keys } = role(keys, keys.len());
    Root {
        repository: "example".to_owned(),
        number,
        threshold,
        keys,
        catalog: role(&[catalog], 1),
        catalog_lifetime_max_days: 30,
        expires: time("2030-01-01T00:00:00Z"),
    }
}

fn catalog(root: u64, serial: u64) -> Catalog {
    Catalog {
        version: FORMAT,
        repository: "example".to_owned(),
        root,
        serial,
        issued: time("2026-11-19T00:00:00Z"),
        expires: time("2026-12-04T00:00:00Z"),
        extensions: BTreeMap::new(),
    }
}

/// A publisher with one root key and one catalog key, and a node that was given the root key.
struct World {
    root_key: KeyPair,
    catalog_key: KeyPair,
    repository: Repository,
    file: CatalogFile,
}

impl World {
    fn new() -> Self {
        let (root_key, catalog_key) = (key(), key());
        let roots = vec![sign(&root(1, &[&root_key], &catalog_key), &[&root_key])];
        let file = CatalogFile { version: FORMAT, roots, catalog: sign(&catalog(1, 5), &[&catalog_key]) };
        let repository = Repository {
            id: "example".to_owned(),
            url: "https://example.org/".to_owned(),
            mirrors: Vec::new(),
            root: role(&[&root_key], 1),
        };
        Self { root_key, catalog_key, repository, file }
    }

    fn publish(&mut self, catalog: &Catalog) -> &mut Self {
        self.file.catalog = sign(catalog, &[&self.catalog_key]);
        self
    }

    fn admit(&self, marks: Option<&Marks>, shows: &str) -> Result<Admitted, TrustError> {
        admit(&serde_json::to_vec(&self.file).unwrap(), &self.repository, marks, clock(shows))
    }

    fn refused(&self, marks: Option<&Marks>, shows: &str) -> TrustError {
        self.admit(marks, shows).expect_err("it was trusted")
    }
}

#[test]
fn accepts_a_valid_catalog_with_its_signer_as_evidence() {
    let world = World::new();
    let admitted = world.admit(None, NOW).unwrap();
    assert!(admitted.notes.is_empty(), "{:?}", admitted.notes);
    assert_eq!((admitted.marks.serial, admitted.marks.root.number), (5, 1));
    let expected = Evidence::Signed {
        repository: "example".to_owned(),
        root: 1,
        serial: 5,
        key: world.catalog_key.pk.to_base64(),
    };
    assert_eq!(*admitted.catalog.evidence(), expected);
}

#[test]
fn accepts_the_same_serial_but_rejects_an_older_one() {
    let mut world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    world.admit(Some(&marks), NOW).unwrap();
    let error = world.publish(&catalog(1, 4)).refused(Some(&marks), NOW);
    assert!(matches!(error, TrustError::Replayed { found: 4, seen: 5, .. }), "{error}");
}

#[test]
fn rejects_an_unknown_root_key_with_a_hint() {
    let mut world = World::new();
    world.repository.root = role(&[&key()], 1);
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::NoRoot { roots: 1, .. }), "{error}");
    assert!(error.hint().unwrap().contains("/etc/sysupdate/repositories/example.toml"));
}

#[test]
fn rejects_a_catalog_key_that_is_not_in_the_root() {
    let mut world = World::new();
    world.catalog_key = key();
    let error = world.publish(&catalog(1, 6)).refused(None, NOW);
    assert!(
        matches!(error, TrustError::Signature { source: EnvelopeError::UnknownKeys { .. }, .. }),
        "{error}"
    );
}

#[test]
fn rejects_any_flipped_byte_in_the_signed_part() {
    let mut world = World::new();
    let whole = world.file.catalog.signed.clone().into_bytes();
    for position in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[position] = if damaged[position] == b'A' { b'B' } else { b'A' };
        world.file.catalog.signed = String::from_utf8(damaged).unwrap();
        let error = world.refused(None, NOW);
        assert!(matches!(error, TrustError::Signature { .. }), "byte {position}: {error}");
    }
}

#[test]
fn rejects_an_expired_catalog_and_warns_before() {
    let world = World::new();
    let error = world.refused(None, "2026-12-04T00:00:00Z");
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
    let notes = world.admit(None, "2026-12-01T00:00:00Z").unwrap().notes;
    assert_eq!(notes, [Note::ExpiresSoon { expires: time("2026-12-04T00:00:00Z") }]);
}

#[test]
fn a_clock_in_1970_accepts_the_catalog_and_warns() {
    let world = World::new();
    let admitted = world.admit(None, "1970-01-01T00:00:07Z").unwrap();
    assert!(matches!(admitted.notes[..], [Note::ClockBehind { .. }]), "{:?}", admitted.notes);
}

#[test]
fn a_clock_in_1970_rejects_what_expired_before_the_release_or_the_last_catalog() {
    let mut world = World::new();
    let mut stale = catalog(1, 5);
    stale.expires = time("2026-10-30T00:00:00Z");
    stale.issued = time("2026-10-20T00:00:00Z");
    let error = world.publish(&stale).refused(None, "1970-01-01T00:00:07Z");
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");

    let mut world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    let mut short = catalog(1, 9);
    short.issued = time("2026-11-10T00:00:00Z");
    short.expires = time("2026-11-18T00:00:00Z");
    let error = world.publish(&short).refused(Some(&marks), "1970-01-01T00:00:07Z");
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
}

#[test]
fn a_clock_in_2038_rejects_without_a_lasting_effect() {
    let world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    let error = world.refused(Some(&marks), "2038-01-19T03:14:08Z");
    assert!(matches!(error, TrustError::RootExpired { .. } | TrustError::Expired { .. }), "{error}");
    world.admit(Some(&marks), NOW).unwrap();
}

#[test]
fn rejects_the_catalog_of_another_repository() {
    let mut world = World::new();
    let mut other = catalog(1, 5);
    other.repository = "other".to_owned();
    let error = world.publish(&other).refused(None, NOW);
    assert!(matches!(error, TrustError::OtherRepository { .. }), "{error}");
}

#[test]
fn follows_two_rotations_at_once() {
    let mut world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    let (second, third, online) = (key(), key(), key());
    let first = &world.root_key;
    world.file.roots.push(sign(&root(2, &[&second], &online), &[first, &second]));
    world.file.roots.push(sign(&root(3, &[&third], &online), &[&second, &third]));
    world.file.catalog = sign(&catalog(3, 1), &[&online]);
    for marks in [None, Some(&marks)] {
        let admitted = world.admit(marks, NOW).unwrap();
        assert_eq!((admitted.marks.root.number, admitted.marks.serial), (3, 1));
    }
}

#[test]
fn ignores_a_root_that_only_its_own_key_signed() {
    let mut world = World::new();
    let (second, online) = (key(), key());
    world.file.roots.push(sign(&root(2, &[&second], &online), &[&second]));
    world.file.catalog = sign(&catalog(2, 1), &[&online]);
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::Signature { root: 1, .. }), "{error}");
}

#[test]
fn rejects_a_root_that_only_the_old_key_signed() {
    let mut world = World::new();
    let (second, online) = (key(), key());
    world.file.roots.push(sign(&root(2, &[&second], &online), &[&world.root_key]));
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::Root { number: 2, .. }), "{error}");
}

#[test]
fn rejects_a_gap_in_the_chain() {
    let mut world = World::new();
    world.file.roots.push(sign(&root(3, &[&world.root_key], &world.catalog_key), &[&world.root_key]));
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::Root { number: 3, .. }), "{error}");
}

#[test]
fn a_new_root_resets_an_exhausted_serial() {
    let mut world = World::new();
    let mut stolen = catalog(1, u64::MAX);
    stolen.issued = time("2029-11-19T00:00:00Z");
    stolen.expires = time("2029-12-19T00:00:00Z");
    let marks = world.publish(&stolen).admit(None, NOW).unwrap().marks;
    let online = key();
    world.file.roots.push(sign(&root(2, &[&world.root_key], &online), &[&world.root_key]));
    world.file.catalog = sign(&catalog(2, 1), &[&online]);
    assert_eq!(world.admit(Some(&marks), NOW).unwrap().marks.serial, 1);
}

#[test]
fn the_same_key_twice_does_not_reach_a_threshold_of_two() {
    let mut world = World::new();
    let other = key();
    let two = Root { catalog: role(&[&world.catalog_key, &other], 2), ..root(1, &[&world.root_key], &other) };
    world.file.roots = vec![sign(&two, &[&world.root_key])];
    world.file.catalog = sign(&catalog(1, 5), &[&world.catalog_key, &world.catalog_key]);
    let error = world.refused(None, NOW);
    let below = EnvelopeError::BelowThreshold { valid: 1, threshold: 2 };
    assert!(error.to_string().ends_with(&below.to_string()), "{error}");
    world.file.catalog = sign(&catalog(1, 5), &[&world.catalog_key, &other]);
    world.admit(None, NOW).unwrap();
}

#[test]
fn rejects_a_legacy_signature() {
    // Minisign's first algorithm signed the bytes, not their digest; no program of ours ever did
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNED: &[u8] = b"test";
    const MINISIG: &str = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";
    let key = minisign_verify::PublicKey::from_base64(KEY).unwrap();
    key.verify(SIGNED, &minisign_verify::Signature::decode(MINISIG).unwrap(), true).unwrap();
    let signature = Signature { key: KEY.to_owned(), minisig: MINISIG.to_owned() };
    let envelope = Envelope::seal(SIGNED, vec![signature]);
    let error = envelope.verify(&Role { threshold: 1, keys: vec![KEY.to_owned()] }).unwrap_err();
    assert!(matches!(error, EnvelopeError::Legacy { .. }), "{error}");
}

#[test]
fn distinguishes_invalid_signatures() {
    let (signer, stranger) = (key(), key());
    let bytes = b"bytes".as_slice();
    let sign = |pair: &KeyPair| minisign::sign(None, &pair.sk, bytes, None, None).unwrap().into_string();
    let judge = |minisig: String| {
        let signature = Signature { key: signer.pk.to_base64(), minisig };
        Envelope::seal(bytes, vec![signature]).verify(&role(&[&signer], 1)).unwrap_err()
    };
    let good = sign(&signer);
    // The front of the second line: "ED", the algorithm
    let other = good.replacen("\nRU", "\nUl", 1);
    let error = judge(other);
    assert!(matches!(&error, EnvelopeError::Algorithm { algorithm, .. } if algorithm == "RT"), "{error}");
    let error = judge(good.lines().take(2).collect());
    assert!(matches!(error, EnvelopeError::NotMinisign { .. }), "{error}");
    let error = judge(sign(&stranger));
    assert!(matches!(error, EnvelopeError::OtherKey { .. }), "{error}");
    let forged = minisign::sign(None, &signer.sk, b"others".as_slice(), None, None).unwrap().into_string();
    let error = judge(forged);
    assert!(matches!(error, EnvelopeError::Forged { .. }), "{error}");

    let key = signer.pk.to_base64().replacen("RW", "Ul", 1);
    let error = Role { threshold: 1, keys: vec![key] }.check().unwrap_err();
    let EnvelopeError::KeyAlgorithm { algorithm, .. } = &error else { panic!("{error}") };
    assert_eq!(algorithm, "RT");
}

/// The pair with another key identifier: that of a minisign key is chosen by whoever makes it.
fn renamed(pair: &KeyPair, identifier: [u8; 8]) -> KeyPair {
    let rename = |mut bytes: Vec<u8>, at: usize| {
        bytes[at..at + 8].copy_from_slice(&identifier);
        bytes
    };
    // Algorithm, then the identifier; before that, a secret key has the parameters of its encryption
    let sk = minisign::SecretKey::from_bytes(&rename(pair.sk.to_bytes(), 54)).unwrap();
    let pk = minisign::PublicKey::from_bytes(&rename(pair.pk.to_bytes(), 2)).unwrap();
    KeyPair { pk, sk }
}

#[test]
fn distinguishes_keys_by_their_bytes_not_their_identifier() {
    let mut world = World::new();
    let [one, other] = [key(), key()].map(|pair| renamed(&pair, *b"the same"));
    assert_eq!(one.pk.to_base64()[..13], other.pk.to_base64()[..13]);
    let two = Root { catalog: role(&[&one, &other], 2), ..root(1, &[&world.root_key], &one) };
    world.file.roots = vec![sign(&two, &[&world.root_key])];
    for signers in [[&one, &other], [&other, &one]] {
        world.file.catalog = sign(&catalog(1, 5), &signers);
        world.admit(None, NOW).unwrap();
    }
    let alias = renamed(&one, *b"another!");
    for signers in [[&one, &one], [&one, &alias]] {
        world.file.catalog = sign(&catalog(1, 5), &signers);
        let error = world.refused(None, NOW);
        assert!(matches!(error, TrustError::Signature { .. }), "{error}");
    }
    // Claimed by the wrong one of the two, a signature fits neither
    world.file.catalog = sign(&catalog(1, 5), &[&one, &other]);
    world.file.catalog.signatures[0].key = other.pk.to_base64();
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::Signature { source: EnvelopeError::Forged { .. }, .. }), "{error}");
}

#[test]
fn stops_a_decompression_bomb_at_the_limit() {
    let mut world = World::new();
    let zeros = vec![b' '; usize::try_from(crate::envelope::UNPACKED_LIMIT).unwrap() + 2];
    let packed = zstd::bulk::compress(&zeros, 1).unwrap();
    let signature = Signature {
        key: world.catalog_key.pk.to_base64(),
        minisig: minisign::sign(None, &world.catalog_key.sk, packed.as_slice(), None, None)
            .unwrap()
            .into_string(),
    };
    world.file.catalog = Envelope::seal(&packed, vec![signature]);
    let error = world.refused(None, NOW);
    assert!(matches!(error, TrustError::Signature { source: EnvelopeError::TooLarge, .. }), "{error}");
}

#[test]
fn new_keys_in_the_configuration_reset_the_marks() {
    let old = World::new().admit(None, NOW).unwrap().marks;
    let mut world = World::new();
    world.publish(&catalog(1, 2)).admit(Some(&old), NOW).unwrap();
}

#[test]
fn rejects_what_is_not_a_catalog() {
    let world = World::new();
    let clock = clock(NOW);
    for document in [&b""[..], b"{}", b"[]", b"\xff", b"<html>404</html>"] {
        let error = admit(document, &world.repository, None, clock).unwrap_err();
        assert!(matches!(error, TrustError::Json { .. }), "{error}");
    }
    let mut later = World::new();
    for found in [1, 3] {
        later.file.version = found;
        let error = later.refused(None, NOW);
        assert!(matches!(error, TrustError::Format { .. }), "{error}");
        let hint = if found == 1 { "the publisher must sign it again" } else { "update this program" };
        assert!(error.hint().unwrap().contains(hint), "{error}");
    }
}

#[test]
fn the_order_of_the_configured_keys_does_not_matter() {
    let mut world = World::new();
    let other = key();
    world.repository.root = role(&[&world.root_key, &other], 1);
    let marks = world.admit(None, NOW).unwrap().marks;
    world.repository.root = role(&[&other, &world.root_key], 1);
    assert!(world.admit(Some(&marks), NOW).unwrap().notes.is_empty());
    let error = world.publish(&catalog(1, 4)).refused(Some(&marks), NOW);
    assert!(matches!(error, TrustError::Replayed { found: 4, seen: 5, .. }), "{error}");
    // Other keys are reported.
    world.repository.root = role(&[&world.root_key], 1);
    let notes = world.admit(Some(&marks), NOW).unwrap().notes;
    assert_eq!(notes, [Note::MarksIgnored { root: 1, serial: 5 }]);
}

#[test]
fn a_rotation_is_reported() {
    let mut world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    let online = key();
    world.file.roots.push(sign(&root(2, &[&world.root_key], &online), &[&world.root_key]));
    world.file.catalog = sign(&catalog(2, 1), &[&online]);
    let notes = world.admit(Some(&marks), NOW).unwrap().notes;
    let (before, now) = (role(&[&world.catalog_key], 1), role(&[&online], 1));
    let keys = Note::KeysChanged { document: "catalog", before, now };
    assert_eq!(notes, [Note::RootChanged { from: 1, to: 2 }, keys]);
}

#[test]
fn a_root_of_another_repository_is_rejected_even_with_the_same_root_key() {
    let mut world = World::new();
    let marks = world.admit(None, NOW).unwrap().marks;
    let online = key();
    let foreign = Root { repository: "other".to_owned(), ..root(2, &[&world.root_key], &online) };
    world.file.roots.push(sign(&foreign, &[&world.root_key]));
    world.file.catalog = sign(&catalog(2, 1), &[&online]);
    for marks in [None, Some(&marks)] {
        let error = world.refused(marks, NOW);
        assert!(matches!(error, TrustError::RootOfOtherRepository { number: 2, .. }), "{error}");
    }
}

#[test]
fn a_catalog_may_last_exactly_as_long_as_its_root_allows() {
    let mut world = World::new();
    let mut long = catalog(1, 5);
    long.expires = time("2026-12-19T00:00:00Z");
    world.publish(&long).admit(None, NOW).unwrap();
    long.expires = time("2026-12-19T00:00:01Z");
    let error = world.publish(&long).refused(None, NOW);
    assert!(matches!(error, TrustError::Lifetime { max_days: 30, .. }), "{error}");
}

#[test]
fn a_signer_refuses_what_is_not_shown() {
    let good = serde_json::to_value(catalog(1, 5)).unwrap();
    let judge = |bytes: &[u8]| Envelope::seal(bytes, Vec::new()).unpack_to_sign::<Catalog>().unwrap_err();
    let mut more = catalog(1, 5);
    more.extensions.insert("k".to_owned(), Extension::default());
    let mut more = serde_json::to_value(more).unwrap();
    more["keys"] = "x".into();
    more["extensions"]["k"]["later"] = 1.into();
    let EnvelopeError::UnknownFields { mut fields } = judge(&Envelope::pack(&more).unwrap()) else {
        panic!()
    };
    fields.sort();
    assert_eq!(fields, ["extensions.k.later", "keys"]);
    let spaced = serde_json::to_vec_pretty(&catalog(1, 5)).unwrap();
    let spaced = zstd::bulk::compress(&spaced, 3).unwrap();
    assert!(matches!(judge(&spaced), EnvelopeError::OtherEncoding));
    // A frame that readers skip
    let mut hidden = Envelope::pack(&catalog(1, 5)).unwrap();
    hidden.extend([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, b'e', b'v', b'i', b'l']);
    assert!(matches!(judge(&hidden), EnvelopeError::OtherEncoding));
    let mut root = good;
    root["type"] = "root".into();
    assert!(matches!(
        judge(&Envelope::pack(&root).unwrap()),
        EnvelopeError::Type { expected: "catalog", .. }
    ));
}
