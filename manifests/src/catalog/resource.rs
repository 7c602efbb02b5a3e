//! Files of a repository. A file's URL is appended to the URLs of the repository and its mirrors, so it must not lead
//! out of them, neither as written nor as a server or proxy decodes it.

use super::{Catalog, Resource};
use crate::hint::Hint;

/// Why a URL does not name a file below the repository.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum UrlError {
    #[error("it starts with a slash")]
    Absolute,
    #[error("it has a scheme")]
    Scheme,
    #[error("a part of it is empty")]
    Empty,
    #[error("it contains . or .. as a part")]
    Dots,
    #[error("it has a backslash")]
    Backslash,
    #[error("it has a ? or a #")]
    Query,
    #[error("it contains an invalid escape, or an escaped dot, slash or similar character")]
    Escape,
    #[error("it contains a space or a control character")]
    Control,
}

impl Hint for UrlError {}

impl Resource {
    /// The file's name: the last part of its URL.
    pub fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }

    /// Whether the URL is a path below the repository.
    pub fn check_url(&self) -> Result<(), UrlError> {
        check(&self.url)
    }
}

impl Catalog {
    /// The first file with an invalid URL, and its extension.
    pub(crate) fn check_urls(&self) -> Result<(), (&str, &Resource, UrlError)> {
        for (name, extension) in &self.extensions {
            for instance in &extension.instances {
                let deltas = instance.deltas.iter().map(|delta| &delta.resource);
                for resource in std::iter::once(&instance.image).chain(&instance.transport).chain(deltas) {
                    resource.check_url().map_err(|error| (name.as_str(), resource, error))?;
                }
            }
        }
        Ok(())
    }
}

fn check(url: &str) -> Result<(), UrlError> {
    if url.starts_with('/') {
        return Err(UrlError::Absolute);
    }
    if url.bytes().any(|byte| byte == b'\\') {
        return Err(UrlError::Backslash);
    }
    if url.bytes().any(|byte| matches!(byte, b'?' | b'#')) {
        return Err(UrlError::Query);
    }
    // There are control characters outside ASCII too, which terminals obey.
    if url.chars().any(|c| c == ' ' || c.is_control()) {
        return Err(UrlError::Control);
    }
    if url.split('%').skip(1).any(|rest| decoded(rest).is_none_or(has_meaning)) {
        return Err(UrlError::Escape);
    }
    if url.split('/').next().is_some_and(|first| first.contains(':')) {
        return Err(UrlError::Scheme);
    }
    url.split('/').try_for_each(|part| match part {
        "" => Err(UrlError::Empty),
        "." | ".." => Err(UrlError::Dots),
        _ => Ok(()),
    })
}

/// The byte that an escape encodes; `rest` is the text after its `%`.
fn decoded(rest: &str) -> Option<u8> {
    // `from_str_radix` would accept a sign.
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// Whether a byte has a special meaning in a path, which an escape must not hide.
fn has_meaning(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b'.' | b'/' | b'\\' | b'?' | b'#' | b'%' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    #[test]
    fn accepts_what_bakery_publishes() {
        for url in
            ["k/k-1.raw", "k-1.raw", "k/1.33.0~rc.1^2+x_y,z.raw", "a/b/c:d", "ü/x", "k/a%20b%C3%BC", "..."]
        {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn the_file_name_is_the_last_part() {
        for (url, expected) in
            [("k/k-1.raw", "k-1.raw"), ("a/b/c:d", "c:d"), ("k-1.raw", "k-1.raw"), ("k/", "")]
        {
            let resource = Resource { url: url.to_owned(), size: 1, sha256: Sha256::of(b"") };
            assert_eq!(resource.file_name(), expected);
        }
    }

    #[test]
    fn rejects_what_leads_elsewhere() {
        let cases = [
            (UrlError::Absolute, &["/k/k-1.raw", "//elsewhere/k", "/"][..]),
            (UrlError::Scheme, &["https://elsewhere/k", "file:k", "C:/k", ":"]),
            (UrlError::Empty, &["", "k//k-1.raw", "k/"]),
            (UrlError::Dots, &["..", "../k", "k/../../k", "k/..", "./k", "k/./k"]),
            (UrlError::Backslash, &["..\\k", "k\\k"]),
            (UrlError::Query, &["k?x=1", "k#x", "?", "k/?/../k"]),
            (
                UrlError::Escape,
                &[
                    "%2e%2E/k",
                    "k%2fk",
                    "k%2F..",
                    "k%5ck",
                    "%252e",
                    "k%3fx",
                    "k%23",
                    "k%00",
                    "k%0a",
                    "%68ttp%3a",
                    "k%",
                    "k%2",
                    "k%zz",
                    "k%+1",
                    "k%é",
                ],
            ),
            (UrlError::Control, &["k k", "k\n", "k\r\nX: y", "\0", "k\u{9b}"]),
        ];
        for (error, urls) in cases {
            for url in urls {
                assert_eq!(check(url), Err(error), "{url:?}");
            }
        }
    }
}
