//! The root hash of a tree.

use std::fmt;
use std::str::FromStr;

use super::DIGEST;

/// The hash of the top of a tree, against which every block of the image can be verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootHash(pub [u8; DIGEST]);

/// The text is not a root hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid root hash {0:?}, expected 64 hexadecimal digits")]
pub struct InvalidRootHash(String);

impl RootHash {
    /// Its first half, which is the UUID of the data partition of a DDI.
    pub fn first_half(&self) -> [u8; 16] {
        self.half(0)
    }

    /// Its second half, which is the UUID of the verity partition of a DDI.
    pub fn second_half(&self) -> [u8; 16] {
        self.half(16)
    }

    fn half(&self, start: usize) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[start..start + 16]);
        half
    }
}

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

impl FromStr for RootHash {
    type Err = InvalidRootHash;

    /// Parses 64 hexadecimal digits and surrounding white space, as in a `.roothash` file.
    fn from_str(text: &str) -> Result<Self, InvalidRootHash> {
        let digits = text.trim_ascii().as_bytes();
        let invalid = || InvalidRootHash(text.chars().take(2 * DIGEST + 2).collect());
        if digits.len() != 2 * DIGEST {
            return Err(invalid());
        }
        let mut hash = [0; DIGEST];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(invalid)?;
            *byte = high << 4 | low;
        }
        Ok(Self(hash))
    }
}
