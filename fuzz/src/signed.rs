//! What a server says that has no key, and what the holder of a stolen catalog key says.

use std::sync::LazyLock;

use jiff::Timestamp;
use minisign::{PublicKey, SecretKey, SecretKeyBox};
use sysext_manifests::catalog::{Catalog, CatalogFile, FORMAT, Root};
use sysext_manifests::envelope::{Envelope, Role, Signature, UNPACKED_LIMIT};
use sysext_manifests::hint::Hint as _;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock};

use crate::{Memory, Target, files};

const ROOT_KEY: &str = include_str!("../../manifests/tests/fixtures/keys/root-1.key");
const CATALOG_KEY: &str = include_str!("../../manifests/tests/fixtures/keys/catalog.key");

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "envelope", run: envelope, seeds: envelopes, memory: JSON },
    Target { name: "catalog", run: catalog, seeds: catalogs, memory: JSON },
    Target { name: "packed", run: packed, seeds: packs, memory: UNPACKED },
];

/// JSON into structures: an empty instance of a map costs a node with room for eleven.
const JSON: Memory = Memory { constant: 256 << 10, factor: 1024 };

/// What may be unpacked, while the buffer doubles: the old half, the new whole, and the document.
const UNPACKED: Memory = Memory { constant: 4 * UNPACKED_LIMIT as usize, factor: 0 };

/// The operator's view, the publisher's chain of one root, and the key that it names.
struct World {
    repository: Repository,
    roots: Vec<Envelope>,
    catalog: (SecretKey, String),
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (root, catalog) = (key(ROOT_KEY), key(CATALOG_KEY));
    let keys = |key: &(SecretKey, String)| vec![key.1.clone()];
    let first = Root {
        repository: "example".to_owned(),
        number: 1,
        threshold: 1,
        keys: keys(&root),
        catalog: Role { threshold: 1, keys: keys(&catalog) },
        catalog_lifetime_max_days: u32::MAX,
        expires: Timestamp::MAX,
    };
    let roots = vec![seal(&Envelope::pack(&first).expect("a root is plain data"), &root)];
    let repository = Repository {
        id: "example".to_owned(),
        url: "https://example.org/".to_owned(),
        mirrors: Vec::new(),
        root: first.role(),
    };
    World { repository, roots, catalog }
});

/// Bytes of `catalog.json`.
fn envelope(data: &[u8]) {
    match trust::admit(data, &WORLD.repository, None, clock()) {
        Ok(admitted) => assert_eq!(admitted.catalog.get().repository, "example"),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// Bytes of the JSON inside; without a signature, which would take a hundred times as long as the rest.
fn catalog(data: &[u8]) {
    if let Ok(catalog) = serde_json::from_slice::<Catalog>(data) {
        let written = serde_json::to_vec(&catalog).expect("what was read can be written");
        assert_eq!(
            serde_json::from_slice::<Catalog>(&written).expect("what was written can be read"),
            catalog
        );
    }
    if let Ok(root) = serde_json::from_slice::<Root>(data) {
        let _ = root.catalog.check();
    }
}

/// Bytes that are signed as they are, and unpacked only then.
fn packed(data: &[u8]) {
    envelope(&file(data));
}

fn envelopes() -> Vec<Vec<u8>> {
    let mut seeds = files("manifests/tests/fixtures", &["catalog.json"]);
    seeds.extend(packs().iter().map(|packed| file(packed)));
    seeds
}

fn packs() -> Vec<Vec<u8>> {
    catalogs().iter().map(|json| zstd::bulk::compress(json, 19).expect("memory compresses")).collect()
}

fn catalogs() -> Vec<Vec<u8>> {
    vec![include_bytes!("signed/catalog.json").to_vec()]
}

fn file(packed: &[u8]) -> Vec<u8> {
    let World { roots, catalog, .. } = &*WORLD;
    let file = CatalogFile { version: FORMAT, roots: roots.clone(), catalog: seal(packed, catalog) };
    serde_json::to_vec(&file).expect("it is plain data")
}

fn seal(packed: &[u8], (secret, public): &(SecretKey, String)) -> Envelope {
    let comment = Some("fixed, so that equal inputs are equal bytes");
    let minisig =
        minisign::sign(None, secret, packed, comment, None).expect("the key is whole").into_string();
    Envelope::seal(packed, vec![Signature { key: public.clone(), minisig }])
}

fn key(text: &str) -> (SecretKey, String) {
    let secret = SecretKeyBox::from_string(text)
        .and_then(SecretKey::from_unencrypted_box)
        .expect("the fixture is a key without a password");
    let public = PublicKey::from_secret_key(&secret).expect("every key has its other half");
    (secret, public.to_base64())
}

fn clock() -> Clock {
    Clock { shows: Timestamp::UNIX_EPOCH, released: Timestamp::UNIX_EPOCH }
}
