//! Signed JSON. The file contains both the signed bytes and the signatures, so that they cannot get out of step.
//!
//! `{"signed": "<base64 of zstd of JSON>", "signatures": [{"key": "<public key>", "minisig": "<text>"}]}`.
//! Signatures cover the compressed bytes: they are verified before anything is decompressed.

use std::collections::BTreeSet;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::hint::Hint;
use crate::position::SyntaxError;

/// How much JSON an envelope may unpack to, in bytes. A catalog of 35 extensions with 20 versions for
/// two architectures is 1.6 MB.
pub const UNPACKED_LIMIT: u64 = 32 << 20;

/// The zstd level envelopes are packed with; readers accept any.
const LEVEL: i32 = 19;

/// Signed bytes and the signatures over them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// The document: base64 of zstd of JSON.
    pub signed: String,
    /// The signatures over the compressed document.
    pub signatures: Vec<Signature>,
}

/// A signature of one key.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Signature {
    /// The public key in minisign's base64 form.
    pub key: String,
    /// The signature in minisign's text form.
    pub minisig: String,
}

/// Keys of which `threshold` must sign.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Role {
    /// How many distinct keys must sign.
    pub threshold: usize,
    /// The public keys in minisign's base64 form.
    pub keys: Vec<String>,
}

/// Why an envelope is not believed.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The signed part is not base64.
    #[error("the signed part is not base64: {0}")]
    Base64(base64::DecodeError),
    /// A role that can never, or always, be satisfied.
    #[error("the threshold is {threshold} with {keys} distinct keys; it must be between 1 and their number")]
    Threshold {
        /// What it asks for.
        threshold: usize,
        /// How many distinct keys there are.
        keys: usize,
    },
    /// A key that is none.
    #[error("{key:?} is not a minisign public key")]
    Key {
        /// The text.
        key: String,
    },
    /// A key of a kind that minisign did not have when this was written.
    #[error(
        "{key:?} is a public key of algorithm {algorithm:?}, and only minisign's Ed25519 (\"Ed\") is known here"
    )]
    KeyAlgorithm {
        /// The text.
        key: String,
        /// The two letters that name the algorithm.
        algorithm: String,
    },
    /// None of the role's keys signed.
    #[error("signed by {}, and none of these keys is trusted here", list(.found))]
    Stranger {
        /// The keys that claim to have signed.
        found: Vec<String>,
    },
    /// A trusted key's signature does not fit the bytes.
    #[error("the signature of {key} does not fit: the file was altered or damaged")]
    Forged {
        /// The key.
        key: String,
    },
    /// A signature that is no minisign signature.
    #[error("the signature of {key} is not in minisign's form")]
    NotMinisign {
        /// The key.
        key: String,
    },
    /// A signature over the bytes themselves and not over their digest: minisign's first form.
    #[error("the signature of {key} is in minisign's legacy form (\"Ed\"), which is not accepted")]
    Legacy {
        /// The key.
        key: String,
    },
    /// A signature of a kind that minisign did not have when this was written.
    #[error(
        "the signature of {key} has the algorithm {algorithm:?}, and only minisign's \"ED\" is known here"
    )]
    Algorithm {
        /// The key.
        key: String,
        /// The two letters that name the algorithm.
        algorithm: String,
    },
    /// A signature that says of itself that another key made it.
    #[error("the signature of {key} was made by a key with another identifier")]
    OtherKey {
        /// The key that it is said to be of.
        key: String,
    },
    /// Too few signed.
    #[error("{valid} of the trusted keys signed, {threshold} must")]
    BelowThreshold {
        /// How many distinct keys signed.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// What was signed does not decompress.
    #[error("the signed part does not decompress: {0}")]
    Zstd(std::io::Error),
    /// What was signed unpacks to too much.
    #[error("the signed part unpacks to more than {UNPACKED_LIMIT} bytes")]
    TooLarge,
    /// What was signed is not the expected document.
    #[error("the signed part is invalid at {0}")]
    Json(SyntaxError),
}

impl Hint for EnvelopeError {}

fn list(keys: &[String]) -> String {
    if keys.is_empty() { "nobody".to_owned() } else { keys.join(", ") }
}

impl Role {
    /// Checks that it can be satisfied and that each key is one.
    pub fn check(&self) -> Result<(), EnvelopeError> {
        let distinct = self.keys.iter().map(|key| public_key(key)).collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<Vec<u8>> = distinct.into_iter().map(|(_, bytes)| bytes).collect();
        if self.threshold == 0 || self.threshold > distinct.len() {
            return Err(EnvelopeError::Threshold { threshold: self.threshold, keys: distinct.len() });
        }
        Ok(())
    }
}

/// Whether two texts are the same key. What identifier they carry does not matter: whoever makes a key
/// chooses it. What is no key is the same as none.
pub fn is_same_key(one: &str, other: &str) -> bool {
    match (public_key(one), public_key(other)) {
        (Ok((_, one)), Ok((_, other))) => one == other,
        _ => false,
    }
}

/// A parsed key, and the bytes that tell it from another: algorithm, identifier and key.
fn public_key(text: &str) -> Result<(minisign_verify::PublicKey, Vec<u8>), EnvelopeError> {
    let wrong = || EnvelopeError::Key { key: text.to_owned() };
    let key = minisign_verify::PublicKey::from_base64(text).map_err(|error| match error {
        minisign_verify::Error::UnsupportedAlgorithm => {
            EnvelopeError::KeyAlgorithm { key: text.to_owned(), algorithm: algorithm(text) }
        }
        _ => wrong(),
    })?;
    // The identifier is chosen by whoever makes the key: only the 32 key bytes count as distinct.
    let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
    Ok((key, bytes.get(10..).ok_or_else(wrong)?.to_vec()))
}

/// The two letters at the front of a key or signature, which name its algorithm.
fn algorithm(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..bytes.len().min(2)]).into_owned()
}

/// Checks one signature, and tells what is wrong with it.
fn check(bytes: &[u8], key: &minisign_verify::PublicKey, signature: &Signature) -> Result<(), EnvelopeError> {
    use minisign_verify::Error;

    let told = |error| {
        let key = signature.key.clone();
        match error {
            Error::InvalidEncoding => EnvelopeError::NotMinisign { key },
            // So the verifier calls it when it was told to take none
            Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode => EnvelopeError::Legacy { key },
            Error::UnsupportedAlgorithm => {
                let line = signature.minisig.lines().nth(1).unwrap_or_default();
                EnvelopeError::Algorithm { key, algorithm: algorithm(line) }
            }
            Error::UnexpectedKeyId => EnvelopeError::OtherKey { key },
            _ => EnvelopeError::Forged { key },
        }
    };
    let decoded = minisign_verify::Signature::decode(&signature.minisig).map_err(told)?;
    key.verify(bytes, &decoded, false).map_err(told)
}

impl Envelope {
    /// Packs a document for signing: the bytes that signatures must cover.
    pub fn pack<T: Serialize>(document: &T) -> std::io::Result<Vec<u8>> {
        zstd::bulk::compress(&serde_json::to_vec(document)?, LEVEL)
    }

    /// Puts packed bytes and the signatures made over them together.
    pub fn seal(packed: &[u8], signatures: Vec<Signature>) -> Self {
        Self { signed: STANDARD.encode(packed), signatures }
    }

    /// The bytes that signatures must cover.
    pub fn bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        STANDARD.decode(&self.signed).map_err(EnvelopeError::Base64)
    }

    /// What it says, whoever says it: to look at what is to be signed, never to act on it.
    pub fn unpack_unverified<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        Packed { bytes: self.bytes()?, keys: Vec::new() }.unpack()
    }

    /// The role's keys that signed, each once, however few they are.
    ///
    /// A trusted key with a signature that does not fit fails the whole, since only tampering or damage
    /// explains it; signatures of unknown keys are passed over.
    pub fn signers(&self, role: &Role) -> Result<Vec<String>, EnvelopeError> {
        self.signers_of(&self.bytes()?, role)
    }

    fn signers_of(&self, bytes: &[u8], role: &Role) -> Result<Vec<String>, EnvelopeError> {
        let trusted = role.keys.iter().map(|key| Ok((key, public_key(key)?)));
        let trusted = trusted.collect::<Result<Vec<_>, EnvelopeError>>()?;
        let mut signers = BTreeSet::new();
        let mut keys = Vec::new();
        for signature in &self.signatures {
            let Ok((_, claimed)) = public_key(&signature.key) else { continue };
            let Some((text, (key, identity))) = trusted.iter().find(|(_, (_, other))| *other == claimed)
            else {
                continue;
            };
            check(bytes, key, signature)?;
            if signers.insert(identity.clone()) {
                keys.push((*text).clone());
            }
        }
        Ok(keys)
    }

    /// Checks that at least the role's threshold of its distinct keys signed, as [`Envelope::signers`] finds
    /// them; returns the packed bytes and the keys that signed them.
    pub fn verify(&self, role: &Role) -> Result<Packed, EnvelopeError> {
        role.check()?;
        let bytes = self.bytes()?;
        let keys = self.signers_of(&bytes, role)?;
        if keys.is_empty() {
            let found = self.signatures.iter().map(|signature| signature.key.clone()).collect();
            return Err(EnvelopeError::Stranger { found });
        }
        if keys.len() < role.threshold {
            return Err(EnvelopeError::BelowThreshold { valid: keys.len(), threshold: role.threshold });
        }
        Ok(Packed { bytes, keys })
    }
}

/// Compressed bytes that the right keys signed.
#[derive(Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    keys: Vec<String>,
}

impl Packed {
    /// The keys that signed.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Decompresses and reads the document.
    pub fn unpack<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        let mut json = Vec::new();
        zstd::Decoder::new(self.bytes.as_slice())
            .and_then(|decoder| decoder.take(UNPACKED_LIMIT + 1).read_to_end(&mut json))
            .map_err(EnvelopeError::Zstd)?;
        if json.len() as u64 > UNPACKED_LIMIT {
            return Err(EnvelopeError::TooLarge);
        }
        serde_json::from_slice(&json).map_err(|error| EnvelopeError::Json(SyntaxError::json(&error)))
    }
}
