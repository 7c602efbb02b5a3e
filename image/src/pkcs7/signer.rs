//! Makes signatures.

use sha2::{Digest as _, Sha256};

use super::certificate::Certificate;
use super::der::{INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, SET, context, element};
use super::error::SignError;
use super::key::PrivateKey;
use super::oid;
use crate::verity::RootHash;

/// Version 1 of a structure.
const VERSION: &[u8] = &[INTEGER, 1, 1];

/// A private key and its certificate.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PrivateKey,
    certificate: Certificate,
    includes_certificate: bool,
}

impl Signer {
    /// The two must belong together.
    pub fn new(key: PrivateKey, certificate: Certificate) -> Result<Self, SignError> {
        if key.public() != certificate.key {
            return Err(SignError::Mismatch);
        }
        Ok(Self { key, certificate, includes_certificate: false })
    }

    /// Puts the certificate into the signatures, as `systemd-repart` does. Whoever checks them needs
    /// it from elsewhere all the same, so it is left out if nothing is said.
    pub fn include_certificate(mut self) -> Self {
        self.includes_certificate = true;
        self
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs a root hash: PKCS#7 in DER, the same each time.
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
