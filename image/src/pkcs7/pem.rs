//! PEM: DER in base64 between two lines that say what it is, with any text around.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What stands between two such lines.
pub(super) struct Block<'a> {
    /// What it is said to be.
    pub(super) label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    /// Whether it is encrypted by what openssl did before PKCS#8.
    pub(super) fn is_encrypted(&self) -> bool {
        self.body.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    }

    /// The bytes; none if they are not base64.
    pub(super) fn decode(&self) -> Option<Vec<u8>> {
        let digits: String = self.body.split_ascii_whitespace().collect();
        STANDARD.decode(digits).ok()
    }
}

/// The blocks of a text, in their order. What has no end is none.
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
