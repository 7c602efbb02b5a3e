//! X.509 certificates: the issuer and serial number that identify them, and the public key.
//!
//! ```text
//! Certificate   SEQUENCE { SEQUENCE { [0] version, serial number, algorithm, issuer, validity,
//!                                     subject, SEQUENCE { algorithm, BIT STRING key }, … }, … }
//! ```

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use pkcs8::der::Decode as _;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use super::der::{INTEGER, OID, Reader, SEQUENCE, context};
use super::error::CertificateError;
use super::{RSA_BITS, oid, pem};

/// A certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    /// The issuer's name, as it is encoded.
    pub(super) issuer: Vec<u8>,
    /// The serial number, as it is encoded.
    pub(super) serial: Vec<u8>,
    pub(super) key: PublicKey,
}

impl Certificate {
    /// Parses the first certificate of a file, in PEM or DER.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.first() == Some(&SEQUENCE) {
            return Self::from_der(bytes);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CertificateError::Missing)?;
        let is_certificate = |block: &pem::Block<'_>| block.label == "CERTIFICATE";
        let block = pem::blocks(text).find(is_certificate).ok_or(CertificateError::Missing)?;
        Self::from_der(&block.decode().ok_or(CertificateError::Base64)?)
    }

    fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let mut whole = Reader::new(der);
        let mut certificate = whole.inside(SEQUENCE, "no certificate")?;
        whole.end()?;
        let mut body = certificate.inside(SEQUENCE, "no certificate")?;
        body.optional(context(0))?;
        let serial = body.expect(INTEGER, "no serial number")?.whole.to_vec();
        body.algorithm("no signature algorithm")?;
        let issuer = body.expect(SEQUENCE, "no issuer")?.whole.to_vec();
        body.expect(SEQUENCE, "no validity")?;
        body.expect(SEQUENCE, "no subject")?;
        let key = PublicKey::parse(body.expect(SEQUENCE, "no public key")?.whole)?;
        Ok(Self { der: der.to_vec(), issuer, serial, key })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }
}

/// The public key in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| CertificateError::Key)?;
        let key = info.subject_public_key.as_bytes().ok_or(CertificateError::Key)?;
        let algorithm = info.algorithm.oid;
        match algorithm.as_bytes() {
            oid::RSA => Self::rsa(key),
            oid::EC => {
                let curve = info.algorithm.parameters_oid().map_err(|_| CertificateError::Key)?;
                match curve.as_bytes() {
                    oid::P256 => {
                        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key);
                        key.map(Self::P256).map_err(|_| CertificateError::Key)
                    }
                    oid::P384 => {
                        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key);
                        key.map(Self::P384).map_err(|_| CertificateError::Key)
                    }
                    _ => Err(CertificateError::Unsupported { kind: curve.to_string() }),
                }
            }
            _ => Err(CertificateError::Unsupported { kind: algorithm.to_string() }),
        }
    }

    fn rsa(der: &[u8]) -> Result<Self, CertificateError> {
        let key = pkcs1::RsaPublicKey::from_der(der).map_err(|_| CertificateError::Key)?;
        let [modulus, exponent] = [key.modulus, key.public_exponent].map(|number| number.as_bytes());
        // Before any arithmetic, which takes cubic time
        let bits = modulus.len().saturating_mul(8);
        if bits < *RSA_BITS.start() || bits > *RSA_BITS.end() {
            return Err(CertificateError::Size { bits });
        }
        let exponent = Some(exponent).filter(|exponent| exponent.len() <= 8).ok_or(CertificateError::Key)?;
        let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
        RsaPublicKey::new_with_max_size(modulus, exponent, *RSA_BITS.end())
            .map(Self::Rsa)
            .map_err(|_| CertificateError::Key)
    }

    /// Whether a signature with this type of key can have these algorithm names.
    pub(super) fn supports(&self, signature: &[u8], digest: &[u8]) -> bool {
        let names: &[(&[u8], &[u8])] = match self {
            Self::Rsa(_) => &[
                (oid::RSA_SHA256, oid::SHA256),
                (oid::RSA_SHA384, oid::SHA384),
                (oid::RSA_SHA512, oid::SHA512),
            ],
            Self::P256(_) | Self::P384(_) => &[
                (oid::ECDSA_SHA256, oid::SHA256),
                (oid::ECDSA_SHA384, oid::SHA384),
                (oid::ECDSA_SHA512, oid::SHA512),
            ],
        };
        let is_rsa = matches!(self, Self::Rsa(_));
        is_rsa && signature == oid::RSA || names.contains(&(signature, digest))
    }

    /// Whether `signature` is valid for `hash`, which was made with `digest`.
    pub(super) fn verify(&self, digest: &[u8], hash: &[u8], signature: &[u8]) -> bool {
        match self {
            // A signature has the length of the modulus
            Self::Rsa(key) if signature.len() != key.size() => false,
            Self::Rsa(key) => key.verify(rsa_padding(digest, hash.len()), hash, signature).is_ok(),
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok()),
        }
    }
}

/// PKCS#1 v1.5 for a digest: `SEQUENCE { SEQUENCE { digest, NULL }, OCTET STRING hash }` without the hash.
pub(super) fn rsa_padding(digest: &[u8], hash: usize) -> Pkcs1v15Sign {
    let small = |length: usize| u8::try_from(length).expect("names and hashes are short");
    let algorithm = [&[OID, small(digest.len())], digest, &[super::der::NULL, 0]].concat();
    let length = algorithm.len();
    let mut prefix = vec![SEQUENCE, small(length + hash + 4), SEQUENCE, small(length)];
    prefix.extend(algorithm);
    prefix.extend([super::der::OCTET_STRING, small(hash)]);
    Pkcs1v15Sign { hash_len: Some(hash), prefix: prefix.into() }
}
