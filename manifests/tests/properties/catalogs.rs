//! Catalogs, through the envelope and past the judge.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minisign::KeyPair;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{
    Catalog, CatalogFile, Delta, Extension, FORMAT, Instance, Resource, Root, Units, Wave,
};
use sysext_manifests::envelope::{Envelope, Role, Signature};
use sysext_manifests::repository::Repository;
use sysext_manifests::requirement::{ExtensionName, Requirement};
use sysext_manifests::trust::{Clock, admit};

use super::random::{Random, cases};
use super::{ANYTHING, sha256, version};

fn text(random: &mut Random) -> String {
    random.text(ANYTHING, 0, 8)
}

fn map(random: &mut Random) -> BTreeMap<String, String> {
    random.some(3, |random| (text(random), text(random))).into_iter().collect()
}

fn name(random: &mut Random) -> ExtensionName {
    random.text("k1.-_", 1, 8).replacen('.', "k", 1).parse().expect("it does not start with a dot")
}

/// One for each name, sorted, as a map is read.
fn requirements(random: &mut Random) -> Vec<Requirement> {
    let versions = |random: &mut Random| *random.pick(&["", " >=1.30, <1.33", " 1.32", " =1.32.4-2"]);
    let named = random.some(3, |random| (name(random), versions(random)));
    let named: BTreeMap<ExtensionName, &str> = named.into_iter().collect();
    named.iter().map(|(name, versions)| format!("{name}{versions}").parse().expect("a requirement")).collect()
}

fn resource(random: &mut Random) -> Resource {
    // A path below the repository; what else it could be is refused
    let part = |random: &mut Random| random.text("k1ü.-~^+_@", 3, 8);
    let url = format!("k{}/{}.raw", part(random), part(random));
    Resource { url, size: random.next(), sha256: sha256(random) }
}

fn instance(random: &mut Random) -> Instance {
    Instance {
        version: version(random),
        upstream: text(random),
        revision: u32::try_from(random.next() >> 32).expect("32 bits are left"),
        stream: random.maybe(text),
        channel: text(random),
        arch: *random.pick(Architecture::ALL),
        image: resource(random),
        format: text(random),
        codec: text(random),
        kernel: text(random),
        writer: text(random),
        verity: random.maybe(text),
        transport: random.some(2, resource),
        deltas: random.some(2, |random| Delta {
            from: version(random),
            from_sha256: sha256(random),
            resource: resource(random),
        }),
        release: map(random),
        requires: requirements(random),
        conflicts: random.some(2, name),
        units: Units { restart: random.some(2, text) },
        health: random
            .some(2, |random| serde_json::from_value(text(random).into()).expect("any text is a check")),
        waves: random.some(2, |random| Wave { percent: 5, at: time(random) }),
        withdrawn: random.maybe(text),
    }
}

fn extension(random: &mut Random) -> Extension {
    Extension {
        description: text(random),
        homepage: random.maybe(text),
        license: random.maybe(text),
        manifests: random.some(2, |random| (text(random), sha256(random))).into_iter().collect(),
        instances: random.some(4, instance),
    }
}

/// To the nanosecond, in this century.
fn time(random: &mut Random) -> Timestamp {
    let nanoseconds = i128::from(random.next() % 4_000_000_000_000_000_000);
    Timestamp::from_nanosecond(nanoseconds).expect("it is before 2100")
}

#[test]
fn a_signed_catalog_is_accepted_unchanged() {
    let (root_key, catalog_key) = (key(), key());
    let role = |pair: &KeyPair| Role { threshold: 1, keys: vec![pair.pk.to_base64()] };
    let Role { threshold, keys } = role(&root_key);
    let root = Root {
        repository: "example".to_owned(),
        number: 7,
        threshold,
        keys,
        catalog: role(&catalog_key),
        catalog_lifetime_max_days: u32::MAX,
        expires: Timestamp::MAX,
    };
    let roots = vec![sign(&root, &root_key)];
    let repository = Repository {
        id: "example".to_owned(),
        url: "https://example.org/".to_owned(),
        mirrors: Vec::new(),
        root: root.role(),
    };
    let clock = Clock { shows: Timestamp::UNIX_EPOCH, released: Timestamp::UNIX_EPOCH };
    cases(60, |random| {
        let written = Catalog {
            version: FORMAT,
            repository: "example".to_owned(),
            root: 7,
            serial: random.next(),
            issued: time(random),
            expires: Timestamp::MAX,
            extensions: random.some(4, |random| (text(random), extension(random))).into_iter().collect(),
        };
        let file =
            CatalogFile { version: FORMAT, roots: roots.clone(), catalog: sign(&written, &catalog_key) };
        let document = serde_json::to_vec(&file).expect("it is plain data");
        let admitted = admit(&document, &repository, None, clock).expect("it is signed");
        assert_eq!(*admitted.catalog.get(), written);
        assert_eq!(file.catalog.unpack_to_sign::<Catalog>().expect("it shows everything"), written);
        let marks = serde_json::to_string(&admitted.marks).expect("they are plain data");
        assert_eq!(
            serde_json::from_str::<sysext_manifests::repository::Marks>(&marks).ok(),
            Some(admitted.marks)
        );
    });
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().expect("there is randomness")
}

fn sign<T: serde::Serialize>(document: &T, pair: &KeyPair) -> Envelope {
    let packed = Envelope::pack(document).expect("it is plain data");
    let minisig = minisign::sign(None, &pair.sk, packed.as_slice(), None, None).expect("the key is whole");
    Envelope::seal(&packed, vec![Signature { key: pair.pk.to_base64(), minisig: minisig.into_string() }])
}
