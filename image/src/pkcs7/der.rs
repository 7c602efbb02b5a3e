//! DER: elements with a tag, a length and a content, which may contain other elements.
//!
//! Supports only what signatures and certificates need: tags of one byte, lengths of up to four. Nothing is
//! copied, and an element cannot extend past its parent. Keys are parsed by `pkcs8` and related crates.

use std::borrow::Cow;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a constructed, context-specific element.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Invalid or unexpected DER.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct DerError {
    /// Offset in the outermost element; for a key in a PKCS#8 structure, in that key.
    pub offset: usize,
    /// The defect.
    pub reason: Cow<'static, str>,
}

impl From<pkcs8::der::Error> for DerError {
    fn from(error: pkcs8::der::Error) -> Self {
        let position = error.position().map_or(0, u32::from);
        Self { offset: position.try_into().unwrap_or(usize::MAX), reason: error.kind().to_string().into() }
    }
}

/// An element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// Its tag.
    pub(super) tag: u8,
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
    /// Its content.
    pub(super) content: Reader<'a>,
}

/// Reads a sequence of elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the outermost element.
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The remaining bytes.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// An error at the current offset.
    pub(super) fn error(&self, reason: &'static str) -> DerError {
        DerError { offset: self.offset, reason: reason.into() }
    }

    /// Whether the next element has this tag.
    pub(super) fn is(&self, tag: u8) -> bool {
        self.bytes.first() == Some(&tag)
    }

    /// The next element, with any tag.
    pub(super) fn any(&mut self) -> Result<Element<'a>, DerError> {
        let cut = self.error("unexpected end");
        let (&tag, rest) = self.bytes.split_first().ok_or_else(|| cut.clone())?;
        if tag & 0x1f == 0x1f {
            return Err(self.error("multi-byte tags are not supported"));
        }
        let (&first, rest) = rest.split_first().ok_or_else(|| cut.clone())?;
        let (length, rest) = match first {
            ..0x80 => (usize::from(first), rest),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let (bytes, rest) = rest.split_at_checked(count).ok_or_else(|| cut.clone())?;
                let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                if length < 0x80 || bytes[0] == 0 {
                    return Err(self.error("a length is not in its shortest form"));
                }
                (length, rest)
            }
            0x80 => return Err(self.error("an indefinite length (BER, not DER)")),
            _ => return Err(self.error("a length of more than four bytes")),
        };
        let header = self.bytes.len() - rest.len();
        let (content, rest) = rest.split_at_checked(length).ok_or(cut)?;
        let whole = &self.bytes[..header + length];
        let content = Reader { bytes: content, offset: self.offset + header };
        *self = Reader { bytes: rest, offset: self.offset + whole.len() };
        Ok(Element { tag, whole, content })
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8, missing: &'static str) -> Result<Element<'a>, DerError> {
        let here = *self;
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(here.error(missing)) }
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn inside(&mut self, tag: u8, missing: &'static str) -> Result<Self, DerError> {
        Ok(self.expect(tag, missing)?.content)
    }

    /// The next element, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.is(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Checks that nothing follows.
    pub(super) fn end(&self) -> Result<(), DerError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.error("trailing data")) }
    }

    /// The next element, the name of an algorithm, and its parameters.
    pub(super) fn algorithm(&mut self, missing: &'static str) -> Result<(&'a [u8], Reader<'a>), DerError> {
        let mut inside = self.inside(SEQUENCE, missing)?;
        let name = inside.inside(OID, missing)?.bytes;
        Ok((name, inside))
    }
}

/// Encodes an element with this content.
pub(super) fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut element = vec![tag];
    match *significant {
        [] => element.push(0),
        [short @ ..0x80] => element.push(short),
        _ => {
            element.push(0x80 | significant.len().to_le_bytes()[0]);
            element.extend_from_slice(significant);
        }
    }
    element.extend(content);
    element
}
