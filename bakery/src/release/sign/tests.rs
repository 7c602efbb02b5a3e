//! Releases that several sign one after the other, and what nobody may sign.

use std::fs;

use serde_json::Value;

use super::*;
use crate::fake::{Desk, NOW, files, time};
use crate::publish::PublishError;
use crate::release::check::CheckError;
use crate::release::compose::Signers;
use crate::release::error::IndexError;

/// Two of three must sign, and the first did: serial 1 waits.
fn waiting() -> (Desk, Vec<SigningKey>) {
    let mut desk = Desk::new();
    let others = desk.share(2, &["second", "third"]);
    desk.put("x", "1.0", b"one");
    desk.signers = Signers::OthersLater;
    assert_eq!(desk.index().unwrap().missing, 1);
    (desk, others)
}

fn open(desk: &Desk) -> Result<Release<'_>, SignError> {
    Release::open(&desk.store, desk.now)
}

fn sign(desk: &Desk, key: &SigningKey) -> Result<Summary, SignError> {
    let mut release = open(desk)?;
    release.sign(key)?;
    let summary = release.summary()?;
    release.write()?;
    Ok(summary)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn one_after_the_other_signs_the_same_bytes() {
    let (desk, others) = waiting();
    let before = json(&desk.store.pending_catalog());
    assert!(!desk.store.catalog().exists());
    let error = desk.publish().unwrap_err();
    assert!(matches!(error, PublishError::Unfinished { .. }), "{error}");

    let shown = open(&desk).unwrap().summary().unwrap();
    assert_eq!((shown.serial, shown.threshold, shown.missing(), shown.unsigned.len()), (1, 2, 1, 2));
    assert_eq!(shown.extensions["x"][0].version, "1.0 x86-64");
    assert_eq!(shown.extensions["x"][0].since, Since::Now);
    let signed = sign(&desk, &others[0]).unwrap();
    assert_eq!((signed.missing(), &signed.sha256), (0, &shown.sha256));
    let after = json(&desk.store.catalog());
    assert_eq!((&after["signed"], &after["roots"]), (&before["signed"], &before["roots"]));
    assert_eq!(after["signatures"][0], before["signatures"][0]);
    assert!(!desk.store.pending_catalog().exists());
    desk.publish().unwrap();
    assert_eq!(files(desk.served.root()).iter().filter(|file| file.starts_with("catalog/")).count(), 1);

    // One more than must is welcome
    let signed = sign(&desk, &others[1]).unwrap();
    assert_eq!((signed.signed.len(), signed.unsigned.len()), (3, 0));
    assert_eq!(json(&desk.store.catalog())["signed"], before["signed"]);
    desk.publish().unwrap();
}

#[test]
fn a_key_counts_once_and_only_if_the_newest_root_names_it() {
    let (mut desk, others) = waiting();
    let error = sign(&desk, &desk.twin()).unwrap_err();
    assert!(matches!(error, SignError::Again { serial: 1, .. }), "{error}");
    let stranger = Desk::new().twin();
    let error = sign(&desk, &stranger).unwrap_err();
    assert!(matches!(error, SignError::Stranger { root: 2, .. }), "{error}");
    sign(&desk, &others[0]).unwrap();
    // Nor does a key that the last root named and the newest does not
    desk.keys.extend(others);
    desk.keys.remove(0);
    let kept = desk.keys.iter().map(SigningKey::public).collect();
    desk.rotate_to(Some(kept), Some(1));
    desk.index().unwrap();
    let error = sign(&desk, &desk.twin()).unwrap_err();
    assert!(matches!(error, SignError::Stranger { root: 3, .. }), "{error}");
}

#[test]
fn what_is_not_the_stores_is_not_signed() {
    let (desk, others) = waiting();
    let refused = |path: PathBuf, bytes: &[u8]| {
        let kept = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let error = sign(&desk, &others[0]).unwrap_err();
        fs::write(&path, kept).unwrap();
        error
    };
    for file in ["x-1.0-x86-64.raw", "x.transfer", "SHA256SUMS"] {
        let error = refused(desk.store.file("x", file), b"other");
        assert!(matches!(error, SignError::Store(_)), "{file}: {error}");
    }
    // Another store's release, which the same keys signed
    let error = refused(desk.store.pending_catalog(), &{
        let (other, _) = waiting();
        fs::read(other.store.pending_catalog()).unwrap()
    });
    assert!(matches!(error, SignError::Stranger { .. }), "{error}");
    let mut forged = json(&desk.store.pending_catalog());
    forged["signed"] = json(&{
        desk.put("x", "1.1", b"two");
        desk.index().unwrap();
        desk.store.pending_catalog()
    })["signed"]
        .take();
    let error = refused(desk.store.pending_catalog(), forged.to_string().as_bytes());
    assert!(matches!(error, SignError::Envelope { .. }), "{error}");
    assert!(matches!(refused(desk.store.pending_catalog(), b"{"), SignError::Json { .. }));
    sign(&desk, &others[0]).unwrap();
}

#[test]
fn a_release_that_was_overtaken_or_has_ended_is_not_signed() {
    let (mut desk, others) = waiting();
    let old = fs::read(desk.store.pending_catalog()).unwrap();
    // What one has signed has used its serial up
    desk.now = time("2026-11-21T10:00:00Z");
    assert_eq!(desk.index().unwrap().serial, 2);
    sign(&desk, &others[0]).unwrap();
    fs::write(desk.store.pending_catalog(), old).unwrap();
    let error = open(&desk).unwrap_err();
    assert!(matches!(error, SignError::Overtaken { serial: 1, last: 2, .. }), "{error}");
    // The next release clears it away
    desk.signers = Signers::All;
    let error = desk.index().unwrap_err();
    assert!(matches!(error, IndexError::Threshold { threshold: 2, given: 1, .. }), "{error}");
    assert!(desk.store.pending_catalog().exists());
    desk.keys.extend(others);
    assert_eq!(desk.index().unwrap().serial, 3);
    assert!(!desk.store.pending_catalog().exists());
    let versions = open(&desk).unwrap().summary().unwrap();
    assert_eq!(versions.signed.len(), 3);

    desk.now = time("2027-03-01T00:00:00Z");
    assert!(matches!(open(&desk).unwrap_err(), SignError::Ended { .. }));
    let empty = Store::new(desk.store.root().join("empty"));
    assert!(matches!(Release::open(&empty, time(NOW)).unwrap_err(), SignError::NotIndexed { .. }));
}

#[test]
fn the_finished_release_stays_until_the_next_is_whole() {
    let (mut desk, others) = waiting();
    sign(&desk, &others[0]).unwrap();
    let finished = fs::read(desk.store.catalog()).unwrap();
    desk.put("x", "1.1", b"two");
    desk.now = time("2026-11-21T10:00:00Z");
    desk.index().unwrap();
    assert_eq!(fs::read(desk.store.catalog()).unwrap(), finished);
    let shown = open(&desk).unwrap().summary().unwrap();
    let since: Vec<Since> = shown.extensions["x"].iter().map(|offered| offered.since).collect();
    assert_eq!(since, [Since::Before, Since::Now]);
    sign(&desk, &others[1]).unwrap();
    assert_eq!(desk.versions("x"), ["1.0", "1.1"]);
}

#[cfg(feature = "openpgp")]
mod openpgp_keys {
    use super::*;
    use crate::keys::openpgp::{ARMORED, BINARY};

    fn key(desk: &Desk) -> OpenPgpKey {
        use std::os::unix::fs::PermissionsExt as _;

        let path = desk.store.root().join("signing.pgp");
        fs::write(&path, include_bytes!("../../keys/openpgp/fixtures/signing.pgp")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        OpenPgpKey::read(&path, None).unwrap()
    }

    #[test]
    fn lists_are_signed_after_the_catalog_and_published_with_it() {
        let desk = Desk::new();
        desk.put("x", "1.0", b"one");
        desk.index().unwrap();
        let catalog = fs::read(desk.store.catalog()).unwrap();
        let release = open(&desk).unwrap();
        assert_eq!(release.sign_lists(&key(&desk)).unwrap(), ["x"]);
        release.write().unwrap();
        assert_eq!(fs::read(desk.store.catalog()).unwrap(), catalog, "signed bytes are not rewritten");
        let published = desk.publish().unwrap();
        let last = published.copied.len() - 4;
        assert_eq!(
            published.copied[last..],
            ["x/SHA256SUMS", "x/SHA256SUMS.sha256.asc", "x/SHA256SUMS.gpg", "catalog/catalog.json"]
        );
        for file in [ARMORED, BINARY] {
            let served = fs::read(desk.served.file("x", file)).unwrap();
            assert_eq!(served, fs::read(desk.store.file("x", file)).unwrap());
        }
    }

    #[test]
    fn lists_that_changed_since_are_published_without_their_old_signatures() {
        let mut desk = Desk::new();
        desk.put("x", "1.0", b"one");
        desk.index().unwrap();
        open(&desk).unwrap().sign_lists(&key(&desk)).unwrap();
        let (record, list) = (desk.store.openpgp_record(), desk.store.file("x", ARMORED));
        let kept = [fs::read(&record).unwrap(), fs::read(&list).unwrap()];
        desk.put("x", "1.1", b"two");
        desk.now = time("2026-11-21T10:00:00Z");
        desk.index().unwrap();
        assert!(!record.exists() && !list.exists());
        // Even if somebody puts them back
        fs::write(record, &kept[0]).unwrap();
        fs::write(list, &kept[1]).unwrap();
        desk.publish().unwrap();
        assert!(!desk.served.file("x", ARMORED).exists());
    }

    #[test]
    fn a_signature_that_is_not_the_one_made_is_not_published() {
        let desk = Desk::new();
        desk.put("x", "1.0", b"one");
        desk.index().unwrap();
        open(&desk).unwrap().sign_lists(&key(&desk)).unwrap();
        fs::write(desk.store.file("x", BINARY), "other").unwrap();
        let error = desk.publish().unwrap_err();
        assert!(matches!(error, PublishError::Check(CheckError::Damaged { .. })), "{error}");
    }

    #[test]
    fn lists_whose_signatures_the_catalog_names_are_left() {
        let mut desk = Desk::new();
        desk.put("x", "1.0", b"one");
        desk.openpgp = Some(key(&desk));
        desk.index().unwrap();
        let error = open(&desk).unwrap().sign_lists(&key(&desk)).unwrap_err();
        assert!(matches!(&error, SignError::Named { name } if name == "x"), "{error}");
    }
}
