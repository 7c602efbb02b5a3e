//! Parses headers of 512 bytes.

use super::error::TarError;
use super::special;
use crate::entry::{PERMISSIONS, Special};

/// Size of a header, and of the blocks of content, in bytes.
pub(super) const BLOCK: usize = 512;

/// A parsed header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its offset in the archive.
    pub(super) offset: u64,
    pub(super) kind: HeaderKind,
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
}

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderKind {
    File,
    Link,
    Symlink,
    Special(Special),
    Directory,
    /// GNU: the name of the next entry.
    LongName,
    /// GNU: the target of the next entry.
    LongLink,
    Pax,
    GlobalPax,
    /// A sparse file of GNU tar.
    Sparse,
    /// Multi-volume archives and unknown types.
    Other,
}

impl Header {
    /// `None` at the end of an archive, which is a block of zeros.
    pub(super) fn parse(offset: u64, block: &[u8; BLOCK]) -> Result<Option<Self>, TarError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let wrong = |defect| TarError::Header { offset, defect };
        let checksum = number(&block[148..156]).ok_or_else(|| wrong("its checksum is not a number"))?;
        if !sums(block).contains(&checksum) {
            return Err(wrong("its checksum is wrong"));
        }
        let field =
            |range: std::ops::Range<usize>, defect| number(&block[range]).ok_or_else(|| wrong(defect));
        let owner = |range, defect| u32::try_from(field(range, defect)?).map_err(|_| wrong(defect));
        let kind = match block[156] {
            b'0' | 0 | b'7' => HeaderKind::File,
            b'1' => HeaderKind::Link,
            b'2' => HeaderKind::Symlink,
            b'5' => HeaderKind::Directory,
            kind @ (b'3' | b'4' | b'6') => {
                let defect = "its device number is invalid";
                let device = (owner(329..337, defect)?, owner(337..345, defect)?);
                HeaderKind::Special(special(kind, device.0, device.1))
            }
            b'L' => HeaderKind::LongName,
            b'K' => HeaderKind::LongLink,
            b'S' => HeaderKind::Sparse,
            b'x' => HeaderKind::Pax,
            b'g' => HeaderKind::GlobalPax,
            _ => HeaderKind::Other,
        };
        let mut path = text(&block[..100]).to_vec();
        // POSIX has the first part of a long path here, GNU has times.
        let prefix = text(&block[345..500]);
        if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let permissions = field(100..108, "its mode is not a number")? & u64::from(PERMISSIONS);
        Ok(Some(Self {
            offset,
            kind,
            path,
            target: text(&block[157..257]).to_vec(),
            mode: u16::try_from(permissions).expect("the mask leaves twelve bits"),
            uid: owner(108..116, "its owner is not a 32-bit number")?,
            gid: owner(116..124, "its group is not a 32-bit number")?,
            size: field(124..136, "its size is not a number")?,
        }))
    }
}

/// The sum of all bytes, with spaces in place of the sum, and the sum of signed bytes, as in old programs.
fn sums(block: &[u8; BLOCK]) -> [u64; 2] {
    let bytes = || {
        let (before, rest) = block.split_at(148);
        before.iter().chain(b"        ").chain(&rest[8..])
    };
    let unsigned: u64 = bytes().map(|byte| u64::from(*byte)).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    [unsigned, u64::try_from(signed).unwrap_or(unsigned)]
}

/// The field up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Parses octal digits between spaces, or a non-negative number in the binary form of GNU.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        let (high, low) = rest.split_at(rest.len().saturating_sub(8));
        let wide = low.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        return high.iter().all(|byte| *byte == 0).then_some(wide);
    }
    let digits = text(field);
    let digits = digits.trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b" 644 \0\0\0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777 ", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-1\0\0\0\0\0\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
