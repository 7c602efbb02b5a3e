//! The content of a signature partition: a JSON object, padded with zeros.
//!
//! ```json
//! {"rootHash":"849d…dea3","certificateFingerprint":"c5d0…27a8","signature":"MIIB…"}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::{ReadError, WriteError};
use crate::verity::RootHash;

/// Size in bytes of the partition that is written, as by systemd-repart.
pub(super) const PARTITION_SIZE: u64 = 16 << 10;

/// The largest partition that systemd reads.
pub(super) const PARTITION_SIZE_MAX: u64 = 4 << 20;

/// A signed root hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The signed root hash.
    pub root_hash: RootHash,
    /// SHA-256 of the signer's certificate in DER: a hint, not a proof.
    pub fingerprint: Option<[u8; 32]>,
    /// The signature of the root hash's hexadecimal digits, PKCS#7 in DER.
    pub pkcs7: Vec<u8>,
}

#[cfg(feature = "pkcs7")]
impl Signature {
    /// Signs a root hash.
    pub fn new(signer: &crate::pkcs7::Signer, root_hash: &RootHash) -> Result<Self, crate::pkcs7::SignError> {
        Ok(Self {
            root_hash: *root_hash,
            fingerprint: Some(signer.certificate().fingerprint()),
            pkcs7: signer.sign(root_hash)?,
        })
    }
}

impl Signature {
    /// The whole partition.
    pub(super) fn to_partition(&self) -> Result<Vec<u8>, WriteError> {
        let fingerprint = self.fingerprint.map_or_else(String::new, |fingerprint| {
            // It is displayed like a root hash
            format!(r#""certificateFingerprint":"{}","#, RootHash(fingerprint))
        });
        let (root_hash, signature) = (self.root_hash, STANDARD.encode(&self.pkcs7));
        let text = format!(r#"{{"rootHash":"{root_hash}",{fingerprint}"signature":"{signature}"}}"#);
        let mut partition = text.into_bytes();
        let size = partition.len() as u64;
        // A zero must follow the text
        if size >= PARTITION_SIZE {
            return Err(WriteError::SignatureTooLong { size });
        }
        partition.resize(usize::try_from(PARTITION_SIZE).expect("16 KiB fit into memory"), 0);
        Ok(partition)
    }

    /// Parses a whole partition, which is at `offset` of the image.
    pub(super) fn from_partition(partition: &[u8], offset: u64) -> Result<Self, ReadError> {
        let invalid = |at: usize, reason: String| ReadError::Signature { offset: offset + at as u64, reason };
        let end = partition.iter().position(|byte| *byte == 0).unwrap_or(partition.len());
        if let Some(other) = partition[end..].iter().position(|byte| *byte != 0) {
            return Err(invalid(end + other, "trailing data after the text".into()));
        }
        let object: Object = serde_json::from_slice(&partition[..end])
            .map_err(|error| invalid(0, format!("not the expected JSON object: {error}")))?;
        let hash = |text: &str| text.parse::<RootHash>().map_err(|error| invalid(0, error.to_string()));
        let pkcs7 = STANDARD.decode(&object.signature);
        Ok(Self {
            root_hash: hash(&object.root_hash)?,
            fingerprint: object.fingerprint.as_deref().map(hash).transpose()?.map(|hash| hash.0),
            pkcs7: pkcs7.map_err(|error| invalid(0, format!("the signature is not base64: {error}")))?,
        })
    }
}

/// The JSON object. Other fields are ignored.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "rootHash")]
    root_hash: String,
    #[serde(rename = "certificateFingerprint")]
    fingerprint: Option<String>,
    signature: String,
}
