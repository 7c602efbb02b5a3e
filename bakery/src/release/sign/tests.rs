//! Releases with several signers, and which releases are refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::fake::{NOW, Publisher, files, time};
use crate::publish::PublishError;
use crate::release::compose::Signers;
use crate::release::error::ComposeError;

/// Two of three must sign, and the first did: serial 1 waits.
fn pending() -> (Publisher, Vec<SigningKey>) {
    let mut publisher = Publisher::new();
    let others = publisher.share(2, &["second", "third"]);
    publisher.put("x", "1.0", b"one");
    publisher.signers = Signers::OthersLater;
    assert_eq!(publisher.compose().unwrap().missing, 1);
    (publisher, others)
}

fn open(publisher: &Publisher) -> Result<Release<'_>, SignError> {
    Release::open(&publisher.store, publisher.now)
}

fn sign(publisher: &Publisher, key: &SigningKey) -> Result<Summary, SignError> {
    let mut release = open(publisher)?;
    release.sign(key)?;
    let summary = release.summary()?;
    release.write()?;
    Ok(summary)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn all_signers_sign_the_same_bytes() {
    let (publisher, others) = pending();
    let before = json(&publisher.store.pending_catalog());
    assert!(!publisher.store.catalog().exists());
    let error = publisher.publish().unwrap_err();
    assert!(matches!(error, PublishError::Unfinished { .. }), "{error}");

    let shown = open(&publisher).unwrap().summary().unwrap();
    assert_eq!((shown.serial, shown.threshold, shown.missing(), shown.unsigned.len()), (1, 2, 1, 2));
    assert_eq!(shown.extensions["x"][0].version.as_str(), "1.0");
    assert!(shown.extensions["x"][0].is_new);
    let signed = sign(&publisher, &others[0]).unwrap();
    assert_eq!((signed.missing(), &signed.sha256), (0, &shown.sha256));
    let after = json(&publisher.store.catalog());
    assert_eq!((&after["signed"], &after["roots"]), (&before["signed"], &before["roots"]));
    assert_eq!(after["signatures"][0], before["signatures"][0]);
    assert!(!publisher.store.pending_catalog().exists());
    publisher.publish().unwrap();
    assert_eq!(files(publisher.served.root()).iter().filter(|file| file.starts_with("catalog/")).count(), 1);

    // One more than must is welcome
    let signed = sign(&publisher, &others[1]).unwrap();
    assert_eq!((signed.signed.len(), signed.unsigned.len()), (3, 0));
    assert_eq!(json(&publisher.store.catalog())["signed"], before["signed"]);
    publisher.publish().unwrap();
}

#[test]
fn key_signs_once_and_only_if_the_newest_root_names_it() {
    let (mut publisher, others) = pending();
    let error = sign(&publisher, &publisher.twin()).unwrap_err();
    assert!(matches!(error, SignError::AlreadySigned { serial: 1, .. }), "{error}");
    let stranger = Publisher::new().twin();
    let error = sign(&publisher, &stranger).unwrap_err();
    assert!(matches!(error, SignError::UnknownKey { root: 2, .. }), "{error}");
    sign(&publisher, &others[0]).unwrap();
    // Nor does a key that the last root named and the newest does not
    publisher.keys.extend(others);
    publisher.keys.remove(0);
    let kept = publisher.keys.iter().map(SigningKey::public).collect();
    publisher.rotate_to(Some(kept), Some(1));
    publisher.compose().unwrap();
    let error = sign(&publisher, &publisher.twin()).unwrap_err();
    assert!(matches!(error, SignError::UnknownKey { root: 3, .. }), "{error}");
}

#[test]
fn release_that_does_not_match_the_store_is_not_signed() {
    let (publisher, others) = pending();
    let refused = |path: PathBuf, bytes: &[u8]| {
        let kept = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let error = sign(&publisher, &others[0]).unwrap_err();
        fs::write(&path, kept).unwrap();
        error
    };
    for file in ["x-1.0-x86-64.raw", "x.transfer", "SHA256SUMS"] {
        let error = refused(publisher.store.file("x", file), b"other");
        assert!(matches!(error, SignError::Store(_)), "{file}: {error}");
    }
    // Another store's release, which the same keys signed
    let error = refused(publisher.store.pending_catalog(), &{
        let (other, _) = pending();
        fs::read(other.store.pending_catalog()).unwrap()
    });
    assert!(matches!(error, SignError::UnknownKey { .. }), "{error}");
    let mut forged = json(&publisher.store.pending_catalog());
    forged["signed"] = json(&{
        publisher.put("x", "1.1", b"two");
        publisher.compose().unwrap();
        publisher.store.pending_catalog()
    })["signed"]
        .take();
    let error = refused(publisher.store.pending_catalog(), forged.to_string().as_bytes());
    assert!(matches!(error, SignError::Envelope { .. }), "{error}");
    assert!(matches!(refused(publisher.store.pending_catalog(), b"{"), SignError::Json { .. }));
    sign(&publisher, &others[0]).unwrap();
}

#[test]
fn superseded_or_expired_release_is_not_signed() {
    let (mut publisher, others) = pending();
    let old = fs::read(publisher.store.pending_catalog()).unwrap();
    // What one has signed has used its serial up
    publisher.now = time("2026-11-21T10:00:00Z");
    assert_eq!(publisher.compose().unwrap().serial, 2);
    sign(&publisher, &others[0]).unwrap();
    fs::write(publisher.store.pending_catalog(), old).unwrap();
    let error = open(&publisher).unwrap_err();
    assert!(matches!(error, SignError::Superseded { serial: 1, last: 2, .. }), "{error}");
    // The next release clears it away
    publisher.signers = Signers::All;
    let error = publisher.compose().unwrap_err();
    assert!(matches!(error, ComposeError::Threshold { threshold: 2, given: 1, .. }), "{error}");
    assert!(publisher.store.pending_catalog().exists());
    publisher.keys.extend(others);
    assert_eq!(publisher.compose().unwrap().serial, 3);
    assert!(!publisher.store.pending_catalog().exists());
    let versions = open(&publisher).unwrap().summary().unwrap();
    assert_eq!(versions.signed.len(), 3);

    publisher.now = time("2027-03-01T00:00:00Z");
    assert!(matches!(open(&publisher).unwrap_err(), SignError::Expired { .. }));
    let empty = Store::new(publisher.store.root().join("empty"));
    assert!(matches!(Release::open(&empty, time(NOW)).unwrap_err(), SignError::NotIndexed { .. }));
}

#[test]
fn finished_release_stays_until_the_next_has_all_signatures() {
    let (mut publisher, others) = pending();
    sign(&publisher, &others[0]).unwrap();
    let finished = fs::read(publisher.store.catalog()).unwrap();
    publisher.put("x", "1.1", b"two");
    publisher.now = time("2026-11-21T10:00:00Z");
    publisher.compose().unwrap();
    assert_eq!(fs::read(publisher.store.catalog()).unwrap(), finished);
    let shown = open(&publisher).unwrap().summary().unwrap();
    let new: Vec<bool> = shown.extensions["x"].iter().map(|offered| offered.is_new).collect();
    assert_eq!(new, [false, true]);
    sign(&publisher, &others[1]).unwrap();
    assert_eq!(publisher.versions("x"), ["1.0", "1.1"]);
}

#[cfg(feature = "openpgp")]
mod openpgp_keys {
    use super::*;
    use crate::keys::openpgp::{ARMORED, BINARY};
    use crate::release::check::CheckError;

    fn key(publisher: &Publisher) -> OpenPgpKey {
        use std::os::unix::fs::PermissionsExt as _;

        let path = publisher.store.root().join("signing.pgp");
        fs::write(&path, include_bytes!("../../keys/openpgp/fixtures/signing.pgp")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        OpenPgpKey::read(&path, None).unwrap()
    }

    #[test]
    fn lists_are_signed_after_the_catalog_and_published_with_it() {
        let publisher = Publisher::new();
        publisher.put("x", "1.0", b"one");
        publisher.compose().unwrap();
        let catalog = fs::read(publisher.store.catalog()).unwrap();
        let release = open(&publisher).unwrap();
        assert_eq!(release.sign_lists(&key(&publisher)).unwrap(), ["x"]);
        release.write().unwrap();
        assert_eq!(fs::read(publisher.store.catalog()).unwrap(), catalog, "signed bytes are not rewritten");
        let published = publisher.publish().unwrap();
        let last = published.copied.len() - 4;
        assert_eq!(
            published.copied[last..],
            ["x/SHA256SUMS", "x/SHA256SUMS.sha256.asc", "x/SHA256SUMS.gpg", "catalog/catalog.json"]
        );
        for file in [ARMORED, BINARY] {
            let served = fs::read(publisher.served.file("x", file)).unwrap();
            assert_eq!(served, fs::read(publisher.store.file("x", file)).unwrap());
        }
    }

    #[test]
    fn changed_lists_are_published_without_their_old_signatures() {
        let mut publisher = Publisher::new();
        publisher.put("x", "1.0", b"one");
        publisher.compose().unwrap();
        open(&publisher).unwrap().sign_lists(&key(&publisher)).unwrap();
        let (record, list) = (publisher.store.openpgp_digests(), publisher.store.file("x", ARMORED));
        let kept = [fs::read(&record).unwrap(), fs::read(&list).unwrap()];
        publisher.put("x", "1.1", b"two");
        publisher.now = time("2026-11-21T10:00:00Z");
        publisher.compose().unwrap();
        assert!(!record.exists() && !list.exists());
        // Even if somebody puts them back
        fs::write(record, &kept[0]).unwrap();
        fs::write(list, &kept[1]).unwrap();
        publisher.publish().unwrap();
        assert!(!publisher.served.file("x", ARMORED).exists());
    }

    #[test]
    fn altered_signature_is_not_published() {
        let publisher = Publisher::new();
        publisher.put("x", "1.0", b"one");
        publisher.compose().unwrap();
        open(&publisher).unwrap().sign_lists(&key(&publisher)).unwrap();
        fs::write(publisher.store.file("x", BINARY), "other").unwrap();
        let error = publisher.publish().unwrap_err();
        assert!(matches!(error, PublishError::Check(CheckError::Damaged { .. })), "{error}");
    }

    #[test]
    fn lists_with_signatures_in_the_catalog_are_not_signed_again() {
        let mut publisher = Publisher::new();
        publisher.put("x", "1.0", b"one");
        publisher.openpgp = Some(key(&publisher));
        publisher.compose().unwrap();
        let error = open(&publisher).unwrap().sign_lists(&key(&publisher)).unwrap_err();
        assert!(matches!(&error, SignError::HasSignatures { name } if name == "x"), "{error}");
    }
}
