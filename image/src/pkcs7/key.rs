//! Private keys.
//!
//! ```text
//! PRIVATE KEY       PKCS#8   SEQUENCE { 0, SEQUENCE { algorithm, curve }, OCTET STRING of the below }
//! RSA PRIVATE KEY   PKCS#1   SEQUENCE { 0, n, e, d, p, q, … }
//! EC PRIVATE KEY    SEC1     SEQUENCE { 1, OCTET STRING d, [0] curve, [1] public key }
//! ```

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPrivateKey};

use super::certificate::{PublicKey, rsa_padding};
use super::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, context};
use super::error::{KeyError, SignError};
use super::{RSA_BITS, oid, pem};

/// A private key, which is never printed.
#[derive(Clone)]
pub struct PrivateKey(Secret);

#[derive(Clone)]
enum Secret {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Reads the first private key of a PEM file, in any of the forms that openssl writes unencrypted.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let is_key = |block: &pem::Block<'_>| block.label.ends_with("PRIVATE KEY");
        let block = pem::blocks(text).find(is_key).ok_or(KeyError::Missing)?;
        if block.label.starts_with("ENCRYPTED") || block.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        let der = block.decode().ok_or_else(|| KeyError::Base64 { label: block.label.to_owned() })?;
        let mut whole = Reader::new(&der);
        let body = whole.inside(SEQUENCE, "no private key")?;
        whole.end()?;
        match block.label {
            "PRIVATE KEY" => Self::pkcs8(body),
            "RSA PRIVATE KEY" => Self::rsa(body),
            "EC PRIVATE KEY" => Self::ec(body, None),
            other => Err(KeyError::Unsupported { kind: other.to_owned() }),
        }
    }

    fn pkcs8(mut body: Reader<'_>) -> Result<Self, KeyError> {
        body.expect(INTEGER, "no version")?;
        let (algorithm, mut parameters) = body.algorithm("no algorithm")?;
        let mut inner = body.inside(OCTET_STRING, "no private key")?;
        let key = |inner: &mut Reader<'_>| inner.bytes().first() == Some(&SEQUENCE);
        match algorithm {
            oid::RSA if key(&mut inner) => Self::rsa(inner.inside(SEQUENCE, "no RSA key")?),
            oid::EC if key(&mut inner) => {
                let curve = parameters.inside(OID, "no named curve")?;
                Self::ec(inner.inside(SEQUENCE, "no EC key")?, Some(curve.bytes()))
            }
            oid::RSA | oid::EC => Err(inner.error("no private key").into()),
            other => Err(KeyError::Unsupported { kind: oid::dotted(other) }),
        }
    }

    fn rsa(mut body: Reader<'_>) -> Result<Self, KeyError> {
        body.expect(INTEGER, "no version")?;
        let mut number = |what| body.positive(what);
        let [n, e, d, p, q] = [
            number("no modulus")?,
            number("no public exponent")?,
            number("no private exponent")?,
            number("no first prime")?,
            number("no second prime")?,
        ];
        let bits = n.len().saturating_mul(8);
        if bits < *RSA_BITS.start() || bits > *RSA_BITS.end() {
            return Err(KeyError::Size { bits });
        }
        if [e, d, p, q].iter().any(|number| number.len() > n.len()) {
            return Err(KeyError::Invalid);
        }
        let [n, e, d, p, q] = [n, e, d, p, q].map(BigUint::from_bytes_be);
        let key = RsaPrivateKey::from_components(n, e, d, vec![p, q]).map_err(|_| KeyError::Invalid)?;
        key.validate().map_err(|_| KeyError::Invalid)?;
        Ok(Self(Secret::Rsa(Box::new(key))))
    }

    fn ec(mut body: Reader<'_>, curve: Option<&[u8]>) -> Result<Self, KeyError> {
        body.expect(INTEGER, "no version")?;
        let scalar = body.inside(OCTET_STRING, "no private key")?.bytes();
        let named = match body.optional(context(0))? {
            Some(mut parameters) => Some(parameters.content.inside(OID, "no named curve")?.bytes()),
            None => None,
        };
        match curve.or(named).ok_or_else(|| body.error("no named curve"))? {
            oid::P256 => p256::ecdsa::SigningKey::from_slice(scalar)
                .map(|key| Self(Secret::P256(key)))
                .map_err(|_| KeyError::Invalid),
            oid::P384 => p384::ecdsa::SigningKey::from_slice(scalar)
                .map(|key| Self(Secret::P384(key)))
                .map_err(|_| KeyError::Invalid),
            other => Err(KeyError::Unsupported { kind: oid::dotted(other) }),
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

    /// Signs a SHA-256 hash, the same each time.
    pub(super) fn sign(&self, hash: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        let refused = |reason: String| SignError::Key { reason };
        match &self.0 {
            Secret::Rsa(key) => {
                let signature = key.sign(rsa_padding(oid::SHA256, hash.len()), hash);
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

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Secret::Rsa(key) => write!(f, "PrivateKey(RSA, {} bits)", 8 * key.size()),
            Secret::P256(_) => f.write_str("PrivateKey(P-256)"),
            Secret::P384(_) => f.write_str("PrivateKey(P-384)"),
        }
    }
}
