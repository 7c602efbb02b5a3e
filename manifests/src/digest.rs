//! SHA-256 digests.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::hint::Hint;

/// A SHA-256 digest. It is printed and stored as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

/// Why a text is not a digest.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum DigestError {
    #[error("a SHA-256 digest has 64 hexadecimal digits, not {length}")]
    Length { length: usize },
    #[error("byte {position} of the SHA-256 digest is not a hexadecimal digit")]
    Digit { position: usize },
}

impl Hint for DigestError {}

impl Sha256 {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits; upper case is accepted, as `sha256sum --check` accepts it.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        if text.len() != 64 {
            return Err(DigestError::Length { length: text.len() });
        }
        let mut bytes = [0; 32];
        for (position, character) in text.bytes().enumerate() {
            let digit = match character {
                b'0'..=b'9' => character - b'0',
                b'a'..=b'f' => character - b'a' + 10,
                b'A'..=b'F' => character - b'A' + 10,
                _ => return Err(DigestError::Digit { position }),
            };
            bytes[position / 2] = bytes[position / 2] << 4 | digit;
        }
        Ok(Self(bytes))
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).map_err(serde::de::Error::custom)
    }
}

/// Computes a digest incrementally.
#[derive(Clone, Debug, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn knows_the_digest_of_no_bytes() {
        assert_eq!(Sha256::of(b"").to_string(), EMPTY);
        assert_eq!(Hasher::default().finish().to_string(), EMPTY);
    }

    #[test]
    fn hex_round_trips_in_either_case() {
        assert_eq!(Sha256::from_hex(EMPTY).unwrap(), Sha256::of(b""));
        assert_eq!(Sha256::from_hex(&EMPTY.to_uppercase()).unwrap(), Sha256::of(b""));
    }

    #[test]
    fn explains_invalid_digests() {
        assert_eq!(Sha256::from_hex("e3b0"), Err(DigestError::Length { length: 4 }));
        let wrong = EMPTY.replacen('c', "g", 1);
        assert_eq!(Sha256::from_hex(&wrong), Err(DigestError::Digit { position: 4 }));
        let wide = "é".repeat(32);
        assert_eq!(Sha256::from_hex(&wide), Err(DigestError::Digit { position: 0 }));
    }
}
