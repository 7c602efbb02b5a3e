//! Identifiers of disks, partitions and partition types.

use std::fmt;
use std::str::FromStr;

/// A GUID, in the order of its digits in text.
///
/// On disk the first three groups are little-endian, see [`Guid::to_disk`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// The text is not a GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid GUID {0:?}, expected one such as 4f68bce3-e8cd-4db1-96e7-fbcaf984b709")]
pub struct InvalidGuid(String);

/// Offsets of the groups of digits that follow a hyphen, in bytes.
const GROUPS: [usize; 4] = [4, 6, 8, 10];

/// The source of each byte on disk.
const ON_DISK: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// The type of an unused entry.
    pub const ZERO: Self = Self([0; 16]);

    /// A GUID from its digits, for constants.
    pub(crate) const fn constant(digits: u128) -> Self {
        Self(digits.to_be_bytes())
    }

    /// The bytes in a partition table.
    pub fn to_disk(self) -> [u8; 16] {
        ON_DISK.map(|from| self.0[from])
    }

    /// The GUID from the bytes in a partition table.
    pub fn from_disk(bytes: [u8; 16]) -> Self {
        // Reversing the groups twice gives the same bytes
        Self(ON_DISK.map(|from| bytes[from]))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(position, byte)| {
            let hyphen = if GROUPS.contains(&position) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")
        })
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        let invalid = || InvalidGuid(text.chars().take(40).collect());
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths != [8, 4, 4, 4, 12] || !text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u128::from_str_radix(&groups.concat(), 16).map(Self::constant).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_parsed_displayed_and_stored() {
        let text = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(guid));
        assert_eq!(guid.to_disk()[..8], [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d]);
        assert_eq!(Guid::from_disk(guid.to_disk()), guid);
        for wrong in [
            "",
            "4f68bce3e8cd4db196e7fbcaf984b709",
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b70",
            "+f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        ] {
            assert!(wrong.parse::<Guid>().is_err(), "{wrong}");
        }
    }
}
