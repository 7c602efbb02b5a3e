//! Wildcards, their values, and how these are written in a name.

use std::fmt;

use super::Sha256;
use super::Version;
use crate::ini;

/// A wildcard of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wildcard {
    /// `@v`, the version.
    Version,
    /// `@u`, the partition's UUID.
    PartitionUuid,
    /// `@f`, the partition's flags.
    PartitionFlags,
    /// `@a`, the partition's no-auto flag.
    NoAuto,
    /// `@g`, the partition's grow-file-system flag.
    GrowFileSystem,
    /// `@r`, the read-only flag.
    ReadOnly,
    /// `@t`, the modification time.
    ModifiedTime,
    /// `@m`, the access mode.
    Mode,
    /// `@s`, the size after decompression.
    Size,
    /// `@d`, boot attempts done.
    TriesDone,
    /// `@l`, boot attempts left.
    TriesLeft,
    /// `@h`, the SHA-256 digest.
    Sha256,
}

/// The values of a pattern's wildcards in one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captures {
    /// `@v`.
    pub version: Version,
    /// `@u`.
    pub partition_uuid: Option<PartitionUuid>,
    /// `@f`.
    pub partition_flags: Option<u64>,
    /// `@a`.
    pub no_auto: Option<bool>,
    /// `@g`.
    pub grow_file_system: Option<bool>,
    /// `@r`.
    pub read_only: Option<bool>,
    /// `@t`, microseconds since 1970.
    pub mtime: Option<u64>,
    /// `@m`, no bits outside 0775.
    pub mode: Option<u32>,
    /// `@s`, bytes.
    pub size: Option<u64>,
    /// `@d`.
    pub tries_done: Option<u64>,
    /// `@l`.
    pub tries_left: Option<u64>,
    /// `@h`.
    pub sha256: Option<Sha256>,
}

/// The UUID of a GPT partition. It is written as 32 hexadecimal digits; dashes are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionUuid(pub u128);

/// A name never makes a file world-writable or setuid.
const MODE_MASK: u32 = 0o775;

const LETTERS: [(char, Wildcard); 12] = [
    ('v', Wildcard::Version),
    ('u', Wildcard::PartitionUuid),
    ('f', Wildcard::PartitionFlags),
    ('a', Wildcard::NoAuto),
    ('g', Wildcard::GrowFileSystem),
    ('r', Wildcard::ReadOnly),
    ('t', Wildcard::ModifiedTime),
    ('m', Wildcard::Mode),
    ('s', Wildcard::Size),
    ('d', Wildcard::TriesDone),
    ('l', Wildcard::TriesLeft),
    ('h', Wildcard::Sha256),
];

impl Wildcard {
    pub(super) fn of_letter(letter: char) -> Option<Self> {
        LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, wildcard)| *wildcard)
    }

    pub(super) fn listing() -> String {
        LETTERS.map(|(letter, _)| format!("@{letter}")).join(" ")
    }

    /// The character after the `@`.
    pub const fn letter(self) -> char {
        match self {
            Self::Version => 'v',
            Self::PartitionUuid => 'u',
            Self::PartitionFlags => 'f',
            Self::NoAuto => 'a',
            Self::GrowFileSystem => 'g',
            Self::ReadOnly => 'r',
            Self::ModifiedTime => 't',
            Self::Mode => 'm',
            Self::Size => 's',
            Self::TriesDone => 'd',
            Self::TriesLeft => 'l',
            Self::Sha256 => 'h',
        }
    }

    /// Its meaning in words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Version => "the version",
            Self::PartitionUuid => "the partition UUID",
            Self::PartitionFlags => "the partition flags",
            Self::NoAuto => "the no-auto flag",
            Self::GrowFileSystem => "the grow-file-system flag",
            Self::ReadOnly => "the read-only flag",
            Self::ModifiedTime => "the modification time",
            Self::Mode => "the access mode",
            Self::Size => "the size",
            Self::TriesDone => "the boot attempts done",
            Self::TriesLeft => "the boot attempts left",
            Self::Sha256 => "the SHA-256 digest",
        }
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.letter())
    }
}

impl Captures {
    /// Only a version.
    pub fn of(version: Version) -> Self {
        Self {
            version,
            partition_uuid: None,
            partition_flags: None,
            no_auto: None,
            grow_file_system: None,
            read_only: None,
            mtime: None,
            mode: None,
            size: None,
            tries_done: None,
            tries_left: None,
            sha256: None,
        }
    }

    /// A wildcard's value as it is written in a name.
    pub(super) fn value(&self, wildcard: Wildcard) -> Option<String> {
        let flag = |value: bool| u8::from(value).to_string();
        match wildcard {
            Wildcard::Version => Some(self.version.to_string()),
            Wildcard::PartitionUuid => self.partition_uuid.map(|value| value.to_string()),
            Wildcard::PartitionFlags => self.partition_flags.map(|value| format!("{value:x}")),
            Wildcard::NoAuto => self.no_auto.map(flag),
            Wildcard::GrowFileSystem => self.grow_file_system.map(flag),
            Wildcard::ReadOnly => self.read_only.map(flag),
            Wildcard::ModifiedTime => self.mtime.map(|value| value.to_string()),
            Wildcard::Mode => self.mode.map(|value| format!("{value:03o}")),
            Wildcard::Size => self.size.map(|value| value.to_string()),
            Wildcard::TriesDone => self.tries_done.map(|value| value.to_string()),
            Wildcard::TriesLeft => self.tries_left.map(|value| value.to_string()),
            Wildcard::Sha256 => self.sha256.map(|value| value.to_string()),
        }
    }
}

impl PartitionUuid {
    /// Reads 32 hexadecimal digits, with or without dashes.
    pub fn parse(text: &str) -> Option<Self> {
        uuid(text)
    }
}

impl fmt::Display for PartitionUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Values while a name is being matched.
#[derive(Default)]
pub(super) struct Partial(Option<Captures>, Vec<(Wildcard, String)>);

impl Partial {
    /// Adds a value; `None` if it is no valid version.
    pub(super) fn take(&mut self, wildcard: Wildcard, value: &str) -> Option<()> {
        if wildcard == Wildcard::Version {
            self.0 = Some(Captures::of(value.parse().ok()?));
        } else {
            self.1.push((wildcard, value.to_owned()));
        }
        Some(())
    }

    /// All values, if there is a version.
    pub(super) fn complete(self) -> Option<Captures> {
        let mut captures = self.0?;
        fill(&mut captures, &self.1)?;
        Some(captures)
    }

    /// Whether the values so far are valid.
    pub(super) fn are_valid(&self) -> bool {
        // Any version serves here.
        let known = self.0.clone().or_else(|| "0".parse().ok().map(Captures::of));
        known.is_some_and(|mut captures| fill(&mut captures, &self.1).is_some())
    }
}

fn fill(captures: &mut Captures, values: &[(Wildcard, String)]) -> Option<()> {
    for (wildcard, value) in values {
        let value = value.as_str();
        match wildcard {
            Wildcard::Version => {}
            Wildcard::PartitionUuid => captures.partition_uuid = Some(uuid(value)?),
            Wildcard::PartitionFlags => captures.partition_flags = Some(hexadecimal(value)?),
            Wildcard::NoAuto => captures.no_auto = Some(ini::boolean(value)?),
            Wildcard::GrowFileSystem => captures.grow_file_system = Some(ini::boolean(value)?),
            Wildcard::ReadOnly => captures.read_only = Some(ini::boolean(value)?),
            Wildcard::ModifiedTime => captures.mtime = Some(number(value)?),
            Wildcard::Mode => captures.mode = Some(mode(value)?),
            Wildcard::Size => captures.size = Some(number(value)?),
            Wildcard::TriesDone => captures.tries_done = Some(number(value)?),
            Wildcard::TriesLeft => captures.tries_left = Some(number(value)?),
            Wildcard::Sha256 => captures.sha256 = Some(Sha256::from_hex(value).ok()?),
        }
    }
    Some(())
}

/// A number as systemd reads it: a plus sign is allowed, `0x`, `0o`, `0b` and a leading zero set the base.
/// The largest value means "not set" there, so it is rejected.
pub(crate) fn number(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let prefixed = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    let (digits, base) = if let Some(digits) = prefixed(["0x", "0X"]) {
        (digits, 16)
    } else if let Some(digits) = prefixed(["0o", "0O"]) {
        (digits, 8)
    } else if let Some(digits) = prefixed(["0b", "0B"]) {
        (digits, 2)
    } else if text.starts_with('0') {
        (text, 8)
    } else {
        (text, 10)
    };
    digits_of(digits, base).filter(|value| *value != u64::MAX)
}

pub(crate) fn hexadecimal(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    digits_of(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text), 16)
}

/// Digits only: Rust would accept another plus sign.
fn digits_of(digits: &str, base: u32) -> Option<u64> {
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, base).ok() }
}

fn mode(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u32::from_str_radix(text, 8).ok().filter(|mode| mode & !MODE_MASK == 0)
}

fn uuid(text: &str) -> Option<PartitionUuid> {
    let mut digits = String::with_capacity(32);
    for (index, character) in text.chars().enumerate() {
        let is_dash = text.len() == 36 && matches!(index, 8 | 13 | 18 | 23);
        match character {
            '-' if is_dash => {}
            _ if !is_dash && character.is_ascii_hexdigit() => digits.push(character),
            _ => return None,
        }
    }
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(PartitionUuid)
}
