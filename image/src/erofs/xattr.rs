//! Extended attributes of one inode, in the bytes that follow it.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::WriteError;
use super::format::{XATTR_HEADER, XATTR_UNIT, xattr_entry};

/// Prefixes of names that are stored as a number. An empty rest is right for the last two only.
const PREFIXES: [(&str, u8); 5] = [
    ("user.", 1),
    ("trusted.", 4),
    ("security.", 6),
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
];

/// The bytes behind an inode that hold its attributes, in the order of their names; empty
/// without attributes.
pub(super) fn encode(path: &Path, xattrs: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, WriteError> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; XATTR_HEADER];
    for (name, value) in xattrs {
        let refuse = |reason| WriteError::Xattr { path: path.to_owned(), name: name.clone(), reason };
        let (rest, index) = split(name).ok_or_else(|| refuse("erofs has no place for such names"))?;
        let name_length = u8::try_from(rest.len()).map_err(|_| refuse("its name is too long"))?;
        let value_length = u16::try_from(value.len()).map_err(|_| refuse("its value is too long"))?;
        out.extend_from_slice(&xattr_entry(name_length, index, value_length));
        out.extend_from_slice(rest.as_bytes());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(XATTR_UNIT), 0);
        if count(&out).is_none() {
            return Err(refuse("the attributes of one file have more than 256 KiB together"));
        }
    }
    Ok(out)
}

/// What an inode says about attributes of that many bytes.
pub(super) fn count(encoded: &[u8]) -> Option<u16> {
    match encoded.len() {
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

    fn encode_one(name: &str, value: &[u8]) -> Result<Vec<u8>, WriteError> {
        encode(Path::new("usr/bin/ping"), &BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn an_attribute_is_stored_behind_a_header_and_counted_in_units_of_four() {
        let bytes = encode_one("user.ab", b"xyz").unwrap();
        assert_eq!(bytes[..12], [0; 12]);
        assert_eq!(bytes[12..], [2, 1, 3, 0, b'a', b'b', b'x', b'y', b'z', 0, 0, 0]);
        assert_eq!(count(&bytes), Some(4));
        assert_eq!(count(&encode(Path::new(""), &BTreeMap::new()).unwrap()), Some(0));
    }

    #[test]
    fn what_has_no_place_is_refused_with_path_and_name() {
        for name in ["btrfs.compression", "user.", "security", "system.posix_acl_access.x", "user.a\0b"] {
            let error = encode_one(name, b"").unwrap_err().to_string();
            assert!(error.starts_with("/usr/bin/ping: cannot store the extended attribute"), "{error}");
            assert!(error.contains(name), "{error}");
        }
        assert!(encode_one("system.posix_acl_access", b"x").is_ok());
        assert!(encode_one("user.a", &[0; 65_536]).is_err());
        assert!(encode_one(&format!("user.{}", "n".repeat(256)), b"").is_err());
    }
}
