//! Documents with every field: the compiler asks for a new one here, and the schema has it then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, to_value};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{
    Catalog, CatalogFile, Delta, Extension, FORMAT, Instance, Resource, Root, Units, Wave,
};
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::{Envelope, Role, Signature};
use sysext_manifests::health::HealthCheck;
use sysext_manifests::requirement::{ExtensionName, Requirement};

/// A value of a text without a form: no version, no digest, no time.
fn text() -> String {
    "some text".to_owned()
}

/// The name of an extension.
fn name() -> ExtensionName {
    "-".parse().expect("a name")
}

/// The name of each entry in a map.
fn one<T>(value: T) -> BTreeMap<String, T> {
    BTreeMap::from([("-".to_owned(), value)])
}

pub(crate) fn catalog() -> Value {
    let resource = || Resource { url: text(), size: 1, sha256: Sha256::of(b"") };
    let version = || "v1.32.1-2".parse().expect("the version is valid");
    let instance = Instance {
        version: version(),
        upstream: text(),
        revision: 1,
        stream: Some(text()),
        channel: text(),
        arch: Architecture::X86_64,
        image: resource(),
        format: text(),
        codec: text(),
        kernel: text(),
        writer: text(),
        verity: Some(text()),
        transport: vec![resource()],
        deltas: vec![Delta { from: version(), from_sha256: Sha256::of(b""), resource: resource() }],
        release: one(text()),
        requires: vec![Requirement { name: name(), versions: None }],
        conflicts: vec![name()],
        units: Units { restart: vec![text()] },
        health: vec![HealthCheck::Unit { name: text() }],
        waves: vec![Wave { percent: 5, at: Timestamp::UNIX_EPOCH }],
        withdrawn: Some(text()),
    };
    let extension = Extension {
        description: text(),
        homepage: Some(text()),
        license: Some(text()),
        manifests: one(Sha256::of(b"")),
        instances: vec![instance],
    };
    let catalog = Catalog {
        version: FORMAT,
        repository: text(),
        root: 1,
        serial: 1,
        issued: Timestamp::UNIX_EPOCH,
        expires: Timestamp::UNIX_EPOCH,
        extensions: one(extension),
    };
    to_value(catalog).expect("it is plain data")
}

pub(crate) fn file() -> Value {
    let envelope =
        || Envelope { signed: text(), signatures: vec![Signature { key: text(), minisig: text() }] };
    let file = CatalogFile { version: FORMAT, roots: vec![envelope()], catalog: envelope() };
    to_value(file).expect("it is plain data")
}

pub(crate) fn root() -> Value {
    let role = || Role { threshold: 1, keys: vec![text()] };
    let Role { threshold, keys } = role();
    let root = Root { number: 1, threshold, keys, catalog: role(), expires: Timestamp::UNIX_EPOCH };
    to_value(root).expect("it is plain data")
}
