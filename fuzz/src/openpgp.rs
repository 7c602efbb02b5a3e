//! OpenPGP: keyrings, which the operator takes from elsewhere, and signatures, which any server may send.

use std::sync::LazyLock;

use jiff::Timestamp;
use sysext_manifests::hint::Hint as _;
use sysext_manifests::openpgp::{KEYRING_LIMIT, Keyring, SIGNATURE_LIMIT};

use crate::{Memory, Target, files};

const FIXTURES: &str = "manifests/src/openpgp/fixtures";
const DOCUMENT: &[u8] = include_bytes!("../../manifests/src/openpgp/fixtures/manifest");
const PUBLISHER: &[u8] = include_bytes!("../../manifests/src/openpgp/fixtures/publisher.asc");
const SIGNATURE: &[u8] = include_bytes!("../../manifests/src/openpgp/fixtures/good.asc");

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "openpgp-keyring", run: keyring, seeds: keyrings, memory: PACKETS },
    Target { name: "openpgp-signature", run: signature, seeds: signatures, memory: PACKETS },
];

/// Packets become structures, of some hundred bytes for a few.
const PACKETS: Memory = Memory { constant: 256 << 10, factor: 256 };

/// The one keyring that the fixtures' signatures are by.
static RING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::parse(PUBLISHER).expect("the fixture is a keyring").0);

fn keyring(data: &[u8]) {
    assert!(data.len() as u64 <= KEYRING_LIMIT, "longer ones are not read");
    match Keyring::parse(data) {
        Ok((ring, notes)) => {
            assert!(!ring.is_empty());
            notes.iter().for_each(|note| drop(note.to_string()));
            let mut twice = ring.clone();
            twice.merge(ring.clone());
            assert_eq!(twice.fingerprints(), ring.fingerprints());
            drop(ring.verify(DOCUMENT, SIGNATURE, now()));
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

fn signature(data: &[u8]) {
    assert!(data.len() as u64 <= SIGNATURE_LIMIT, "longer ones are not read");
    match RING.verify(DOCUMENT, data, now()) {
        Ok(signer) => assert_eq!(RING.fingerprints(), [signer.certificate]),
        Err(error) => {
            assert!(error.to_string().len() < 16 << 10, "a message is no copy of the input");
            drop(error.hint());
        }
    }
}

fn keyrings() -> Vec<Vec<u8>> {
    let mut seeds = files(FIXTURES, &["publisher.asc", "revoked.asc", "revoked-subkey.asc", ".pgp", ".kbx"]);
    seeds.extend(files("bakery/src/keys/openpgp/fixtures", &["encrypting.pgp"]));
    seeds
}

fn signatures() -> Vec<Vec<u8>> {
    files(FIXTURES, &["good.asc", "short.asc", "sha1.asc", "text.asc", "stranger-signature.asc"])
}

fn now() -> Timestamp {
    "2026-07-01T00:00:00Z".parse().expect("it is a time")
}
