//! Tests keys, certificates and signatures of openssl, and damaged ones.

use super::*;
use crate::verity::RootHash;

const ROOT: RootHash = RootHash([0x55; 32]);

const RSA: [&str; 2] =
    [include_str!("../../fixtures/test-only-rsa.key"), include_str!("../../fixtures/test-only-rsa.crt")];
const P256: [&str; 2] =
    [include_str!("../../fixtures/test-only-p256.key"), include_str!("../../fixtures/test-only-p256.crt")];
const P384: [&str; 2] =
    [include_str!("../../fixtures/test-only-p384.key"), include_str!("../../fixtures/test-only-p384.crt")];

const RSA_SIGNATURE: &[u8] = include_bytes!("../../fixtures/test-only-rsa.p7s");
const P256_SIGNATURE: &[u8] = include_bytes!("../../fixtures/test-only-p256.p7s");
const P384_SIGNATURE: &[u8] = include_bytes!("../../fixtures/test-only-p384.p7s");

fn signer([key, certificate]: [&str; 2]) -> Signer {
    let certificate = Certificate::parse(certificate.as_bytes()).unwrap();
    Signer::new(PrivateKey::from_pem(key).unwrap(), certificate).unwrap()
}

fn certificates() -> Vec<Certificate> {
    [RSA, P256, P384].map(|[_, certificate]| Certificate::parse(certificate.as_bytes()).unwrap()).into()
}

#[test]
fn signatures_of_openssl_are_accepted() {
    for (number, signature) in [RSA_SIGNATURE, P256_SIGNATURE, P384_SIGNATURE].into_iter().enumerate() {
        let signature = Signature::parse(signature).unwrap();
        let trusted = certificates();
        let by = signature.verify(&ROOT, &trusted).unwrap();
        assert_eq!(by.fingerprint(), trusted[number].fingerprint());
        assert!(matches!(signature.verify(&RootHash([0x56; 32]), &trusted), Err(VerifyError::Wrong)));
        let others: Vec<_> = trusted.into_iter().filter(|other| !signature.is_by(other)).collect();
        assert!(matches!(signature.verify(&ROOT, &others), Err(VerifyError::Unknown { certificates: 2 })));
    }
}

#[test]
fn rsa_signatures_equal_those_of_openssl() {
    assert_eq!(signer(RSA).sign(&ROOT).unwrap(), RSA_SIGNATURE);
}

#[test]
fn signatures_are_deterministic_and_valid() {
    for pair in [RSA, P256, P384] {
        for signer in [signer(pair), signer(pair).include_certificate()] {
            let signature = signer.sign(&ROOT).unwrap();
            assert_eq!(signer.sign(&ROOT).unwrap(), signature);
            let padded = [signature, vec![0; 100]].concat();
            Signature::parse(&padded).unwrap().verify(&ROOT, &certificates()).unwrap();
        }
    }
}

/// Neither the certificate in the signature nor its issuer and serial number are trusted.
#[test]
fn only_the_key_of_a_trusted_certificate_counts() {
    let signature = signer(RSA).include_certificate().sign(&ROOT).unwrap();
    let signature = Signature::parse(&signature).unwrap();
    assert!(matches!(signature.verify(&ROOT, &[]), Err(VerifyError::Unknown { certificates: 0 })));
    let mut impostor = certificates().remove(1);
    let real = certificates().remove(0);
    (impostor.issuer, impostor.serial) = (real.issuer.clone(), real.serial.clone());
    assert!(signature.verify(&ROOT, std::slice::from_ref(&impostor)).is_err());
    signature.verify(&ROOT, &[impostor, real]).unwrap();
}

#[test]
fn damaged_signatures_are_rejected() {
    for signature in [RSA_SIGNATURE, P256_SIGNATURE, P384_SIGNATURE] {
        for length in 0..signature.len() {
            assert!(Signature::parse(&signature[..length]).is_err(), "{length} bytes were accepted");
        }
        let trusted = certificates();
        let value = signature.len() - 60; // the last bytes are those of the signature itself
        for offset in 0..signature.len() {
            for bit in [1, 0x80] {
                let mut wrong = signature.to_vec();
                wrong[offset] ^= bit;
                let result =
                    Signature::parse(&wrong).and_then(|wrong| wrong.verify(&ROOT, &trusted).map(drop));
                assert!(offset < value || result.is_err(), "byte {offset} is not verified");
            }
        }
    }
    let error = Signature::parse(&[RSA_SIGNATURE, b"x"].concat()).unwrap_err();
    let VerifyError::Der(error) = error else { panic!("{error}") };
    assert_eq!(error.to_string(), format!("at byte {}: trailing data", RSA_SIGNATURE.len()));
}

#[test]
fn damaged_certificates_and_keys_are_rejected() {
    for pair in [RSA, P256, P384] {
        let der = Certificate::parse(pair[1].as_bytes()).unwrap().der().to_vec();
        assert_eq!(Certificate::parse(&der).unwrap().der(), der);
        for length in 0..der.len() {
            assert!(Certificate::parse(&der[..length]).is_err(), "{length} bytes were accepted");
        }
        for offset in 0..der.len() {
            let mut wrong = der.clone();
            wrong[offset] ^= 0x41;
            let _ = Certificate::parse(&wrong);
        }
        for length in 0..pair[0].trim_end().len() {
            assert!(PrivateKey::from_pem(&pair[0][..length]).is_err(), "{length} characters were accepted");
        }
    }
}

#[test]
fn unusable_keys_and_certificates_are_rejected_with_a_reason() {
    let text = |result: Result<PrivateKey, KeyError>| result.unwrap_err().to_string();
    assert_eq!(text(PrivateKey::from_pem(RSA[1])), "no PEM private key found");
    let encrypted = RSA[0].replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(
        text(PrivateKey::from_pem(&encrypted)),
        "the private key is encrypted, which is not supported"
    );
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,AA\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(matches!(PrivateKey::from_pem(old), Err(KeyError::Encrypted)));
    assert_eq!(
        text(PrivateKey::from_pem(&RSA[0].replace('M', "!"))),
        "the PRIVATE KEY is damaged: invalid base64"
    );
    // What `openssl genpkey -algorithm ed25519` writes
    let ed25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
    let error = PrivateKey::from_pem(ed25519).unwrap_err();
    assert_eq!(
        error.to_string(),
        "private keys of type 1.3.101.112 are not supported, only RSA and ECDSA with P-256 or P-384"
    );
    assert!(matches!(Certificate::parse(RSA[0].as_bytes()), Err(CertificateError::Missing)));
    assert!(matches!(Certificate::parse(b"\xff"), Err(CertificateError::Missing)));
    let certificate = Certificate::parse(P256[1].as_bytes()).unwrap();
    let error = Signer::new(PrivateKey::from_pem(RSA[0]).unwrap(), certificate).unwrap_err();
    assert_eq!(error.to_string(), "the certificate does not belong to the private key");
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", PrivateKey::from_pem(RSA[0]).unwrap()), "PrivateKey(RSA, 2048 bits)");
    assert_eq!(format!("{:?}", PrivateKey::from_pem(P384[0]).unwrap()), "PrivateKey(P-384)");
}

#[test]
fn lengths_are_encoded_in_the_shortest_form() {
    for (length, header) in
        [(0, &[4, 0][..]), (127, &[4, 127]), (128, &[4, 0x81, 128]), (256, &[4, 0x82, 1, 0])]
    {
        let content = vec![7; length];
        let element = der::element(der::OCTET_STRING, &[&content]);
        assert_eq!(element, [header, &content].concat());
        let mut reader = der::Reader::new(&element);
        assert_eq!(reader.inside(der::OCTET_STRING, "").unwrap().bytes(), content);
        reader.end().unwrap();
    }
    for wrong in [
        &[4, 0x81, 127][..],
        &[4, 0x82, 0, 128],
        &[4, 0x80],
        &[4, 0x85, 0, 0, 0, 0, 1],
        &[0x1f, 0],
        &[4],
        &[],
    ] {
        assert!(der::Reader::new(wrong).any().is_err(), "{wrong:?}");
    }
}

/// openssl, and therefore systemd, only uses the listed digests.
#[test]
fn the_digest_of_the_signer_must_be_listed() {
    let at = RSA_SIGNATURE.windows(oid::SHA256.len()).position(|window| window == oid::SHA256).unwrap();
    for (last, words) in
        [(oid::SHA512[8], "the signer's digest is not listed"), (0x7f, "has the digest 2.16.840.")]
    {
        let mut wrong = RSA_SIGNATURE.to_vec();
        wrong[at + 8] = last;
        let error = Signature::parse(&wrong).unwrap_err();
        assert!(error.to_string().contains(words) || format!("{error:?}").contains(words), "{error}");
    }
}
