//! Writes extended attributes: sets that inodes refer to by number. Long values are stored out of line,
//! before the set, so that a search for a name need not read them. Equal sets and values are stored once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::error::WriteError;
use super::metadata::Table;
use crate::squashfs::codec::Encoder;
use crate::squashfs::format::{Place, XATTR_OUT_OF_LINE, XATTR_PREFIXES};

/// The longest value in bytes that is stored with its name.
const INLINE_MAX: usize = 64;

/// The longest value in bytes that the kernel returns.
const VALUE_MAX: usize = 65_536;

/// The longest name in bytes that the kernel supports, with its prefix.
const NAME_MAX: usize = 255;

type Xattrs = BTreeMap<String, Vec<u8>>;

/// All attributes of an image.
#[derive(Debug, Default)]
pub(super) struct Sets<'a> {
    numbers: HashMap<&'a Xattrs, u32>,
    values: HashMap<&'a [u8], Place>,
    table: Table,
    /// Place, count and length of each set.
    ids: Vec<u8>,
}

impl<'a> Sets<'a> {
    /// The number of this set; `None` for the empty one.
    pub(super) fn number(
        &mut self,
        path: &Path,
        xattrs: &'a Xattrs,
        encoder: &mut Encoder,
    ) -> Result<Option<u32>, WriteError> {
        if xattrs.is_empty() {
            return Ok(None);
        }
        if let Some(number) = self.numbers.get(xattrs) {
            return Ok(Some(*number));
        }
        for (name, value) in xattrs {
            check(name, value).map_err(|reason| WriteError::Xattr {
                path: path.to_owned(),
                name: name.clone(),
                reason,
            })?;
            if value.len() > INLINE_MAX && !self.values.contains_key(&value[..]) {
                self.values.insert(value, self.table.place());
                self.table.append(&length(value), encoder)?;
                self.table.append(value, encoder)?;
            }
        }
        let place = self.table.place();
        for (name, value) in xattrs {
            let bytes = self.entry(name, value);
            self.table.append(&bytes, encoder)?;
        }
        let number = u32::try_from(self.numbers.len()).ok().filter(|number| *number < u32::MAX - 1);
        let number =
            number.ok_or(WriteError::TooMany { what: "sets of attributes", limit: u32::MAX.into() })?;
        self.numbers.insert(xattrs, number);
        // The total size that `listxattr` and `getxattr` return.
        let size: usize = xattrs.iter().map(|(name, value)| name.len() + 1 + value.len()).sum();
        self.ids.extend_from_slice(&place.bits().to_le_bytes());
        for field in [xattrs.len(), size] {
            let field = u32::try_from(field).map_err(|_| WriteError::TooMany {
                what: "bytes of attributes of one file",
                limit: u32::MAX.into(),
            })?;
            self.ids.extend_from_slice(&field.to_le_bytes());
        }
        Ok(Some(number))
    }

    /// How many sets there are, the table of their bytes, and the bytes of their ids.
    pub(super) fn finish(self) -> (u32, Table, Vec<u8>) {
        let count = u32::try_from(self.numbers.len()).expect("counted when they were numbered");
        (count, self.table, self.ids)
    }

    fn entry(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let (number, rest) = split(name).expect("the name was checked");
        let mut out = Vec::new();
        let out_of_line = self.values.get(value).map(|place| place.bits().to_le_bytes());
        let kind = if out_of_line.is_some() { number | XATTR_OUT_OF_LINE } else { number };
        let name_length = u16::try_from(rest.len()).expect("the name was checked");
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&name_length.to_le_bytes());
        out.extend_from_slice(rest.as_bytes());
        let stored = out_of_line.as_ref().map_or(value, |place| &place[..]);
        out.extend_from_slice(&length(stored));
        out.extend_from_slice(stored);
        out
    }
}

fn length(value: &[u8]) -> [u8; 4] {
    u32::try_from(value.len()).expect("the value was checked").to_le_bytes()
}

fn check(name: &str, value: &[u8]) -> Result<(), &'static str> {
    match split(name) {
        None => Err("squashfs does not support this name"),
        Some(_) if name.len() > NAME_MAX => Err("its name is too long"),
        Some(_) if value.len() > VALUE_MAX => Err("its value is too long"),
        Some(_) => Ok(()),
    }
}

/// The number of the prefix of a name, and the rest.
fn split(name: &str) -> Option<(u16, &str)> {
    (0..)
        .zip(XATTR_PREFIXES)
        .find_map(|(number, prefix)| Some((number, name.strip_prefix(prefix)?)))
        .filter(|(_, rest)| !rest.is_empty() && !rest.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squashfs::Codec;

    fn number<'a>(sets: &mut Sets<'a>, xattrs: &'a Xattrs) -> Result<Option<u32>, WriteError> {
        sets.number(Path::new("usr/bin/ping"), xattrs, &mut Encoder::new(Codec::None, 17).unwrap())
    }

    fn one(name: &str, value: &[u8]) -> Xattrs {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn equal_sets_and_equal_long_values_are_stored_once() {
        let long = vec![7; 1000];
        let sets_in = [one("user.a", &long), one("user.b", &long), one("user.a", &long), Xattrs::new()];
        let mut sets = Sets::default();
        let numbers: Vec<_> = sets_in.iter().map(|set| number(&mut sets, set).unwrap()).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(0), None]);
        let (count, table, ids) = sets.finish();
        assert_eq!((count, ids.len()), (2, 32));
        assert_eq!(table.place().offset, 1004 + 2 * (4 + 1 + 4 + 8));
        assert_eq!(ids[..8], 1004u64.to_le_bytes());
    }

    #[test]
    fn unsupported_attributes_are_rejected_with_path_and_name() {
        for name in ["system.posix_acl_access", "user.", "security", "btrfs.compression", "user.a\0b"] {
            let set = one(name, b"");
            let error = number(&mut Sets::default(), &set).unwrap_err().to_string();
            assert!(error.starts_with("/usr/bin/ping: cannot store the extended attribute"), "{error}");
        }
        for set in [one("user.a", &[0; 65_537]), one(&format!("user.{}", "n".repeat(251)), b"")] {
            assert!(number(&mut Sets::default(), &set).is_err());
        }
        assert!(number(&mut Sets::default(), &one("user.a", &[0; 65_536])).is_ok());
    }
}
