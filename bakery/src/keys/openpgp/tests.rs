//! The fixtures were made by GnuPG 2.2 at the faked time 2026-01-01; the password is `word`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::fake::{NOW, Publisher, time};
use crate::keys::Password;
use crate::publish::Note;

const SIGNING: &[u8] = include_bytes!("fixtures/signing.pgp");
const WITHOUT_PRIMARY: &[u8] = include_bytes!("fixtures/without-primary.pgp");
const LOCKED: &[u8] = include_bytes!("fixtures/locked.pgp");
const EXPIRED: &[u8] = include_bytes!("fixtures/expired.pgp");
const ENCRYPTING: &[u8] = include_bytes!("fixtures/encrypting.pgp");

const FINGERPRINT: &str = "A1A6586F2DF4CA48746EC2ADDD344407B5BDF41D";

struct Drawer(tempfile::TempDir);

impl Drawer {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, bytes: &[u8], mode: u32) -> PathBuf {
        let path = self.0.path().join("file");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn sign(&self, key: &[u8], password: Option<&str>) -> Result<Signatures, OpenPgpKeyError> {
        let password = password.map(|text| Password::from_file(&self.put(text.as_bytes(), 0o600)).unwrap());
        OpenPgpKey::read(&self.put(key, 0o600), password.as_ref())?.sign(b"text\n", time(NOW))
    }

    fn message(&self, key: &[u8], password: Option<&str>) -> String {
        let error = self.sign(key, password).unwrap_err().to_string();
        error.replace(&self.0.path().display().to_string(), "")
    }
}

#[test]
fn keys_sign_with_and_without_a_password() {
    let drawer = Drawer::new();
    let signatures = drawer.sign(SIGNING, None).unwrap();
    assert!(signatures.armored.starts_with(b"-----BEGIN PGP SIGNATURE-----\n"));
    assert_eq!(signatures, drawer.sign(SIGNING, None).unwrap(), "the same bytes from the same key and time");
    drawer.sign(LOCKED, Some("word\n")).unwrap();
}

#[test]
fn key_without_its_primary_key_signs() {
    let drawer = Drawer::new();
    assert_eq!(drawer.sign(WITHOUT_PRIMARY, None).unwrap(), drawer.sign(SIGNING, None).unwrap());
    let key = OpenPgpKey::read(&drawer.put(WITHOUT_PRIMARY, 0o600), None).unwrap();
    assert_eq!(key.fingerprint(), FINGERPRINT);
    assert_eq!(format!("{key:?}"), format!("OpenPgpKey({FINGERPRINT})"));
}

#[test]
fn unusable_keys_are_reported() {
    let drawer = Drawer::new();
    assert_eq!(
        drawer.message(LOCKED, None),
        "/file cannot be unlocked: it is encrypted, but no password was given"
    );
    assert_eq!(drawer.message(LOCKED, Some("other")), "/file cannot be unlocked: wrong password");
    assert_eq!(drawer.message(ENCRYPTING, None), "/file contains no secret key for signing");
    assert_eq!(
        drawer.message(b"RWQ", None),
        "/file does not contain a usable OpenPGP secret key: it is damaged or not an OpenPGP key"
    );
    let message = drawer.message(EXPIRED, None);
    assert!(message.starts_with("nodes would reject signatures made with /file: OpenPGP key "), "{message}");
    assert!(
        message.contains(" expired at 2026-01-31T00:00:00Z (it is 2026-11-20T10:00:00Z now)"),
        "{message}"
    );
    let exposed = OpenPgpKey::read(&drawer.put(SIGNING, 0o644), None).unwrap_err();
    assert!(exposed.hint().unwrap().starts_with("run chmod 600 "), "{exposed}");
}

fn signing_publisher() -> Publisher {
    let mut publisher = Publisher::new();
    publisher.openpgp = Some(OpenPgpKey::read(&Drawer::new().put(SIGNING, 0o600), None).unwrap());
    publisher.put("x", "1.0", b"one");
    publisher
}

#[test]
fn release_is_signed_in_both_forms_and_published_in_order() {
    let publisher = signing_publisher();
    let composed = publisher.compose().unwrap();
    assert_eq!(composed.openpgp.as_deref(), Some(FINGERPRINT));
    let transfer = fs::read_to_string(publisher.store.file("x", "x.transfer")).unwrap();
    assert!(transfer.contains("\nVerify=yes\n") && transfer.contains(FINGERPRINT), "{transfer}");

    let published = publisher.publish().unwrap();
    let expected = [
        "x/x-1.0-x86-64.raw",
        "x/x.conf",
        "x/x.transfer",
        "x/SHA256SUMS",
        "x/SHA256SUMS.sha256.asc",
        "x/SHA256SUMS.gpg",
        "catalog/catalog.json",
    ];
    assert_eq!(published.copied, expected);
    assert_eq!(published.notes, []);
}

#[test]
fn removed_signature_is_unpublished_and_reported() {
    let mut publisher = signing_publisher();
    publisher.compose().unwrap();
    publisher.publish().unwrap();
    publisher.openpgp = None;
    let composed = publisher.compose().unwrap();
    assert_eq!(composed.openpgp, None);
    for file in [ARMORED, BINARY] {
        assert!(!publisher.store.file("x", file).exists());
    }
    let published = publisher.publish().unwrap();
    assert_eq!(published.removed, ["x/SHA256SUMS.sha256.asc", "x/SHA256SUMS.gpg"]);
    assert_eq!(published.notes, [Note::Unsigned, Note::SignatureGone]);
}

/// A release that was cut off between its files must not be published.
#[test]
fn signature_of_another_release_is_not_published() {
    for file in [ARMORED, BINARY] {
        let publisher = signing_publisher();
        publisher.compose().unwrap();
        fs::write(publisher.store.file("x", file), "of another").unwrap();
        publisher.publish().unwrap_err();
        assert!(!publisher.served.root().exists());
    }
}
