//! PEM: DER in base64 between two lines with a label, surrounded by any text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A PEM block.
pub(super) struct Block<'a> {
    /// The label in its first and last line.
    pub(super) label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    /// Whether it is encrypted in the way of openssl before PKCS#8.
    pub(super) fn is_encrypted(&self) -> bool {
        self.body.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    }

    /// The bytes; `None` if they are not base64.
    pub(super) fn decode(&self) -> Option<Vec<u8>> {
        let digits: String = self.body.split_ascii_whitespace().collect();
        STANDARD.decode(digits).ok()
    }
}

/// The blocks of a text, in order. Blocks without an end are ignored.
pub(super) fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, begun) = rest.split_once(BEGIN)?;
            let (label, body) = begun.split_once(DASHES)?;
            rest = body;
            let Some((body, end)) = body.split_once(END) else { continue };
            if end.strip_prefix(label).is_some_and(|end| end.starts_with(DASHES)) {
                rest = end;
                return Some(Block { label, body });
            }
        }
    })
}
