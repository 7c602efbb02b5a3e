//! The fixtures were made by GnuPG 2.2 at faked times: a certificate of 2026-01-01 whose primary key only
//! certifies, with a signing subkey that ends on 2028-01-01, and signatures of 2026-06-01.

use jiff::Timestamp;

use super::certificate::Certificate;
use super::*;
use crate::checksums::Entry;
use crate::trust::{Claim, Verified};

const MANIFEST: &[u8] = include_bytes!("fixtures/manifest");
const PUBLISHER: &[u8] = include_bytes!("fixtures/publisher.asc");
const REVOKED: &[u8] = include_bytes!("fixtures/revoked.asc");
const REVOKED_SUBKEY: &[u8] = include_bytes!("fixtures/revoked-subkey.asc");
const STRANGER: &[u8] = include_bytes!("fixtures/stranger.pgp");
const STRANGER_BOX: &[u8] = include_bytes!("fixtures/stranger.kbx");

const GOOD: &[u8] = include_bytes!("fixtures/good.asc");
const SHORT: &[u8] = include_bytes!("fixtures/short.asc");
const SHA1: &[u8] = include_bytes!("fixtures/sha1.asc");
const TEXT: &[u8] = include_bytes!("fixtures/text.asc");
const BY_STRANGER: &[u8] = include_bytes!("fixtures/stranger-signature.asc");

const PRIMARY: &str = "F59CC5B44EF7A4EFC4E567726020DAD9B0A6CAA9";
const SUBKEY: &str = "8D275CBDDB753E3277906880A0112AF2242F63C0";
const STRANGER_KEY: &str = "7D8847664EBD829F60C3DF2D5B4E4B9D28745DBE";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ring(bytes: &[u8]) -> Keyring {
    let (ring, notes) = Keyring::parse(bytes).unwrap();
    assert_eq!(notes, []);
    ring
}

fn refused(ring: &Keyring, signature: &[u8], now: &str) -> String {
    ring.verify(MANIFEST, signature, at(now)).unwrap_err().to_string()
}

#[test]
fn returns_the_signer() {
    for signature in [GOOD, TEXT] {
        let signer = ring(PUBLISHER).verify(MANIFEST, signature, at("2026-07-01T00:00:00Z")).unwrap();
        assert_eq!(signer.certificate, PRIMARY);
        assert_eq!(signer.key, SUBKEY);
        assert_eq!(signer.made.strftime("%F").to_string(), "2026-06-01");
    }
    assert_eq!(ring(STRANGER).fingerprints(), [STRANGER_KEY]);
}

#[test]
fn accepts_signatures_from_the_future() {
    ring(PUBLISHER).verify(MANIFEST, GOOD, Timestamp::UNIX_EPOCH).unwrap();
}

#[test]
fn rejects_other_bytes() {
    let error = ring(PUBLISHER).verify(b"other\n", GOOD, at("2026-07-01T00:00:00Z")).unwrap_err();
    assert_eq!(error, OpenPgpError::Mismatch { key: SUBKEY.to_owned() });
    assert!(error.hint().unwrap().contains("try again"));
}

#[test]
fn keys_and_signatures_expire() {
    let ring = ring(PUBLISHER);
    ring.verify(MANIFEST, GOOD, at("2027-12-31T00:00:00Z")).unwrap();
    assert_eq!(
        refused(&ring, GOOD, "2028-01-02T00:00:00Z"),
        format!(
            "OpenPGP key {SUBKEY} of {PRIMARY} expired at 2028-01-01T00:00:00Z (it is 2028-01-02T00:00:00Z now)"
        )
    );
    ring.verify(MANIFEST, SHORT, at("2026-06-15T00:00:00Z")).unwrap();
    assert_eq!(
        refused(&ring, SHORT, "2026-08-01T00:00:00Z"),
        format!(
            "the signature of OpenPGP key {SUBKEY} expired at 2026-07-01T00:00:00Z (it is 2026-08-01T00:00:00Z now)"
        )
    );
}

#[test]
fn merges_revocations_of_all_copies() {
    for bytes in [REVOKED, REVOKED_SUBKEY] {
        let revoked = ring(bytes);
        let mut merged = ring(PUBLISHER);
        merged.merge(revoked.clone());
        let mut other_way = revoked.clone();
        other_way.merge(ring(PUBLISHER));
        for ring in [revoked, merged, other_way] {
            assert_eq!(ring.fingerprints(), [PRIMARY]);
            let message = refused(&ring, GOOD, "2026-07-01T00:00:00Z");
            let expected = format!("OpenPGP key {SUBKEY} of {PRIMARY} was revoked at ");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}

#[test]
fn rejects_a_weak_hash() {
    assert_eq!(
        refused(&ring(PUBLISHER), SHA1, "2026-07-01T00:00:00Z"),
        format!("the signature of OpenPGP key {SUBKEY} uses SHA1, which is no longer secure")
    );
}

#[test]
fn names_an_unknown_key() {
    let now = "2026-07-01T00:00:00Z";
    assert_eq!(
        refused(&ring(PUBLISHER), BY_STRANGER, now),
        format!("signed by {STRANGER_KEY}, which the keyring does not contain")
    );
    ring(STRANGER).verify(MANIFEST, BY_STRANGER, at(now)).unwrap();
    assert_eq!(Keyring::default().fingerprints(), [""; 0]);
    assert!(refused(&Keyring::default(), GOOD, now).starts_with(&format!("signed by {SUBKEY}")));
}

#[test]
fn one_of_several_signatures_is_enough_unless_one_is_forged() {
    let now = at("2026-07-01T00:00:00Z");
    let both = [BY_STRANGER, GOOD].concat();
    assert_eq!(ring(PUBLISHER).verify(MANIFEST, &both, now).unwrap().certificate, PRIMARY);
    assert_eq!(ring(STRANGER).verify(MANIFEST, &both, now).unwrap().certificate, STRANGER_KEY);
    let with_expired = [SHORT, GOOD].concat();
    ring(PUBLISHER).verify(MANIFEST, &with_expired, at("2026-08-01T00:00:00Z")).unwrap();
    let many = GOOD.repeat(17);
    let error = ring(PUBLISHER).verify(MANIFEST, &many, now).unwrap_err();
    assert_eq!(error, OpenPgpError::TooMany { found: 17, limit: 16 });
}

#[test]
fn reads_keyrings_in_all_formats() {
    let now = at("2026-07-01T00:00:00Z");
    assert_eq!(ring(&[PUBLISHER, PUBLISHER].concat()).fingerprints(), [PRIMARY]);
    assert_eq!(ring(&[STRANGER, STRANGER].concat()).fingerprints(), [STRANGER_KEY]);
    ring(STRANGER_BOX).verify(MANIFEST, BY_STRANGER, now).unwrap();
    let mut two = ring(PUBLISHER);
    two.merge(ring(STRANGER));
    assert_eq!(two.fingerprints(), [PRIMARY, STRANGER_KEY]);
    two.verify(MANIFEST, BY_STRANGER, now).unwrap();
    two.verify(MANIFEST, GOOD, now).unwrap();
}

#[test]
fn explains_invalid_keyrings() {
    let message = |bytes: &[u8]| Keyring::parse(bytes).unwrap_err().to_string();
    assert_eq!(message(b""), "invalid OpenPGP keyring: it is empty");
    assert_eq!(
        message(b"RWQ minisign"),
        "invalid OpenPGP keyring: it is neither binary nor a text block that begins with -----BEGIN PGP"
    );
    assert_eq!(message(GOOD), "invalid OpenPGP keyring: a text block is not a PGP PUBLIC KEY BLOCK");
    assert_eq!(
        message(&PUBLISHER[..200]),
        "invalid OpenPGP keyring: a text block has no end; the file may be truncated"
    );
    let error = ring(PUBLISHER).verify(MANIFEST, PUBLISHER, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "invalid OpenPGP signature: a text block is not a PGP SIGNATURE");
    let error = ring(PUBLISHER).verify(MANIFEST, STRANGER, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "invalid OpenPGP signature: it contains other packets");
}

/// The certificate of a ring with only that.
fn only(bytes: &[u8]) -> Certificate {
    let stretches = armor::stretches(bytes, armor::Kind::Certificates).unwrap();
    let mut certificates = keyring::read(&stretches[0], &mut Vec::new());
    assert_eq!(certificates.len(), 1);
    certificates.remove(0)
}

fn ring_of(certificate: Certificate) -> Keyring {
    let mut ring = Keyring::default();
    ring.add(certificate);
    ring
}

/// Whoever has a certificate could bind the publisher's subkey to it, and be taken for the publisher.
#[test]
fn a_subkey_must_be_bound_in_both_directions() {
    let now = "2026-07-01T00:00:00Z";
    let mut certificate = only(PUBLISHER);
    certificate.subkeys[0].1.clear();
    let message = refused(&ring_of(certificate), GOOD, now);
    assert_eq!(message, format!("OpenPGP key {SUBKEY} of {PRIMARY} has no valid self-signature"));

    let mut adopted = only(STRANGER);
    adopted.subkeys = only(PUBLISHER).subkeys;
    let message = refused(&ring_of(adopted), GOOD, now);
    assert_eq!(message, format!("OpenPGP key {SUBKEY} of {STRANGER_KEY} has no valid self-signature"));

    let mut certificate = only(PUBLISHER);
    let binding = &mut certificate.subkeys[0].1[0];
    let unhashed = binding.config().unwrap().unhashed_subpackets().count();
    for index in (0..unhashed).rev() {
        binding.unhashed_subpacket_remove(index).unwrap();
    }
    let message = refused(&ring_of(certificate), GOOD, now);
    let expected =
        format!("OpenPGP key {SUBKEY} of {PRIMARY} has not confirmed that it belongs to its certificate");
    assert_eq!(message, expected);

    let mut certificate = only(PUBLISHER);
    certificate.users.clear();
    let message = refused(&ring_of(certificate), GOOD, now);
    assert_eq!(message, format!("OpenPGP key {SUBKEY} of {PRIMARY} has no valid self-signature"));
}

#[test]
fn only_a_signed_manifest_is_evidence() {
    let now = at("2026-07-01T00:00:00Z");
    let url = "https://example.org/k/SHA256SUMS";
    let verify = |bytes| SignedChecksums::verify(url, bytes, GOOD, &ring(PUBLISHER), now);
    let (list, warnings) = verify(MANIFEST).unwrap();
    assert_eq!(warnings, []);
    let claim = |sha256| Claim { name: "k-1.raw".to_owned(), urls: Vec::new(), sha256, size: None };
    let verified = Verified::signed_list(&list, claim(Sha256::of(b""))).unwrap();
    assert_eq!(verified.evidence().to_string(), format!("{url}, signed by OpenPGP key {PRIMARY}"));
    assert!(Verified::signed_list(&list, claim(Sha256::of(b"x"))).is_none());
    assert!(matches!(
        verify(b"other\n"),
        Err(SignedChecksumsError::Signature(OpenPgpError::Mismatch { .. }))
    ));
}

#[test]
fn every_line_of_a_long_manifest_is_looked_up_quickly() {
    let sha256 = Sha256::of(b"");
    let entry = |number| Entry { name: format!("k-{number}.raw"), sha256 };
    let checksums = Checksums { entries: (0..100_000).map(entry).collect(), best_before: None };
    let signer = Signer { certificate: String::new(), key: String::new(), made: Timestamp::UNIX_EPOCH };
    let list = SignedChecksums::new("https://example.org/k/SHA256SUMS", signer, checksums);
    let start = std::time::Instant::now();
    for Entry { name, sha256 } in &list.checksums().entries {
        let claim = Claim { name: name.clone(), urls: Vec::new(), sha256: *sha256, size: None };
        assert!(Verified::signed_list(&list, claim).is_some());
    }
    // One lookup per line takes a tenth of a second; reading all lines for each takes minutes
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Every place cut off, and every byte altered: an error or not, but nothing worse.
#[test]
fn survives_damage() {
    let now = at("2026-07-01T00:00:00Z");
    let dearmor = |bytes, kind| armor::stretches(bytes, kind).unwrap().remove(0);
    let publisher = ring(PUBLISHER);
    let binary = dearmor(GOOD, armor::Kind::Signature);
    for signature in [&binary, GOOD] {
        for length in 0..signature.len() {
            let cut = publisher.verify(MANIFEST, &signature[..length], now);
            assert!(cut.is_err() || length + 2 > signature.len(), "{length} of {}", signature.len());
        }
        for position in 0..signature.len() {
            let mut altered = signature.to_vec();
            altered[position] ^= 0xff;
            if let Ok(signer) = publisher.verify(MANIFEST, &altered, now) {
                assert_eq!(signer.key, SUBKEY, "what is not signed may change, but never who signed");
            }
        }
    }
    let rings = [dearmor(PUBLISHER, armor::Kind::Certificates), STRANGER_BOX.to_vec()];
    for bytes in rings {
        for length in 0..bytes.len() {
            let _ = Keyring::parse(&bytes[..length]);
        }
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 0xff;
            if let Ok((ring, _)) = Keyring::parse(&altered)
                && let Ok(signer) = ring.verify(MANIFEST, GOOD, now)
            {
                assert_eq!(signer.key, SUBKEY);
            }
        }
    }
}

/// Lengths that promise more than there is, and nothing behind them.
#[test]
fn does_not_allocate_by_a_claimed_length() {
    for tag in 0..64_u8 {
        for length in [&[0xff, 0xff, 0xff, 0xff, 0xff][..], &[0xfe], &[0xff, 0x7f, 0xff, 0xff, 0xff, 4]] {
            let bytes = [&[0xc0 | tag], length].concat();
            let _ = Keyring::parse(&bytes);
            let _ = ring(STRANGER).verify(MANIFEST, &bytes, Timestamp::UNIX_EPOCH);
        }
    }
    let mut blob = STRANGER_BOX.to_vec();
    blob.truncate(12);
    blob.extend([0xff; 64]);
    Keyring::parse(&blob).unwrap_err();
}
