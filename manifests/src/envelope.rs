//! Signed JSON. The file contains both the signed bytes and the signatures, so that they cannot get out of step.
//!
//! `{"signed": "<base64 of zstd of JSON>", "signatures": [{"key": "<public key>", "minisig": "<text>"}]}`.
//! Signatures cover the compressed bytes: they are verified before anything is decompressed.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::bounded;
use crate::hint::Hint;
use crate::position::SyntaxError;

/// The maximum size of the JSON in an envelope, in bytes. A catalog of 35 extensions with 20 versions for
/// two architectures is 1.6 MB.
pub const UNPACKED_LIMIT: u64 = 32 << 20;

/// How many signatures an envelope may have. Each key of a role needs one.
pub(crate) const SIGNATURES_MAX: usize = 256;

/// The zstd level of new envelopes; readers accept any.
const LEVEL: i32 = 19;

/// Signed bytes and the signatures over them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// The document: base64 of zstd of JSON.
    pub signed: String,
    /// The signatures over the compressed document.
    #[serde(deserialize_with = "bounded::list::<_, _, SIGNATURES_MAX>")]
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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.threshold, self.keys.len(), self.keys.join(", "))
    }
}

/// Why an envelope is not trusted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum EnvelopeError {
    #[error("the signed part is not base64: {0}")]
    Base64(base64::DecodeError),
    #[error(
        "the threshold is {threshold}; it must be between 1 and the number of distinct keys, which is {keys}"
    )]
    Threshold { threshold: usize, keys: usize },
    #[error("{key:?} is not a minisign public key")]
    Key { key: String },
    #[error(
        "{key:?} is a public key of algorithm {algorithm:?}; only minisign's Ed25519 (\"Ed\") is supported"
    )]
    KeyAlgorithm { key: String, algorithm: String },
    #[error("signed by {}, none of which is a trusted key", list(.found))]
    UnknownKeys { found: Vec<String> },
    #[error("the signature of {key} does not match: the file was altered or damaged")]
    Forged { key: String },
    #[error("the signature of {key} is not a minisign signature")]
    NotMinisign { key: String },
    #[error("the signature of {key} is in minisign's legacy format (\"Ed\"), which is not supported")]
    Legacy { key: String },
    #[error("the signature of {key} has the algorithm {algorithm:?}; only minisign's \"ED\" is supported")]
    Algorithm { key: String, algorithm: String },
    #[error("the signature of {key} was made by a key with another identifier")]
    OtherKey { key: String },
    #[error("{valid} of {threshold} required signatures by trusted keys")]
    BelowThreshold { valid: usize, threshold: usize },
    #[error("the signed part does not decompress: {0}")]
    Zstd(std::io::Error),
    #[error("the signed part unpacks to more than {UNPACKED_LIMIT} bytes")]
    TooLarge,
    #[error("the signed part is invalid at {0}")]
    Json(SyntaxError),
    #[error("the signed part is a {found:?}, expected a {expected:?}")]
    Type { expected: &'static str, found: String },
    #[error("the signed part has no type, expected a {expected:?}")]
    NoType { expected: &'static str },
    #[error("the signed part contains what this program does not know: {}", .fields.join(", "))]
    UnknownFields { fields: Vec<String> },
    #[error("the signed part is not written as this program writes the same contents")]
    OtherEncoding,
}

impl Hint for EnvelopeError {}

fn list(keys: &[String]) -> String {
    if keys.is_empty() { "nobody".to_owned() } else { keys.join(", ") }
}

/// A document that is signed. Its JSON contains its type, so that no signature counts for a document of another type.
pub trait Document: Serialize + DeserializeOwned {
    /// The value of the field `type`.
    const TYPE: &'static str;
}

/// The field that every signed document has.
#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Role {
    /// Whether two roles accept the same signatures: the same keys, in any order, and the same threshold.
    pub fn is_same(&self, other: &Self) -> bool {
        let contains = |role: &Self, key: &String| role.keys.iter().any(|k| k == key || is_same_key(k, key));
        self.threshold == other.threshold
            && self.keys.iter().all(|key| contains(other, key))
            && other.keys.iter().all(|key| contains(self, key))
    }

    /// Checks that enough keys can sign and that each key is valid.
    pub fn check(&self) -> Result<(), EnvelopeError> {
        let distinct = self.keys.iter().map(|key| public_key(key)).collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<Vec<u8>> = distinct.into_iter().map(|(_, bytes)| bytes).collect();
        if self.threshold == 0 || self.threshold > distinct.len() {
            return Err(EnvelopeError::Threshold { threshold: self.threshold, keys: distinct.len() });
        }
        Ok(())
    }
}

/// Whether two texts are the same key. Their identifiers do not matter, since the creator of a key can choose them.
/// A text that is not a key equals no other.
pub fn is_same_key(one: &str, other: &str) -> bool {
    match (public_key(one), public_key(other)) {
        (Ok((_, one)), Ok((_, other))) => one == other,
        _ => false,
    }
}

/// A parsed key, and the bytes that distinguish it from others.
fn public_key(text: &str) -> Result<(minisign_verify::PublicKey, Vec<u8>), EnvelopeError> {
    let wrong = || EnvelopeError::Key { key: text.to_owned() };
    let key = minisign_verify::PublicKey::from_base64(text).map_err(|error| match error {
        minisign_verify::Error::UnsupportedAlgorithm => {
            EnvelopeError::KeyAlgorithm { key: text.to_owned(), algorithm: algorithm(text) }
        }
        _ => wrong(),
    })?;
    // The creator of a key chooses its identifier: only the 32 key bytes count.
    let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
    Ok((key, bytes.get(10..).ok_or_else(wrong)?.to_vec()))
}

/// The two letters at the start of a key or signature, which name its algorithm.
fn algorithm(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..bytes.len().min(2)]).into_owned()
}

/// Checks one signature.
fn check(bytes: &[u8], key: &minisign_verify::PublicKey, signature: &Signature) -> Result<(), EnvelopeError> {
    use minisign_verify::Error;

    let explain = |error| {
        let key = signature.key.clone();
        match error {
            Error::InvalidEncoding => EnvelopeError::NotMinisign { key },
            // The verifier returns this when it may not accept legacy signatures.
            Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode => EnvelopeError::Legacy { key },
            Error::UnsupportedAlgorithm => {
                let line = signature.minisig.lines().nth(1).unwrap_or_default();
                EnvelopeError::Algorithm { key, algorithm: algorithm(line) }
            }
            Error::UnexpectedKeyId => EnvelopeError::OtherKey { key },
            _ => EnvelopeError::Forged { key },
        }
    };
    let decoded = minisign_verify::Signature::decode(&signature.minisig).map_err(explain)?;
    key.verify(bytes, &decoded, false).map_err(explain)
}

impl Envelope {
    /// Packs a document: signatures must cover the returned bytes.
    pub fn pack<T: Serialize>(document: &T) -> std::io::Result<Vec<u8>> {
        zstd::bulk::compress(&serde_json::to_vec(document)?, LEVEL)
    }

    /// Joins packed bytes and the signatures over them.
    pub fn seal(packed: &[u8], signatures: Vec<Signature>) -> Self {
        Self { signed: STANDARD.encode(packed), signatures }
    }

    /// The bytes that signatures must cover.
    pub fn bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        STANDARD.decode(&self.signed).map_err(EnvelopeError::Base64)
    }

    /// The document without a check of its signatures: to show it before it is signed, never to act on it.
    pub fn unpack_unverified<T: Document>(&self) -> Result<T, EnvelopeError> {
        Packed { bytes: self.bytes()?, keys: Vec::new() }.unpack()
    }

    /// The document for somebody who will sign it: refused if the signed bytes contain anything that the returned
    /// value does not show.
    ///
    /// The JSON must be what this program writes for the value. The compressed bytes may differ, since other versions
    /// of zstd compress differently, but they must be a single frame: another one could hide bytes.
    pub fn unpack_to_sign<T: Document>(&self) -> Result<T, EnvelopeError> {
        let packed = Packed { bytes: self.bytes()?, keys: Vec::new() };
        let json = packed.json()?;
        let document: T = parse(&json)?;
        let written = serde_json::to_vec(&document).map_err(|_| EnvelopeError::OtherEncoding)?;
        if json != written {
            let mut fields = Vec::new();
            unknown(&value(&json)?, &value(&written)?, String::new(), &mut fields);
            return Err(match fields.is_empty() {
                true => EnvelopeError::OtherEncoding,
                false => EnvelopeError::UnknownFields { fields },
            });
        }
        match zstd::zstd_safe::find_frame_compressed_size(&packed.bytes) {
            Ok(size) if size == packed.bytes.len() => Ok(document),
            _ => Err(EnvelopeError::OtherEncoding),
        }
    }

    /// The role's keys that signed, each once, even if they are fewer than the threshold.
    ///
    /// An invalid signature of a trusted key is an error, since the file must have been altered or damaged.
    /// Signatures of unknown keys are ignored.
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

    /// Checks that enough distinct keys of the role signed, as [`Envelope::signers`] finds them.
    pub fn verify(&self, role: &Role) -> Result<Packed, EnvelopeError> {
        role.check()?;
        let bytes = self.bytes()?;
        let keys = self.signers_of(&bytes, role)?;
        if keys.is_empty() {
            let found = self.signatures.iter().map(|signature| signature.key.clone()).collect();
            return Err(EnvelopeError::UnknownKeys { found });
        }
        if keys.len() < role.threshold {
            return Err(EnvelopeError::BelowThreshold { valid: keys.len(), threshold: role.threshold });
        }
        Ok(Packed { bytes, keys })
    }
}

/// Compressed bytes that enough keys of a role signed.
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

    /// Decompresses and reads the document. A document of another type is refused.
    pub fn unpack<T: Document>(&self) -> Result<T, EnvelopeError> {
        parse(&self.json()?)
    }

    fn json(&self) -> Result<Vec<u8>, EnvelopeError> {
        let mut json = Vec::new();
        zstd::Decoder::new(self.bytes.as_slice())
            .and_then(|decoder| decoder.take(UNPACKED_LIMIT + 1).read_to_end(&mut json))
            .map_err(EnvelopeError::Zstd)?;
        if json.len() as u64 > UNPACKED_LIMIT {
            return Err(EnvelopeError::TooLarge);
        }
        Ok(json)
    }
}

fn parse<T: Document>(json: &[u8]) -> Result<T, EnvelopeError> {
    let invalid = |error: serde_json::Error| EnvelopeError::Json(SyntaxError::json(&error));
    // First, so that the message about another document is not about one of its fields.
    let Typed { kind } = serde_json::from_slice(json).map_err(invalid)?;
    match kind {
        None => Err(EnvelopeError::NoType { expected: T::TYPE }),
        Some(found) if found != T::TYPE => Err(EnvelopeError::Type { expected: T::TYPE, found }),
        Some(_) => serde_json::from_slice(json).map_err(invalid),
    }
}

fn value(json: &[u8]) -> Result<Value, EnvelopeError> {
    serde_json::from_slice(json).map_err(|error| EnvelopeError::Json(SyntaxError::json(&error)))
}

/// Adds the paths of all fields of `found` that `known` does not have.
fn unknown(found: &Value, known: &Value, path: String, fields: &mut Vec<String>) {
    match (found, known) {
        (Value::Object(found), Value::Object(known)) => {
            for (name, value) in found {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.get(name) {
                    Some(known) => unknown(value, known, path, fields),
                    None => fields.push(path),
                }
            }
        }
        (Value::Array(found), Value::Array(known)) => {
            for (index, (value, known)) in found.iter().zip(known).enumerate() {
                unknown(value, known, format!("{path}[{index}]"), fields);
            }
        }
        _ => {}
    }
}
