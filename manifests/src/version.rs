//! Versions and their order: UAPI.10, as systemd's `strverscmp_improved()` implements it.
//!
//! Where the examples of the specification differ from systemd 257 and 262 (`''` and `~`), this module does what
//! systemd does.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hint::Hint;

/// The maximum length of a version in bytes: it must fit into a file name (`NAME_MAX`).
const LENGTH_MAX: usize = 255;

/// A version, as in a file name.
///
/// Two versions are equal if neither is newer, so `01` equals `1` and `1_` equals `1`; compare
/// [`Version::as_str`] where the spelling matters.
#[derive(Clone)]
pub struct Version(String);

/// Why a text is not a version.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum VersionError {
    #[error("the version is empty")]
    Empty,
    #[error("the version has {length} bytes, but a file name has at most {LENGTH_MAX}")]
    Length { length: usize },
    #[error(
        "character {position} of the version {text:?} is {character:?}; allowed are digits, ASCII letters and . ~ ^ + _ , -"
    )]
    Character { text: String, character: char, position: usize },
    #[error("{text:?} is not a version, because it names a directory")]
    Dots { text: String },
}

impl Hint for VersionError {}

/// Compares two texts as versions. The order is total and includes the empty text.
pub fn compare(a: &str, b: &str) -> Ordering {
    Segments::of(a).cmp(Segments::of(b))
}

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `@v` of systemd-sysupdate 257 matches it: it orders `~` and `^`, but ignores names that contain them.
    pub fn is_seen_by_257(&self) -> bool {
        !self.0.contains(['~', '^'])
    }

    /// Whether `@v` of systemd-sysupdate 262 matches it: it accepts `~` and `^`, but no longer `,`.
    pub fn is_seen_by_262(&self) -> bool {
        !self.0.contains(',')
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if let Some((index, character)) = text.chars().enumerate().find(|(_, c)| !is_allowed(*c)) {
            return Err(VersionError::Character { text: shorten(text), character, position: index + 1 });
        }
        if text.len() > LENGTH_MAX {
            return Err(VersionError::Length { length: text.len() });
        }
        if matches!(text, "." | "..") {
            return Err(VersionError::Dots { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<&str> for Version {
    type Error = VersionError;

    fn try_from(text: &str) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Segments::of(&self.0).for_each(|segment| segment.hash(state));
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The characters of a version: those that are compared, and `+`, `_` and `,`, which only separate. A comma is allowed
/// because systemd 257 accepts it.
fn is_allowed(character: char) -> bool {
    u8::try_from(character).is_ok_and(|byte| is_compared(byte) || matches!(byte, b'+' | b'_' | b','))
}

fn is_compared(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'-' | b'^' | b'.')
}

/// Enough of a text to recognise it in a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One step of the comparison: the separators, and the run of letters or digits after them.
///
/// The order of the fields and of the variants *is* the order of versions: a sequence of segments
/// compares like a word in a dictionary, which makes the order total by construction. `false` comes
/// before `true`, so a separator that makes a version older is stored as its absence.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Segment<'a> {
    no_tilde: bool,
    /// `None` at the end of the text: a longer text is newer.
    rest: Option<Rest<'a>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rest<'a> {
    no_dash: bool,
    no_caret: bool,
    no_dot: bool,
    run: Run<'a>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Run<'a> {
    /// ASCII order; a longer run is newer.
    Letters(&'a [u8]),
    /// Without leading zeros, so that the longer number is the larger one.
    Digits(usize, &'a [u8]),
}

/// The segments of a text; the last one has no `rest`.
struct Segments<'a> {
    text: &'a [u8],
    ended: bool,
}

impl<'a> Segments<'a> {
    fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), ended: false }
    }

    fn drop_separator(&mut self, separator: u8) -> bool {
        match self.text.split_first() {
            Some((first, rest)) if *first == separator => {
                self.text = rest;
                false
            }
            _ => true,
        }
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.text.iter().position(|byte| !belongs(*byte)).unwrap_or(self.text.len());
        let (run, rest) = self.text.split_at(end);
        self.text = rest;
        run
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if self.ended {
            return None;
        }
        self.take_while(|byte| !is_compared(byte));
        let no_tilde = self.drop_separator(b'~');
        if self.text.is_empty() {
            self.ended = true;
            return Some(Segment { no_tilde, rest: None });
        }
        let no_dash = self.drop_separator(b'-');
        let no_caret = self.drop_separator(b'^');
        let no_dot = self.drop_separator(b'.');
        let run = if self.text.first().is_some_and(u8::is_ascii_digit) {
            let digits = self.take_while(|byte| byte.is_ascii_digit());
            let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
            Run::Digits(digits.len() - zeros, &digits[zeros..])
        } else {
            Run::Letters(self.take_while(|byte| byte.is_ascii_alphabetic()))
        };
        Some(Segment { no_tilde, rest: Some(Rest { no_dash, no_caret, no_dot, run }) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// Every pair of a chain, both ways round.
    fn assert_ascending(chain: &[&str]) {
        for (i, a) in chain.iter().enumerate() {
            for (j, b) in chain.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn the_chain_that_systemd_documents() {
        assert_ascending(&[
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ]);
    }

    #[test]
    fn orders_the_examples_of_the_specification_as_systemd() {
        let cases = [
            ("11", "11", Ordering::Equal),
            ("systemd-123", "systemd-123", Ordering::Equal),
            ("bar-123", "foo-123", Ordering::Less),
            ("123a", "123", Ordering::Greater),
            ("123.a", "123", Ordering::Greater),
            ("123.a", "123.b", Ordering::Less),
            ("123a", "123.a", Ordering::Greater),
            ("11α", "11β", Ordering::Equal),
            ("B", "a", Ordering::Less),
            ("", "", Ordering::Equal),
            ("0", "", Ordering::Greater),
            ("0.", "0", Ordering::Greater),
            ("0.0", "0", Ordering::Greater),
            ("0", "~", Ordering::Greater),
            ("", "~", Ordering::Greater),
            ("1_", "1", Ordering::Equal),
            ("_1", "1", Ordering::Equal),
            ("1_", "1.2", Ordering::Less),
            ("1_2_3", "1.3.3", Ordering::Greater),
            ("1+", "1", Ordering::Equal),
            ("+1", "1", Ordering::Equal),
            ("1+", "1.2", Ordering::Less),
            ("1+2+3", "1.3.3", Ordering::Greater),
        ];
        for (a, b, answer) in cases {
            assert_eq!(compare(a, b), answer, "{a:?} against {b:?}");
            assert_eq!(compare(b, a), answer.reverse(), "{b:?} against {a:?}");
        }
    }

    #[test]
    fn revisions_and_builds_stay_below_the_next_patch() {
        assert_ascending(&["1.32.1", "1.32.1-2", "1.32.1+k3s1", "1.32.10"]);
    }

    #[test]
    fn a_release_candidate_is_older_only_after_a_tilde() {
        assert_ascending(&["1.33.0~rc.1", "1.33.0", "1.33.0-rc.1", "1.33.1"]);
    }

    /// Every text of up to four characters over an alphabet that has each kind once.
    fn generated() -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut start = 0;
        for _ in 0..4 {
            let end = texts.len();
            for i in start..end {
                for character in ['0', '1', 'a', 'B', '~', '-', '^', '.', '+'] {
                    texts.push(format!("{}{character}", texts[i]));
                }
            }
            start = end;
        }
        texts
    }

    #[test]
    fn the_order_is_total_antisymmetric_and_transitive() {
        let mut texts = generated();
        texts.sort_by(|a, b| compare(a, b));
        // Numbering the classes of equal neighbours, an order is total exactly if every pair agrees with the numbers
        let mut class = 0;
        let mut numbered = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            if index > 0 && compare(&texts[index - 1], text).is_ne() {
                class += 1;
            }
            numbered.push((class, text));
        }
        // Every pair of 7381 texts is 54 million: a stride that shares no factor with it sees all distances
        for (i, (class_a, a)) in numbered.iter().enumerate() {
            for (class_b, b) in numbered.iter().skip(i % 61).step_by(61) {
                assert_eq!(compare(a, b), class_a.cmp(class_b), "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn equal_versions_have_one_hash() {
        let set: HashSet<Version> = ["1", "01", "1_", "+1", "2"].map(version).into_iter().collect();
        assert_eq!(set.len(), 2);
        assert_eq!(version("1.0+k"), version("1.00_k"));
        assert_ne!(version("1.2"), version("v1.2"));
    }

    #[test]
    fn explains_invalid_versions() {
        let message = |text: &str| text.parse::<Version>().unwrap_err().to_string();
        assert_eq!(message(""), "the version is empty");
        assert_eq!(
            message("1.2/3"),
            "character 4 of the version \"1.2/3\" is '/'; allowed are digits, ASCII letters and . ~ ^ + _ , -"
        );
        assert!(message("1é2 ").starts_with("character 2 of the version \"1é2 \" is 'é'"));
        assert_eq!(message(".."), "\"..\" is not a version, because it names a directory");
        assert_eq!(message(&"1".repeat(256)), "the version has 256 bytes, but a file name has at most 255");
        assert!(message(&"é".repeat(10_000)).len() < 400);
    }

    #[test]
    fn systemd_257_passes_over_tilde_and_caret() {
        assert!(["1.32.1-2", "1+k3s1", "1_2", "1,2"].iter().all(|text| version(text).is_seen_by_257()));
        assert!(!version("1.33.0~rc.1").is_seen_by_257() && !version("1^post").is_seen_by_257());
    }

    #[test]
    fn systemd_262_passes_over_a_comma() {
        let seen = ["1.32.1-2", "1+k3s1", "1_2", "1.33.0~rc.1", "1^post"];
        assert!(seen.iter().all(|text| version(text).is_seen_by_262()));
        assert!(!version("1,2").is_seen_by_262());
    }

    #[test]
    fn serde_is_the_string() {
        let parsed: Version = serde_json::from_str("\"v1.2~rc1\"").unwrap();
        assert_eq!(parsed.as_str(), "v1.2~rc1");
        assert_eq!(serde_json::to_string(&parsed).unwrap(), "\"v1.2~rc1\"");
        assert!(serde_json::from_str::<Version>("\"a b\"").unwrap_err().to_string().contains("' '"));
    }
}
