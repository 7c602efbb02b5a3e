//! Parses extended headers of POSIX: records `LENGTH KEY=VALUE\n`, with the length of the whole record.

use std::collections::BTreeMap;

/// The prefix of keys of extended attributes, before their name.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Keys of sparse files.
const SPARSE: [&[u8]; 2] = [b"GNU.sparse.", b"SCHILY.realsize"];

/// The values of records, which override those of the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) is_sparse: bool,
}

impl Records {
    /// Adds records. A later one replaces an earlier one, an empty value removes it.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let (record, rest) = split(bytes).ok_or("a pax record has an invalid length")?;
            let at = record.iter().position(|byte| *byte == b'=').ok_or("a pax record has no value")?;
            self.record(&record[..at], &record[at + 1..])?;
            bytes = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || match std::str::from_utf8(value) {
            Ok("") => Ok(None),
            Ok(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse::<u64>().map(Some).map_err(|_| "a number in a pax record is too large")
            }
            _ => Err("a pax record has an invalid number"),
        };
        let owner = || match number()?.map(u32::try_from).transpose() {
            Ok(owner) => Ok(owner),
            Err(_) => Err("an owner in a pax record has more than 32 bits"),
        };
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.target = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = owner()?,
            b"gid" => self.gid = owner()?,
            _ if SPARSE.iter().any(|sparse| key.starts_with(sparse)) => self.is_sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    let name = std::str::from_utf8(name);
                    let name = name.map_err(|_| "the name of an extended attribute is not text")?;
                    self.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
        Ok(())
    }

    /// These values, and others from `global`.
    pub(super) fn over(self, global: &Self) -> Self {
        let mut xattrs = global.xattrs.clone();
        xattrs.extend(self.xattrs);
        Self {
            path: self.path.or_else(|| global.path.clone()),
            target: self.target.or_else(|| global.target.clone()),
            size: self.size.or(global.size),
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            xattrs,
            is_sparse: self.is_sparse || global.is_sparse,
        }
    }
}

/// The first record without its length and newline, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&bytes[..blank]).ok()?;
    if digits.starts_with(['+', '0']) {
        return None;
    }
    let (record, rest) = bytes.split_at_checked(digits.parse().ok()?)?;
    Some((record.get(blank + 1..)?.strip_suffix(b"\n")?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(bytes: &[u8]) -> Result<Records, &'static str> {
        let mut records = Records::default();
        records.take(bytes).map(|()| records)
    }

    #[test]
    fn records_are_taken_with_newlines_and_nuls_in_their_values() {
        let found = records(b"30 mtime=1350244992.023960108\n12 path=a\nb\n27 SCHILY.xattr.user.x=\0=\n\n20 size=99999999999\n")
            .unwrap();
        assert_eq!(found.path.unwrap(), b"a\nb");
        assert_eq!(found.size, Some(99_999_999_999));
        assert_eq!(found.xattrs["user.x"], b"\0=\n");
        assert!(records(b"24 GNU.sparse.major=1.0\n").unwrap().is_sparse);
        assert_eq!(records(b"7 uid=\n").unwrap().uid, None);
    }

    #[test]
    fn invalid_records_are_rejected() {
        for bytes in [
            &b"x"[..],
            b"5 a=b",
            b"8 path=a\n",
            b"11 path=a\n",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"+6 a=b\n",
            b"2 a=b\n",
            b"5 ab\n",
            b"9 size=x\n",
            b"27 size=99999999999999999999\n",
            b"18 uid=4294967296\n",
        ] {
            assert!(records(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn own_records_override_global_ones() {
        let global = records(b"11 uid=100\n10 gid=10\n").unwrap();
        let own = records(b"8 uid=7\n").unwrap();
        let both = own.over(&global);
        assert_eq!((both.uid, both.gid), (Some(7), Some(10)));
    }
}
