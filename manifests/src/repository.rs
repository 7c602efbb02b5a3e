//! A repository as `/etc/sysupdate/repositories/ID.toml` describes it, and what a node stores about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::Root;
use crate::envelope::{EnvelopeError, Role};
use crate::hint::Hint;
use crate::position::SyntaxError;

/// The maximum size of a repository file in bytes. One with three keys and two mirrors has about 400.
pub const FILE_LIMIT: usize = 64 << 10;

/// How many of [`STRUCTURE`] a repository file may have, in strings and comments as well: each may cost the TOML
/// reader a table, of about a kilobyte. A file with a hundred keys and mirrors has about 400.
const STRUCTURE_MAX: usize = 1024;

/// The characters that make a table, a part of a dotted key, a value or an element, in TOML.
const STRUCTURE: [u8; 5] = [b'.', b',', b'=', b'[', b'{'];

/// A repository that this node trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its identifier: the file's name without `.toml`. Its catalog must contain the same one.
    pub id: String,
    /// Its base URL, with a slash at the end.
    pub url: String,
    /// The base URLs of mirrors, each with a slash at the end.
    pub mirrors: Vec<String>,
    /// The keys that sign its first root.
    pub root: Role,
}

/// A repository that a node trusts: `/etc/sysupdate/repositories/ID.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Repository"))]
pub(crate) struct Document {
    /// The base URL of the repository, `http://`, `https://` or `file://`.
    url: String,
    /// The base URLs of mirrors, in the order to try.
    #[serde(default)]
    mirrors: Vec<String>,
    /// The public keys that sign the first root, in minisign's base64 form.
    keys: Vec<String>,
    /// How many distinct keys must sign the first root.
    #[serde(default = "one")]
    threshold: usize,
}

fn one() -> usize {
    1
}

/// Why a repository file is invalid.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum RepositoryError {
    #[error("{file}: the file has {found} bytes, but a repository file has at most {FILE_LIMIT}")]
    TooLong { file: String, found: usize },
    #[error(
        "{file}: the file has {found} of the characters . , = [ {{ but a repository file has at most {STRUCTURE_MAX}"
    )]
    TooMuch { file: String, found: usize },
    #[error("{file}:{source}")]
    Toml { file: String, source: SyntaxError },
    #[error("{file}: {url:?} is not an http://, https:// or file:// URL")]
    Url { file: String, url: String },
    #[error("{file}: {url:?} is followed by a ? or a #, which a base URL must not contain")]
    Query { file: String, url: String },
    #[error("{file}: {source}")]
    Keys { file: String, source: EnvelopeError },
}

impl Hint for RepositoryError {}

impl Repository {
    /// Reads a repository file; `file` is for messages.
    pub fn parse(id: &str, file: &str, text: &str) -> Result<Self, RepositoryError> {
        if text.len() > FILE_LIMIT {
            return Err(RepositoryError::TooLong { file: file.to_owned(), found: text.len() });
        }
        let found = text.bytes().filter(|byte| STRUCTURE.contains(byte)).count();
        if found > STRUCTURE_MAX {
            return Err(RepositoryError::TooMuch { file: file.to_owned(), found });
        }
        let document: Document = toml::from_str(text).map_err(|error| RepositoryError::Toml {
            file: file.to_owned(),
            source: SyntaxError::toml(text, &error),
        })?;
        let root = Role { threshold: document.threshold, keys: document.keys };
        root.check().map_err(|source| RepositoryError::Keys { file: file.to_owned(), source })?;
        let url = |text: &String| match text.split_once("://") {
            Some(_) if text.contains(['?', '#']) => {
                let url = text.split(['?', '#']).next().unwrap_or_default().to_owned();
                Err(RepositoryError::Query { file: file.to_owned(), url })
            }
            Some(("http" | "https" | "file", rest)) if !rest.is_empty() => {
                Ok(format!("{}/", text.trim_end_matches('/')))
            }
            _ => Err(RepositoryError::Url { file: file.to_owned(), url: text.clone() }),
        };
        Ok(Self {
            id: id.to_owned(),
            url: url(&document.url)?,
            mirrors: document.mirrors.iter().map(url).collect::<Result<_, _>>()?,
            root,
        })
    }

    /// The URLs of a file of the repository, in the order to try.
    pub fn urls(&self, relative: &str) -> Vec<String> {
        std::iter::once(&self.url).chain(&self.mirrors).map(|base| format!("{base}{relative}")).collect()
    }
}

/// What a node stores about a repository, so that it never accepts an older catalog.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Marks {
    /// The keys in `/etc` when the marks were made; other keys make them invalid.
    pub keys: Role,
    /// The last accepted root.
    pub root: Root,
    /// The highest accepted serial under that root.
    pub serial: u64,
    /// The latest accepted signing time.
    pub issued: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn parse(text: &str) -> Result<Repository, RepositoryError> {
        Repository::parse("example", "example.toml", text)
    }

    #[test]
    fn joins_urls_with_one_slash_mirrors_last() {
        let text = format!("url = 'https://a/x'\nmirrors = ['http://b/']\nkeys = ['{KEY}']");
        let repository = parse(&text).unwrap();
        assert_eq!(repository.urls("k/f.raw"), ["https://a/x/k/f.raw", "http://b/k/f.raw"]);
        assert_eq!(repository.root.threshold, 1);
    }

    #[test]
    fn accepts_a_hundred_keys_and_mirrors() {
        let list = |text: &str| format!("[{}]", format!("'{text}', ").repeat(100));
        let mirrors = list("https://mirror.example.org/");
        let repository =
            parse(&format!("url = 'https://a'\nmirrors = {mirrors}\nkeys = {}", list(KEY))).unwrap();
        assert_eq!(repository.mirrors.len(), 100);
    }

    #[test]
    fn explains_what_is_invalid() {
        let cases = [
            (format!("url = 'ftp://a'\nkeys = ['{KEY}']"), "example.toml: \"ftp://a\" is not an http://"),
            ("url = 'https://a'\nkeys = ['x']".to_owned(), "\"x\" is not a minisign public key"),
            (
                "url = 'https://a'\nkeys = []".to_owned(),
                "the threshold is 1; it must be between 1 and the number of distinct keys, which is 0",
            ),
            (
                format!("url = 'https://a'\nthreshold = 2\nkeys = ['{KEY}', '{KEY}']"),
                "the threshold is 2; it must be between 1 and the number of distinct keys, which is 1",
            ),
            (format!("url = 'https://a'\nkey = '{KEY}'"), "unknown field `key`"),
            (
                format!("url = 'https://a/x?token=secret'\nkeys = ['{KEY}']"),
                "\"https://a/x\" is followed by a ? or a #, which a base URL must not contain",
            ),
            (
                format!("# {}", "x".repeat(FILE_LIMIT)),
                "example.toml: the file has 65538 bytes, but a repository file has at most 65536",
            ),
            (
                format!("{}a = 1", "a.".repeat(STRUCTURE_MAX)),
                "the file has 1025 of the characters . , = [ { but a repository file has at most 1024",
            ),
        ];
        for (text, expected) in cases {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
