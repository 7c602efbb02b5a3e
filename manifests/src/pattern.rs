//! Match patterns of systemd-sysupdate: `kubernetes-@v-x86-64.raw` names new instances and matches existing ones.
//!
//! A wildcard ends at the first occurrence of the literal text that follows it; there is no backtracking. The whole
//! name must match, as in systemd 262 (257 accepts a prefix). A pattern may name subdirectories (`@v/image.raw`) or
//! match at any depth (`**/image-@v.raw`).

use std::fmt;
use std::str::FromStr;

use crate::digest::Sha256;
use crate::hint::Hint;
use crate::version::Version;

mod wildcard;

pub(crate) use wildcard::number as systemd_number;
pub use wildcard::{Captures, PartitionUuid, Wildcard};

/// The longest pattern and the longest name in a directory, in bytes: `NAME_MAX`.
const LENGTH_MAX: usize = 255;

/// The start of a pattern that matches names at any depth.
const ANY_DEPTH: &str = "**/";

/// One pattern, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    depth: Depth,
    elements: Vec<Element>,
}

/// At which depth a pattern matches names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// At the depth of its slashes.
    Fixed,
    /// At any depth: only the last part of a path is compared.
    Any,
}

/// Whether a path matches: systemd's NO, YES, RETRY, and YES_AND_RETRY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Neither the path nor anything below it is an instance.
    Nothing,
    /// The path is an instance.
    Instance(Captures),
    /// The path is not an instance, but there may be instances below it.
    Leads,
    /// The path is an instance, and there may be other instances below it.
    InstanceAndLeads(Captures),
}

/// One or more patterns: the first one names new instances, all of them match existing ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns {
    first: Pattern,
    others: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    Literal(String),
    Wildcard(Wildcard),
    Slash,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum PatternError {
    #[error("no pattern given")]
    Empty,
    #[error("unknown wildcard @{character} in pattern {pattern:?}")]
    Unknown { pattern: String, character: char },
    #[error("wildcard {wildcard} is used twice in pattern {pattern:?}")]
    Repeated { pattern: String, wildcard: Wildcard },
    #[error("wildcards {first} and {second} need text between them in pattern {pattern:?}")]
    Adjacent { pattern: String, first: Wildcard, second: Wildcard },
    #[error("character {position} of pattern {pattern:?} is {character:?}, which is not allowed in patterns")]
    Character { pattern: String, character: char, position: usize },
    #[error("{part:?} in pattern {pattern:?} cannot be the name of a directory or file")]
    Part { pattern: String, part: String },
    #[error("pattern {pattern:?} has a '/' after **/, which already matches all directories")]
    DepthTwice { pattern: String },
    #[error("pattern {pattern:?} ends in a single @")]
    TrailingAt { pattern: String },
    #[error("pattern {pattern:?} lacks @v, the version")]
    NoVersion { pattern: String },
    #[error("the pattern has {length} bytes, but a file name has at most {LENGTH_MAX}")]
    Length { length: usize },
}

impl Hint for PatternError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some(format!("wildcards are {}; write @@ for an @", Wildcard::listing())),
            Self::TrailingAt { .. } => Some("write @@ for an @".to_owned()),
            Self::Character { .. } => {
                Some("printable ASCII is allowed, except $ * ? [ ] ! \\ | which are reserved".to_owned())
            }
            Self::NoVersion { .. } => Some("write @v in place of the version".to_owned()),
            Self::Part { .. } => Some(
                "a pattern is relative to Path=: no '/' at its ends, no '//', no '.' and no '..'".to_owned(),
            ),
            Self::DepthTwice { .. } => Some("omit **/, or everything between it and the last '/'".to_owned()),
            Self::Empty | Self::Repeated { .. } | Self::Adjacent { .. } | Self::Length { .. } => None,
        }
    }
}

/// Why an instance cannot be named.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum FormatError {
    #[error("pattern {pattern:?} needs {wildcard} ({what}), which is unknown for version {version}", what = wildcard.meaning())]
    Missing { pattern: String, wildcard: Wildcard, version: Version },
    #[error("pattern {pattern:?} turns version {version} into {name:?}, which it would not match")]
    Ambiguous { pattern: String, name: String, version: Version },
    #[error(
        "pattern {pattern:?} results in a name of {length} bytes, but a file name has at most {LENGTH_MAX}"
    )]
    Length { pattern: String, length: usize },
}

impl Hint for FormatError {}

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern uses a wildcard.
    pub fn uses(&self, wildcard: Wildcard) -> bool {
        self.elements.contains(&Element::Wildcard(wildcard))
    }

    /// The text with which every path starts that matches.
    pub fn literal_prefix(&self) -> &str {
        match (self.depth, self.elements.first()) {
            (Depth::Fixed, Some(Element::Literal(first))) => first,
            _ => "",
        }
    }

    /// The values of the wildcards in a path, if it matches.
    pub fn matches(&self, path: &str) -> Option<Captures> {
        // A manifest has thousands of names, most of which match other patterns.
        if !path.starts_with(self.literal_prefix()) {
            return None;
        }
        self.look(path).instance()
    }

    /// Whether a path matches; it is relative to the directory that is searched.
    pub fn look(&self, path: &str) -> Match {
        match self.depth {
            Depth::Fixed => self.compare(path),
            Depth::Any => {
                let name = path.rsplit('/').next().unwrap_or(path);
                // There may always be instances below it.
                Match::Leads.or(self.compare(name))
            }
        }
    }

    /// The pattern for a target's directory, without `**/`.
    #[must_use]
    pub fn of_target(&self) -> Self {
        let text = self.text.strip_prefix(ANY_DEPTH).unwrap_or(&self.text).to_owned();
        Self { text, depth: Depth::Fixed, elements: self.elements.clone() }
    }

    fn compare(&self, path: &str) -> Match {
        self.walk(path).unwrap_or(Match::Nothing)
    }

    fn walk(&self, path: &str) -> Option<Match> {
        let mut captures = wildcard::Partial::default();
        let mut left = path;
        let mut elements = self.elements.iter().peekable();
        while let Some(element) = elements.next() {
            match element {
                Element::Literal(literal) => left = left.strip_prefix(literal.as_str())?,
                Element::Slash if left.is_empty() => {
                    // If the values so far are invalid, nothing below can match.
                    return captures.are_valid().then_some(Match::Leads);
                }
                Element::Slash => left = left.strip_prefix('/')?,
                Element::Wildcard(wildcard) => {
                    let end = match elements.peek() {
                        Some(Element::Literal(literal)) => left.find(literal.as_str())?,
                        Some(Element::Slash) => left.find('/').unwrap_or(left.len()),
                        _ => left.len(),
                    };
                    let (value, rest) = left.split_at(end);
                    captures.take(*wildcard, value)?;
                    left = rest;
                }
            }
        }
        if left.is_empty() { captures.complete().map(Match::Instance) } else { None }
    }

    /// The name of an instance, which [`Pattern::matches`] then matches.
    pub fn format(&self, captures: &Captures) -> Result<String, FormatError> {
        let mut name = String::new();
        for element in &self.elements {
            match element {
                Element::Literal(literal) => name.push_str(literal),
                Element::Slash => name.push('/'),
                Element::Wildcard(wildcard) => {
                    name.push_str(&captures.value(*wildcard).ok_or_else(|| FormatError::Missing {
                        pattern: self.text.clone(),
                        wildcard: *wildcard,
                        version: captures.version.clone(),
                    })?);
                }
            }
        }
        if let Some(part) = name.split('/').find(|part| part.len() > LENGTH_MAX) {
            return Err(FormatError::Length { pattern: self.text.clone(), length: part.len() });
        }
        // A version may contain the literal text after it, as in `x-@v-y` and the version `1-y`.
        match self.matches(&name) {
            Some(found) if found.version.as_str() == captures.version.as_str() => Ok(name),
            _ => Err(FormatError::Ambiguous {
                pattern: self.text.clone(),
                name,
                version: captures.version.clone(),
            }),
        }
    }
}

impl Match {
    /// The instance, if the path is one.
    pub fn instance(self) -> Option<Captures> {
        match self {
            Self::Instance(captures) | Self::InstanceAndLeads(captures) => Some(captures),
            Self::Nothing | Self::Leads => None,
        }
    }

    /// Whether there may be instances below it.
    pub fn leads(&self) -> bool {
        matches!(self, Self::Leads | Self::InstanceAndLeads(_))
    }

    fn or(self, other: Self) -> Self {
        let leads = self.leads() || other.leads();
        match (self.instance().or(other.instance()), leads) {
            (None, false) => Self::Nothing,
            (None, true) => Self::Leads,
            (Some(captures), false) => Self::Instance(captures),
            (Some(captures), true) => Self::InstanceAndLeads(captures),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > LENGTH_MAX {
            return Err(PatternError::Length { length: text.len() });
        }
        let pattern = || text.to_owned();
        let (depth, names) = match text.strip_prefix(ANY_DEPTH) {
            Some(names) => (Depth::Any, names),
            None => (Depth::Fixed, text),
        };
        if depth == Depth::Any && names.contains('/') {
            return Err(PatternError::DepthTwice { pattern: pattern() });
        }
        let is_name = |part: &&str| !matches!(*part, "" | "." | "..");
        if let Some(part) = names.split('/').find(|part| names.contains('/') && !is_name(part)) {
            return Err(PatternError::Part { pattern: pattern(), part: part.to_owned() });
        }
        let skipped = text.len() - names.len();
        let mut elements: Vec<Element> = Vec::new();
        let mut characters = names.chars().enumerate();
        while let Some((index, character)) = characters.next() {
            let literal = if character == '@' {
                match characters.next() {
                    None => return Err(PatternError::TrailingAt { pattern: pattern() }),
                    Some((_, '@')) => '@',
                    Some((_, letter)) => {
                        let wildcard = Wildcard::of_letter(letter)
                            .ok_or_else(|| PatternError::Unknown { pattern: pattern(), character: letter })?;
                        if elements.contains(&Element::Wildcard(wildcard)) {
                            return Err(PatternError::Repeated { pattern: pattern(), wildcard });
                        }
                        if let Some(Element::Wildcard(first)) = elements.last() {
                            let (first, second) = (*first, wildcard);
                            return Err(PatternError::Adjacent { pattern: pattern(), first, second });
                        }
                        elements.push(Element::Wildcard(wildcard));
                        continue;
                    }
                }
            } else if character == '/' {
                elements.push(Element::Slash);
                continue;
            } else {
                character
            };
            if !is_literal(literal) {
                let position = skipped + index + 1;
                return Err(PatternError::Character { pattern: pattern(), character, position });
            }
            match elements.last_mut() {
                Some(Element::Literal(run)) => run.push(literal),
                _ => elements.push(Element::Literal(literal.to_string())),
            }
        }
        if !elements.contains(&Element::Wildcard(Wildcard::Version)) {
            return Err(PatternError::NoVersion { pattern: pattern() });
        }
        Ok(Self { text: pattern(), depth, elements })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Patterns {
    /// Several patterns; duplicates are removed.
    pub fn new(patterns: impl IntoIterator<Item = Pattern>) -> Result<Self, PatternError> {
        let mut patterns = patterns.into_iter();
        let first = patterns.next().ok_or(PatternError::Empty)?;
        let mut others = Vec::new();
        for pattern in patterns {
            if pattern != first && !others.contains(&pattern) {
                others.push(pattern);
            }
        }
        Ok(Self { first, others })
    }

    /// The pattern that names new instances.
    pub fn first(&self) -> &Pattern {
        &self.first
    }

    /// All patterns in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Whether any pattern uses a wildcard.
    pub fn uses(&self, wildcard: Wildcard) -> bool {
        self.iter().any(|pattern| pattern.uses(wildcard))
    }

    /// The values of the wildcards in a path, by the first pattern that matches.
    pub fn matches(&self, path: &str) -> Option<Captures> {
        self.iter().find_map(|pattern| pattern.matches(path))
    }

    /// Whether a path matches any pattern. The order of the patterns only matters if several match: the first one then
    /// determines the values.
    pub fn look(&self, path: &str) -> Match {
        self.iter().fold(Match::Nothing, |found, pattern| found.or(pattern.look(path)))
    }

    /// The patterns for a target's directory, without `**/`.
    #[must_use]
    pub fn of_target(&self) -> Self {
        let others = self.others.iter().map(Pattern::of_target);
        let first = self.first.of_target();
        let mut kept: Vec<Pattern> = Vec::new();
        for other in others {
            if other != first && !kept.contains(&other) {
                kept.push(other);
            }
        }
        Self { first, others: kept }
    }

    /// The name of a new instance.
    pub fn format(&self, captures: &Captures) -> Result<String, FormatError> {
        self.first.format(captures)
    }
}

impl FromStr for Patterns {
    type Err = PatternError;

    /// Patterns separated by white space.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?)
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.others.iter().try_for_each(|pattern| write!(f, " {pattern}"))
    }
}

/// Printable ASCII without the characters of other pattern languages, which systemd reserves.
fn is_literal(character: char) -> bool {
    matches!(character, ' '..='~') && !matches!(character, '$' | '*' | '?' | '[' | ']' | '!' | '\\' | '|')
}

#[cfg(test)]
mod tests;
