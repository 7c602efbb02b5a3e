//! With the keys and signatures that the tests of the manifests have; see there.

use std::path::Path;

use sysext_manifests::openpgp::Signer;

use super::*;
use crate::host::fake::{FakeHost, Reply};
use crate::host::transport::FailureKind;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../manifests/src/openpgp/fixtures/", $name))
    };
}

const MANIFEST: &[u8] = fixture!("manifest");
const PUBLISHER: &[u8] = fixture!("publisher.asc");
const REVOKED: &[u8] = fixture!("revoked.asc");
const STRANGER: &[u8] = fixture!("stranger.pgp");
const GOOD: &[u8] = fixture!("good.asc");

const URL: &str = "https://example.org/k/SHA256SUMS";

fn host(world: &FakeHost) -> Host {
    world.host()
}

fn paths() -> Paths {
    Paths::new(Path::new("/r"))
}

/// A world with a manifest.
fn world() -> FakeHost {
    let world = FakeHost::new();
    world.transport.serve(URL, MANIFEST);
    world
}

fn verify(world: &FakeHost) -> Result<Signer, SignatureFailure> {
    let host = host(world);
    let (keyring, warnings) = keyring(&host, &paths())?;
    assert_eq!(warnings, [""; 0]);
    fetch(&host, &keyring, URL, 1 << 20).map(|(list, _)| list.signer().clone())
}

fn asked(world: &FakeHost) -> Vec<String> {
    let requests = world.transport.requests();
    requests.iter().map(|request| request.url.strip_prefix(URL).unwrap().to_owned()).collect()
}

#[test]
fn signatures_are_looked_for_in_systemds_order() {
    for (index, ending) in ENDINGS.iter().enumerate() {
        let world = world();
        world.store.put("/r/etc/systemd/import-pubring.pgp", PUBLISHER);
        world.transport.serve(&format!("{URL}{ending}"), GOOD);
        verify(&world).unwrap();
        assert_eq!(asked(&world), [&[""], &ENDINGS[..=index]].concat());
    }
    let world = world();
    world.store.put("/r/etc/systemd/import-pubring.pgp", PUBLISHER);
    let error = verify(&world).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("{URL} has no OpenPGP signature; not found: ")),
        "{error}"
    );
}

#[test]
fn a_server_that_fails_is_not_one_without_a_signature() {
    let world = world();
    world.store.put("/r/etc/systemd/import-pubring.pgp", PUBLISHER);
    world.transport.serve(&format!("{URL}.gpg"), GOOD);
    world.transport.reply(&format!("{URL}.sha256.asc"), Reply::Fail(FailureKind::Permanent));
    assert!(matches!(verify(&world), Err(SignatureFailure::Fetch(AcquireError::Fetch { .. }))));
    assert_eq!(asked(&world), ["", ".sha256.asc"]);
}

#[test]
fn keyrings_are_merged_and_the_legacy_names_read() {
    let signed = || {
        let world = world();
        world.transport.serve(&format!("{URL}.sha256.asc"), GOOD);
        world
    };
    for (etc, usr) in [("pgp", "pgp"), ("pgp", "gpg"), ("gpg", "pgp")] {
        for (first, second) in [(PUBLISHER, STRANGER), (STRANGER, PUBLISHER)] {
            let world = signed();
            world.store.put(format!("/r/etc/systemd/import-pubring.{etc}"), first);
            world.store.put(format!("/r/usr/lib/systemd/import-pubring.{usr}"), second);
            verify(&world).unwrap();
        }
    }
    // The legacy name does not count beside the new one
    let world = signed();
    world.store.put("/r/etc/systemd/import-pubring.pgp", STRANGER);
    world.store.put("/r/etc/systemd/import-pubring.gpg", PUBLISHER);
    assert!(matches!(verify(&world), Err(SignatureFailure::Refused { .. })));
    // What is revoked in one place is not valid by another
    let world = signed();
    world.store.put("/r/etc/systemd/import-pubring.pgp", REVOKED);
    world.store.put("/r/usr/lib/systemd/import-pubring.pgp", PUBLISHER);
    let message = verify(&world).unwrap_err().to_string();
    assert!(message.contains(" was revoked at "), "{message}");
    // One that the operator names counts alone
    let world = signed();
    world.store.put("/r/etc/systemd/import-pubring.pgp", STRANGER);
    world.store.put("/elsewhere", PUBLISHER);
    let (ring, _) = keyring(&host(&world), &paths().with_keyring("/elsewhere".into())).unwrap();
    assert_eq!(ring.fingerprints().len(), 1);
    fetch(&host(&world), &ring, URL, 1 << 20).unwrap();
}

#[test]
fn without_keys_nothing_is_asked() {
    let world = world();
    let error = verify(&world).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this node has no OpenPGP keyring: /r/etc/systemd/import-pubring.pgp, \
         /r/etc/systemd/import-pubring.gpg, /r/usr/lib/systemd/import-pubring.pgp, \
         /r/usr/lib/systemd/import-pubring.gpg"
    );
    assert!(error.hint().unwrap().contains("/r/etc/systemd/import-pubring.pgp (`gpg --export KEY`)"));
    world.store.put("/r/etc/systemd/import-pubring.pgp", b"text");
    let message = verify(&world).unwrap_err().to_string();
    assert!(message.starts_with("/r/etc/systemd/import-pubring.pgp: invalid OpenPGP keyring: "), "{message}");
    assert_eq!(asked(&world), [""; 0]);
}

#[test]
fn a_publication_under_way_is_waited_for_once() {
    let world = world();
    world.store.put("/r/etc/systemd/import-pubring.pgp", PUBLISHER);
    world.transport.serve(&format!("{URL}.sha256.asc"), GOOD);
    world.transport.reply(URL, Reply::Bytes(b"the manifest before\n".to_vec()));
    verify(&world).unwrap();
    assert_eq!(asked(&world), ["", ".sha256.asc", "", ".sha256.asc"]);
    assert_eq!(world.clock.sleeps().len(), 1);

    world.transport.serve(URL, b"altered\n");
    let message = verify(&world).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{URL}.sha256.asc: the signature of OpenPGP key ")), "{message}");
    assert_eq!(world.clock.sleeps().len(), 2);
}
