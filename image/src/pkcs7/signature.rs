//! Reads and verifies signatures.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::certificate::Certificate;
use super::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, context};
use super::error::VerifyError;
use super::oid;
use crate::verity::RootHash;

/// A parsed signature, which is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The encoded issuer of the signer's certificate.
    issuer: Vec<u8>,
    /// The encoded serial number of the signer's certificate.
    serial: Vec<u8>,
    /// The identifier of the digest.
    digest: Vec<u8>,
    /// The identifier of the signature algorithm.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl Signature {
    /// Parses PKCS#7 in DER, which may be padded with zeros.
    pub fn parse(der: &[u8]) -> Result<Self, VerifyError> {
        let mut whole = Reader::new(der);
        let mut info = whole.inside(SEQUENCE, "no PKCS#7 signature")?;
        if whole.bytes().iter().any(|byte| *byte != 0) {
            return Err(whole.error("trailing data").into());
        }
        if info.inside(OID, "no type")?.bytes() != oid::SIGNED_DATA {
            return Err(info.error("PKCS#7, but not a signature").into());
        }
        let mut wrapped = info.inside(context(0), "no signed data")?;
        info.end()?;
        let mut data = wrapped.inside(SEQUENCE, "no signed data")?;
        wrapped.end()?;
        data.expect(INTEGER, "no version")?;
        let digests = data.inside(SET, "no digest algorithms")?;
        let mut content = data.inside(SEQUENCE, "no content type")?;
        if content.inside(OID, "no content type")?.bytes() != oid::DATA {
            return Err(unsupported("content that is not data"));
        }
        if content.end().is_err() {
            return Err(unsupported("its content attached"));
        }
        // Certificates and revocations are not trusted, because they come with the image
        data.optional(context(0))?;
        data.optional(context(1))?;
        let mut signers = data.inside(SET, "no signers")?;
        data.end()?;
        let signer = signers.inside(SEQUENCE, "no signer")?;
        if signers.end().is_err() {
            return Err(unsupported("several signers"));
        }
        let signature = Self::signer(signer)?;
        // Other programs use these digests before they read the signer
        let mut names = Vec::new();
        let mut rest = digests;
        while rest.end().is_err() {
            names.push(rest.algorithm("no digest algorithm")?.0);
        }
        match names.iter().find(|name| ![oid::SHA256, oid::SHA384, oid::SHA512].contains(name)) {
            Some(other) => Err(unsupported(&format!("the digest {}", oid::dotted(other)))),
            None if names.contains(&signature.digest.as_slice()) => Ok(signature),
            None => Err(digests.error("the signer's digest is not listed").into()),
        }
    }

    fn signer(mut signer: Reader<'_>) -> Result<Self, VerifyError> {
        signer.expect(INTEGER, "no version")?;
        if !signer.is(SEQUENCE) {
            return Err(unsupported("a signer without issuer and serial number"));
        }
        let mut name = signer.inside(SEQUENCE, "no issuer and serial number")?;
        let issuer = name.expect(SEQUENCE, "no issuer")?.whole.to_vec();
        let serial = name.expect(INTEGER, "no serial number")?.whole.to_vec();
        name.end()?;
        let (digest, _) = signer.algorithm("no digest algorithm")?;
        if signer.is(context(0)) {
            return Err(unsupported("signed attributes"));
        }
        let (algorithm, _) = signer.algorithm("no signature algorithm")?;
        let signature = signer.inside(OCTET_STRING, "no signature")?.bytes().to_vec();
        signer.optional(context(1))?; // unsigned attributes
        signer.end()?;
        Ok(Self { issuer, serial, digest: digest.to_vec(), algorithm: algorithm.to_vec(), signature })
    }

    /// Whether the signature claims to be by the key of this certificate.
    pub fn is_by(&self, certificate: &Certificate) -> bool {
        self.issuer == certificate.issuer && self.serial == certificate.serial
    }

    /// Verifies that the root hash was signed with the key of one of these certificates, and returns that
    /// one.
    pub fn verify<'a>(
        &self,
        root_hash: &RootHash,
        trusted: &'a [Certificate],
    ) -> Result<&'a Certificate, VerifyError> {
        let digits = root_hash.to_string();
        let hash = match self.digest.as_slice() {
            oid::SHA256 => Sha256::digest(digits).to_vec(),
            oid::SHA384 => Sha384::digest(digits).to_vec(),
            oid::SHA512 => Sha512::digest(digits).to_vec(),
            other => return Err(unsupported(&format!("the digest {}", oid::dotted(other)))),
        };
        let mut problem = VerifyError::Unknown { certificates: trusted.len() };
        // Certificates may have the same issuer and serial number by accident: the key decides
        for certificate in trusted.iter().filter(|certificate| self.is_by(certificate)) {
            if !certificate.key.supports(&self.algorithm, &self.digest) {
                problem = unsupported(&format!("the algorithm {}", oid::dotted(&self.algorithm)));
            } else if certificate.key.verify(&self.digest, &hash, &self.signature) {
                return Ok(certificate);
            } else {
                problem = VerifyError::Wrong;
            }
        }
        Err(problem)
    }
}

fn unsupported(what: &str) -> VerifyError {
    VerifyError::Unsupported { what: what.to_owned() }
}
