//! Private keys.
//!
//! ```text
//! PRIVATE KEY       PKCS#8, with one of the two below inside
//! RSA PRIVATE KEY   PKCS#1
//! EC PRIVATE KEY    SEC1
//! ```

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use pkcs8::der::Decode as _;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPrivateKey};
use sec1::{EcParameters, EcPrivateKey};

use super::certificate::{PublicKey, rsa_padding};
use super::der::DerError;
use super::error::{KeyError, SignError};
use super::{RSA_BITS, oid, pem};

/// A private key. `Debug` does not print it.
#[derive(Clone)]
pub struct PrivateKey(Secret);

#[derive(Clone)]
enum Secret {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Parses the first private key of a PEM file, in any unencrypted form of openssl.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let is_key = |block: &pem::Block<'_>| block.label.ends_with("PRIVATE KEY");
        let block = pem::blocks(text).find(is_key).ok_or(KeyError::Missing)?;
        if block.label.starts_with("ENCRYPTED") || block.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        let der = block.decode().ok_or_else(|| KeyError::Base64 { label: block.label.to_owned() })?;
        match block.label {
            "PRIVATE KEY" => Self::pkcs8(&der),
            "RSA PRIVATE KEY" => Self::rsa(&der),
            "EC PRIVATE KEY" => Self::ec(&der, None),
            other => Err(KeyError::Unsupported { kind: other.to_owned() }),
        }
    }

    fn pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfo::from_der(der)?;
        match info.algorithm.oid.as_bytes() {
            oid::RSA => Self::rsa(info.private_key),
            oid::EC => {
                let curve = info.algorithm.parameters_oid().map_err(|_| without_curve())?;
                Self::ec(info.private_key, Some(curve))
            }
            _ => Err(KeyError::Unsupported { kind: info.algorithm.oid.to_string() }),
        }
    }

    fn rsa(der: &[u8]) -> Result<Self, KeyError> {
        let key = pkcs1::RsaPrivateKey::from_der(der)?;
        // Before any arithmetic, which takes cubic time
        let bits = key.modulus.as_bytes().len().saturating_mul(8);
        if bits < *RSA_BITS.start() || bits > *RSA_BITS.end() {
            return Err(KeyError::Size { bits });
        }
        let others = [key.public_exponent, key.private_exponent, key.prime1, key.prime2];
        if others.iter().any(|number| number.len() > key.modulus.len()) {
            return Err(KeyError::Invalid);
        }
        let number = |number: pkcs1::UintRef<'_>| BigUint::from_bytes_be(number.as_bytes());
        let [e, d, p, q] = others.map(number);
        let key = RsaPrivateKey::from_components(number(key.modulus), e, d, vec![p, q]);
        let key = key.map_err(|_| KeyError::Invalid)?;
        key.validate().map_err(|_| KeyError::Invalid)?;
        Ok(Self(Secret::Rsa(Box::new(key))))
    }

    /// PKCS#8 names the curve outside the SEC1 key, in `curve`.
    fn ec(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, KeyError> {
        let key = EcPrivateKey::from_der(der)?;
        let named = key.parameters.and_then(EcParameters::named_curve);
        let curve = curve.or(named).ok_or_else(without_curve)?;
        match curve.as_bytes() {
            oid::P256 => p256::ecdsa::SigningKey::from_slice(key.private_key)
                .map(|key| Self(Secret::P256(key)))
                .map_err(|_| KeyError::Invalid),
            oid::P384 => p384::ecdsa::SigningKey::from_slice(key.private_key)
                .map(|key| Self(Secret::P384(key)))
                .map_err(|_| KeyError::Invalid),
            _ => Err(KeyError::Unsupported { kind: curve.to_string() }),
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        match &self.0 {
            Secret::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
            Secret::P256(key) => PublicKey::P256(*key.verifying_key()),
            Secret::P384(key) => PublicKey::P384(*key.verifying_key()),
        }
    }

    /// The name of the algorithm with SHA-256, and whether it has parameters (which are NULL).
    pub(super) fn algorithm(&self) -> (&'static [u8], bool) {
        match &self.0 {
            Secret::Rsa(_) => (oid::RSA, true),
            Secret::P256(_) | Secret::P384(_) => (oid::ECDSA_SHA256, false),
        }
    }

    /// Signs a SHA-256 hash deterministically.
    pub(super) fn sign(&self, hash: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        let refused = |reason: String| SignError::Key { reason };
        match &self.0 {
            Secret::Rsa(key) => {
                // Blinded, so that its duration does not depend on the key (RUSTSEC-2023-0071)
                let padding = rsa_padding(oid::SHA256, hash.len());
                let signature = key.sign_with_rng(&mut OsRng, padding, hash);
                signature.map_err(|error| refused(error.to_string()))
            }
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(hash).map_err(|error| refused(error.to_string()))?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(hash).map_err(|error| refused(error.to_string()))?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

fn without_curve() -> KeyError {
    KeyError::Der(DerError { offset: 0, reason: "no named curve".into() })
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Secret::Rsa(key) => write!(f, "PrivateKey(RSA, {} bits)", 8 * key.size()),
            Secret::P256(_) => f.write_str("PrivateKey(P-256)"),
            Secret::P384(_) => f.write_str("PrivateKey(P-384)"),
        }
    }
}
