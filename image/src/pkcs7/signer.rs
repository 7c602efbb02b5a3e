//! Creates signatures.

use sha2::{Digest as _, Sha256};

use super::certificate::Certificate;
use super::der::{INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, SET, context, element};
use super::error::SignError;
use super::key::PrivateKey;
use super::oid;
use crate::verity::RootHash;

/// The version 1, encoded.
const VERSION: &[u8] = &[INTEGER, 1, 1];

/// A private key and its certificate.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PrivateKey,
    certificate: Certificate,
    includes_certificate: bool,
}

impl Signer {
    /// Combines a private key with its certificate.
    pub fn new(key: PrivateKey, certificate: Certificate) -> Result<Self, SignError> {
        if key.public() != certificate.key {
            return Err(SignError::Mismatch);
        }
        Ok(Self { key, certificate, includes_certificate: false })
    }

    /// Includes the certificate in signatures, as `systemd-repart` does. By default it is omitted, because
    /// verifiers need it from another source anyway.
    pub fn include_certificate(mut self) -> Self {
        self.includes_certificate = true;
        self
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs a root hash deterministically, as PKCS#7 in DER.
    pub fn sign(&self, root_hash: &RootHash) -> Result<Vec<u8>, SignError> {
        let hash: [u8; 32] = Sha256::digest(root_hash.to_string()).into();
        let signature = self.key.sign(&hash)?;
        let digest = algorithm(oid::SHA256, true);
        let (name, has_parameters) = self.key.algorithm();
        let certificate = &self.certificate;
        let signer = element(
            SEQUENCE,
            &[
                VERSION,
                &element(SEQUENCE, &[&certificate.issuer, &certificate.serial]),
                &digest,
                &algorithm(name, has_parameters),
                &element(OCTET_STRING, &[&signature]),
            ],
        );
        let certificates = match self.includes_certificate {
            true => element(context(0), &[certificate.der()]),
            false => Vec::new(),
        };
        let signed_data = element(
            SEQUENCE,
            &[
                VERSION,
                &element(SET, &[&digest]),
                &element(SEQUENCE, &[&element(OID, &[oid::DATA])]),
                &certificates,
                &element(SET, &[&signer]),
            ],
        );
        let kind = element(OID, &[oid::SIGNED_DATA]);
        Ok(element(SEQUENCE, &[&kind, &element(context(0), &[&signed_data])]))
    }
}

fn algorithm(name: &[u8], has_parameters: bool) -> Vec<u8> {
    let parameters: &[u8] = if has_parameters { &[NULL, 0] } else { &[] };
    element(SEQUENCE, &[&element(OID, &[name]), parameters])
}
