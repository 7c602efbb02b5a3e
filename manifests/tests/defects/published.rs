//! Makes the signed fixtures, with the keys in `fixtures/keys`, whose secret halves are published there.

use std::fs;
use std::path::Path;

use minisign::{PublicKey, SecretKey, SecretKeyBox};
use serde::Serialize;
use serde_json::{Value, json};
use sysext_manifests::catalog::{CatalogFile, FORMAT};
use sysext_manifests::envelope::{Envelope, Role, Signature};
use sysext_manifests::repository::{Marks, Repository};

use super::FIXTURES;

/// The time at which the fixtures are judged, unless there is a `now` beside them.
pub(crate) const NOW: &str = "2026-11-20T10:00:00Z";

/// A key pair.
pub(crate) struct Key {
    secret: SecretKey,
    public: String,
}

/// One of the keys in `fixtures/keys`.
pub(crate) fn key(name: &str) -> Key {
    let text = fs::read_to_string(Path::new(FIXTURES).join("keys").join(name).with_extension("key"));
    let secret = SecretKeyBox::from_string(&text.expect("the key is there"))
        .and_then(SecretKey::from_unencrypted_box)
        .expect("the key has no password");
    let public = PublicKey::from_secret_key(&secret).expect("every key has its other half").to_base64();
    Key { secret, public }
}

pub(crate) fn role(threshold: usize, keys: &[&Key]) -> Role {
    Role { threshold, keys: keys.iter().map(|key| key.public.clone()).collect() }
}

pub(crate) fn seal(packed: &[u8], keys: &[&Key]) -> Envelope {
    let sign = |key: &&Key| {
        // The comment would hold the time otherwise
        let signed = minisign::sign(None, &key.secret, packed, Some("fixture"), None);
        Signature { key: key.public.clone(), minisig: signed.expect("the key is whole").into_string() }
    };
    Envelope::seal(packed, keys.iter().map(sign).collect())
}

fn sign(document: &impl Serialize, keys: &[&Key]) -> Envelope {
    seal(&Envelope::pack(document).expect("it is plain data"), keys)
}

fn root(number: u64, own: &Role, catalog: &Role) -> Value {
    let Role { threshold, keys } = own;
    json!({
        "type": "root", "repository": "example", "number": number, "threshold": threshold, "keys": keys, "catalog": catalog,
        "catalog_lifetime_max_days": 30, "expires": "2030-01-01T00:00:00Z",
    })
}

fn catalog(root: u64, serial: u64) -> Value {
    json!({
        "type": "catalog", "version": FORMAT, "repository": "example", "root": root, "serial": serial,
        "issued": "2026-11-19T00:00:00Z", "expires": "2026-12-04T00:00:00Z", "extensions": {},
    })
}

/// A document with one field replaced.
fn with(mut document: Value, field: &str, value: impl Into<Value>) -> Value {
    document[field] = value.into();
    document
}

/// The keys, and what they sign when nothing is wrong.
struct Publisher {
    root: Key,
    next: Key,
    catalog: Key,
    stranger: Key,
}

impl Publisher {
    fn new() -> Self {
        let [root, next, catalog, stranger] = ["root-1", "root-2", "catalog", "stranger"].map(key);
        Self { root, next, catalog, stranger }
    }

    /// The first root, which names one key for each role.
    fn first(&self) -> Value {
        root(1, &role(1, &[&self.root]), &role(1, &[&self.catalog]))
    }

    fn roots(&self) -> Vec<Envelope> {
        vec![sign(&self.first(), &[&self.root])]
    }

    fn file(&self, catalog: &Value) -> CatalogFile {
        CatalogFile { version: FORMAT, roots: self.roots(), catalog: sign(catalog, &[&self.catalog]) }
    }

    /// What a node remembers that has seen this serial under the first root.
    fn marks(&self, serial: u64) -> Value {
        let keys = role(1, &[&self.root]);
        json!({ "keys": keys, "root": self.first(), "serial": serial, "issued": "2026-11-19T00:00:00Z" })
    }
}

/// A catalog without a defect, and the repository as a node knows it.
pub(crate) fn good() -> (Vec<u8>, Repository) {
    let publisher = Publisher::new();
    let text = repository(&publisher.root);
    let repository = Repository::parse("example", "example.toml", &text).expect("the repository is valid");
    (serde_json::to_vec(&publisher.file(&catalog(1, 5))).expect("it is plain data"), repository)
}

/// What a node remembers that a stolen catalog key has told the largest serial, and what is published then: a
/// root that names another catalog key, and serial 1.
pub(crate) fn healed() -> (Marks, Vec<u8>) {
    let publisher = Publisher::new();
    let Publisher { root: own, stranger: fresh, .. } = &publisher;
    let second = root(2, &role(1, &[own]), &role(1, &[fresh]));
    let file = CatalogFile {
        version: FORMAT,
        roots: [publisher.roots(), vec![sign(&second, &[own])]].concat(),
        catalog: sign(&catalog(2, 1), &[fresh]),
    };
    let marks = serde_json::from_value(publisher.marks(1 << 63)).expect("the marks are valid");
    (marks, serde_json::to_vec(&file).expect("it is plain data"))
}

fn repository(key: &Key) -> String {
    format!("url = \"https://example.org/\"\nkeys = [\"{}\"]\n", key.public)
}

/// Writes a catalog with a defect, and the repository of a node that was given `root-1`.
///
/// There is randomness in a signature: a file that would differ in nothing else stays as it is.
fn write(defect: &str, file: &impl Serialize) {
    let file = serde_json::to_value(file).expect("it is plain data");
    let stored = fs::read(Path::new(FIXTURES).join("defects").join(defect).join("catalog.json")).ok();
    let stored: Option<Value> = stored.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if stored.map(without_signatures).as_ref() != Some(&without_signatures(file.clone())) {
        write_text(defect, "catalog.json", &format!("{file:#}"));
    }
    write_text(defect, "example.toml", &repository(&key("root-1")));
}

fn without_signatures(mut document: Value) -> Value {
    match &mut document {
        Value::Object(fields) => {
            fields.entry("minisig").and_modify(|minisig| *minisig = "left out".into());
            fields.values_mut().for_each(|value| *value = without_signatures(value.take()));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = without_signatures(value.take())),
        _ => {}
    }
    document
}

/// Writes a file that is no JSON, made of one that is.
fn write_broken(defect: &str, file: &CatalogFile, broken: impl FnOnce(&str) -> String) {
    // Reading stops before any signature
    let whole = without_signatures(serde_json::to_value(file).expect("it is plain data"));
    write_text(defect, "catalog.json", &broken(&format!("{whole:#}")));
    write_text(defect, "example.toml", &repository(&key("root-1")));
}

fn write_text(defect: &str, name: &str, text: &str) {
    let directory = Path::new(FIXTURES).join("defects").join(defect);
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join(name), text))
        .expect("fixtures can be written");
}

/// Makes all signed fixtures anew.
pub(crate) fn write_all() {
    let publisher = Publisher::new();
    catalogs(&publisher);
    urls(&publisher);
    roots(&publisher);
    downgrades(&publisher);
}

fn catalogs(publisher: &Publisher) {
    let Publisher { catalog: online, stranger, .. } = publisher;
    let good = catalog(1, 5);
    let file = publisher.file(&good);
    write_broken("truncated-catalog", &file, |text| text[..text.len() / 2].to_owned());
    let twice = "\"version\": 2,\n  \"version\": 2";
    write_broken("duplicate-field", &file, |text| text.replacen("\"version\": 2", twice, 1));
    write("later-format", &CatalogFile { version: FORMAT + 1, ..publisher.file(&good) });
    write("later-format-inside", &publisher.file(&with(good.clone(), "version", FORMAT + 1)));
    write("other-repository", &publisher.file(&with(good.clone(), "repository", "elsewhere")));
    write("without-a-type", &publisher.file(&with(good.clone(), "type", Value::Null)));
    write("root-as-catalog", &publisher.file(&with(publisher.first(), "serial", 5)));
    write(
        "longer-than-the-root-allows",
        &publisher.file(&with(good.clone(), "expires", "2026-12-19T00:00:01Z")),
    );
    write("other-root", &publisher.file(&catalog(2, 5)));
    write("wrong-key", &CatalogFile { catalog: sign(&good, &[stranger]), ..publisher.file(&good) });
    write("not-a-catalog", &publisher.file(&json!([1, 2])));

    write("older-serial", &publisher.file(&catalog(1, 4)));
    write_text("older-serial", "marks.json", &publisher.marks(5).to_string());
    // A stolen catalog key has signed the largest serial; only a new root heals that
    write("serial-after-2-63", &publisher.file(&catalog(1, 6)));
    write_text("serial-after-2-63", "marks.json", &publisher.marks(1 << 63).to_string());
    write("expired", &publisher.file(&good));
    write_text("expired", "now", "2026-12-04T00:00:00Z");
    write("clock-in-2038", &publisher.file(&good));
    write_text("clock-in-2038", "now", "2038-01-19T03:14:07Z");

    // It cannot be earlier than the release of the program that looks
    write("clock-in-1970", &publisher.file(&with(good.clone(), "expires", "2026-10-31T00:00:00Z")));
    write_text("clock-in-1970", "now", "1970-01-01T00:00:00Z");

    let mut forged = publisher.file(&good);
    forged.catalog.signed = Envelope::seal(b"something else", Vec::new()).signed;
    write("altered-after-signing", &forged);
    let torn = seal(b"no zstd", &[online]);
    write("not-zstd", &CatalogFile { catalog: torn, ..publisher.file(&good) });
}

/// Each way in which a URL may lead out of the repository, at each place where a catalog has one.
fn urls(publisher: &Publisher) {
    let resource = |url: &str| json!({ "url": url, "size": 1, "sha256": "00".repeat(32) });
    let offer = |image: &str, transport: Value, deltas: Value| {
        let mut instance = json!({
            "version": "1", "upstream": "1", "revision": 1, "arch": "x86-64", "format": "erofs", "codec": "none",
            "kernel": "5.15", "writer": "fixture", "transport": transport, "deltas": deltas,
        });
        if let (Value::Object(instance), Value::Object(image)) = (&mut instance, resource(image)) {
            instance.extend(image);
        }
        with(catalog(1, 5), "extensions", json!({ "k": { "instances": [instance] } }))
    };
    for (defect, url) in [
        ("url-with-dot-dot", "k/../../k-1.raw"),
        ("url-with-percent-2e", "k/%2e%2e/k-1.raw"),
        ("url-with-percent-2f", "k/..%2F..%2fk-1.raw"),
        ("url-with-a-leading-slash", "//elsewhere.example/k-1.raw"),
        ("url-with-a-scheme", "https://elsewhere.example/k-1.raw"),
        ("url-with-a-backslash", "k\\..\\k-1.raw"),
        ("url-with-a-query", "k/k-1.raw?version=1"),
        ("url-with-a-fragment", "k/k-1.raw#1"),
        ("url-with-an-empty-part", "k//k-1.raw"),
        ("url-with-a-newline", "k/k-1.raw\r\nHost: elsewhere.example"),
    ] {
        write(defect, &publisher.file(&offer(url, json!([]), json!([]))));
    }
    let outside = resource("../k-1.zst");
    write("url-of-a-transport-form", &publisher.file(&offer("k/k-1.raw", json!([outside]), json!([]))));
    let mut delta = resource("../k-1.delta");
    delta["from"] = "0".into();
    delta["from_sha256"] = "00".repeat(32).into();
    write("url-of-a-delta", &publisher.file(&offer("k/k-1.raw", json!([]), json!([delta]))));
}

fn roots(publisher: &Publisher) {
    let Publisher { root: first, next, catalog: online, stranger } = publisher;
    let both = role(2, &[online, stranger]);
    let demanding = sign(&root(1, &role(1, &[first]), &both), &[first]);
    let signed_by = |keys: &[&Key]| CatalogFile {
        version: FORMAT,
        roots: vec![demanding.clone()],
        catalog: sign(&catalog(1, 5), keys),
    };
    write("below-threshold", &signed_by(&[online]));
    write("same-key-signs-twice", &signed_by(&[online, online]));
    let twice = root(1, &role(1, &[first]), &role(2, &[online, online]));
    let file = publisher.file(&catalog(1, 5));
    write("same-key-named-twice", &CatalogFile { roots: vec![sign(&twice, &[first])], ..file.clone() });
    write(
        "root-of-a-stranger",
        &CatalogFile { roots: vec![sign(&publisher.first(), &[stranger])], ..file.clone() },
    );
    let brief = with(publisher.first(), "expires", "2026-11-20T00:00:00Z");
    write("expired-root", &CatalogFile { roots: vec![sign(&brief, &[first])], ..file });

    let file = publisher.file(&catalog(1, 5));
    let elsewhere = with(publisher.first(), "repository", "elsewhere");
    write(
        "root-of-another-repository",
        &CatalogFile { roots: vec![sign(&elsewhere, &[first])], ..file.clone() },
    );
    // What the holders of the root keys signed as a catalog is not a root, even if it has all its fields
    let mut both = catalog(1, 5);
    if let (Value::Object(both), Value::Object(root)) =
        (&mut both, root(2, &role(1, &[stranger]), &role(1, &[stranger])))
    {
        both.extend(root.into_iter().filter(|(name, _)| name != "type"));
    }
    let posed = [publisher.roots(), vec![sign(&both, &[first, stranger])]].concat();
    write("catalog-as-root", &CatalogFile { roots: posed, ..file });

    // Who rotates must show both the old keys and the new ones
    let second = |number| root(number, &role(1, &[next]), &role(1, &[stranger]));
    let rotated = |number, keys: &[&Key]| CatalogFile {
        version: FORMAT,
        roots: [publisher.roots(), vec![sign(&second(number), keys)]].concat(),
        catalog: sign(&catalog(number, 1), &[stranger]),
    };
    write("rotation-by-new-keys-only", &rotated(2, &[next]));
    write("rotation-by-old-keys-only", &rotated(2, &[first]));
    write("rotation-with-a-gap", &rotated(3, &[first, next]));
}

/// Each way to have no signature looked at.
fn downgrades(publisher: &Publisher) {
    let file = publisher.file(&catalog(1, 5));
    write("no-roots", &CatalogFile { roots: Vec::new(), ..file.clone() });
    let mut bare = file.clone();
    bare.catalog.signatures.clear();
    write("no-signatures", &bare);
    let mut bare = file.clone();
    bare.roots[0].signatures.clear();
    write("no-signatures-of-a-root", &bare);
    write("no-envelope", &catalog(1, 5));
    let nobody = root(1, &role(1, &[&publisher.root]), &role(0, &[]));
    write(
        "root-that-asks-for-no-signature",
        &CatalogFile { roots: vec![sign(&nobody, &[&publisher.root])], ..file },
    );
}
