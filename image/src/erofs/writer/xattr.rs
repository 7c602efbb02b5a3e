//! Encodes extended attributes: after their inode, or once in a shared area if several inodes have the same.
//!
//! ```text
//! after an inode     12 bytes of header, 4 bytes for each shared attribute: its place in the area,
//!                    in units of 4 bytes; then its own attributes
//! an attribute       length of the name, prefix of the name, length of the value; name, value
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::error::WriteError;
use crate::erofs::format::{XATTR_HEADER, XATTR_UNIT, xattr_entry, xattr_header};

/// Prefixes of names that are stored as a number. The last two are complete names.
const PREFIXES: [(&str, u8); 5] = [
    ("user.", 1),
    ("trusted.", 4),
    ("security.", 6),
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
];

/// How many attributes of an inode can be shared: they are counted in a byte.
const SHARED_MAX: usize = 255;

/// The encoded attributes of one inode, in the order of their names.
pub(super) type Entries = Vec<Vec<u8>>;

/// The attributes of one inode, shared and own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Xattrs {
    /// Places of the shared attributes in the area, in units.
    shared: Vec<u32>,
    /// The other attributes.
    own: Vec<u8>,
}

/// The area of shared attributes.
#[derive(Debug, Default)]
pub(super) struct Area {
    bytes: Vec<u8>,
    /// The place of each attribute, in units.
    places: HashMap<Vec<u8>, u32>,
}

/// The attributes of the inode at `path`.
pub(super) fn entries(path: &Path, xattrs: &BTreeMap<String, Vec<u8>>) -> Result<Entries, WriteError> {
    let mut entries = Vec::new();
    let mut total = 0;
    for (name, value) in xattrs {
        let refuse = |reason| WriteError::Xattr { path: path.to_owned(), name: name.clone(), reason };
        let (rest, index) = split(name).ok_or_else(|| refuse("erofs does not support this name"))?;
        let name_length = u8::try_from(rest.len()).map_err(|_| refuse("its name is too long"))?;
        let value_length = u16::try_from(value.len()).map_err(|_| refuse("its value is too long"))?;
        let mut entry = xattr_entry(name_length, index, value_length).to_vec();
        entry.extend_from_slice(rest.as_bytes());
        entry.extend_from_slice(value);
        entry.resize(entry.len().next_multiple_of(XATTR_UNIT), 0);
        total += entry.len();
        if units(XATTR_HEADER + total).is_none() {
            return Err(refuse("the attributes of one file exceed 256 KiB"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

impl Area {
    /// The area for inodes with these attributes: those that take less space when shared.
    pub(super) fn new(all: &[Entries]) -> Self {
        let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
        all.iter().flatten().for_each(|entry| *counts.entry(entry).or_default() += 1);
        let mut area = Self::default();
        for (entry, count) in counts {
            let place = u32::try_from(area.bytes.len() / XATTR_UNIT);
            if let Ok(place) = place
                && count * entry.len() > entry.len() + count * XATTR_UNIT
            {
                area.places.insert(entry.to_vec(), place);
                area.bytes.extend_from_slice(entry);
            }
        }
        area
    }

    /// The encoded attributes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Splits the attributes of one inode into shared and own ones.
    pub(super) fn split(&self, entries: Entries) -> Xattrs {
        let mut xattrs = Xattrs::default();
        for entry in entries {
            match self.places.get(&entry) {
                Some(place) if xattrs.shared.len() < SHARED_MAX => xattrs.shared.push(*place),
                _ => xattrs.own.extend_from_slice(&entry),
            }
        }
        xattrs
    }
}

impl Xattrs {
    /// Their size after the inode, in bytes.
    pub(super) fn len(&self) -> usize {
        match self.shared.len() * XATTR_UNIT + self.own.len() {
            0 => 0,
            length => XATTR_HEADER + length,
        }
    }

    /// The count in the inode.
    pub(super) fn count(&self) -> u16 {
        units(self.len()).expect("larger attributes were rejected")
    }

    /// The bytes after the inode. The area starts `area` units after the block in the superblock.
    pub(super) fn bytes(&self, area: u32) -> Vec<u8> {
        if self.len() == 0 {
            return Vec::new();
        }
        let count = u8::try_from(self.shared.len()).expect("at most SHARED_MAX");
        let mut out = xattr_header(count).to_vec();
        for place in &self.shared {
            out.extend_from_slice(&(area + place).to_le_bytes());
        }
        out.extend_from_slice(&self.own);
        out
    }
}

/// The count of an inode for attributes of this size in bytes.
fn units(length: usize) -> Option<u16> {
    match length {
        0 => Some(0),
        length => u16::try_from((length - XATTR_HEADER) / XATTR_UNIT + 1).ok(),
    }
}

fn split(name: &str) -> Option<(&str, u8)> {
    let (rest, index) =
        PREFIXES.iter().find_map(|(prefix, index)| Some((name.strip_prefix(prefix)?, *index)))?;
    let whole = matches!(index, 2 | 3);
    (rest.is_empty() == whole && !rest.contains('\0')).then_some((rest, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries_of(xattrs: &[(&str, &[u8])]) -> Result<Entries, WriteError> {
        let xattrs = xattrs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        entries(Path::new("usr/bin/ping"), &xattrs)
    }

    #[test]
    fn an_attribute_follows_a_header_and_is_counted_in_units_of_four() {
        let xattrs = Area::default().split(entries_of(&[("user.ab", b"xyz")]).unwrap());
        let bytes = xattrs.bytes(7);
        assert_eq!(bytes[..12], [0; 12]);
        assert_eq!(bytes[12..], [2, 1, 3, 0, b'a', b'b', b'x', b'y', b'z', 0, 0, 0]);
        assert_eq!((xattrs.len(), xattrs.count()), (24, 4));
        assert_eq!((Xattrs::default().count(), Xattrs::default().bytes(7)), (0, Vec::new()));
    }

    #[test]
    fn common_attributes_are_stored_once() {
        let (label, own): (&[u8], &[u8]) = (b"system_u:object_r:usr_t:s0", b"mine");
        let both = entries_of(&[("security.selinux", label), ("user.own", own)]).unwrap();
        let one = entries_of(&[("security.selinux", label)]).unwrap();
        let area = Area::new(&[both.clone(), one.clone(), Vec::new()]);
        assert_eq!(area.bytes(), one[0]);
        let shared = area.split(one).bytes(5);
        assert_eq!(shared, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(area.split(both).bytes(5)[..16], shared);
        // Sharing an empty value would not save anything.
        let short = entries_of(&[("user.a", b"")]).unwrap();
        assert!(Area::new(&[short.clone(), short]).bytes().is_empty());
    }

    #[test]
    fn an_inode_shares_at_most_255_attributes() {
        let names: Vec<String> = (0..300).map(|number| format!("user.{number}")).collect();
        let list: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"value"[..])).collect();
        let many = entries_of(&list).unwrap();
        let xattrs = Area::new(&[many.clone(), many.clone(), many.clone()]).split(many);
        assert_eq!(xattrs.shared.len(), 255);
        assert!(!xattrs.own.is_empty());
    }

    #[test]
    fn unsupported_attributes_are_rejected_with_path_and_name() {
        for name in ["btrfs.compression", "user.", "security", "system.posix_acl_access.x", "user.a\0b"] {
            let error = entries_of(&[(name, b"")]).unwrap_err().to_string();
            assert!(error.starts_with("/usr/bin/ping: cannot store the extended attribute"), "{error}");
            assert!(error.contains(name), "{error}");
        }
        assert!(entries_of(&[("system.posix_acl_access", b"x")]).is_ok());
        assert!(entries_of(&[("user.a", &[0; 65_536])]).is_err());
        assert!(entries_of(&[(&format!("user.{}", "n".repeat(256)), b"")]).is_err());
    }
}
