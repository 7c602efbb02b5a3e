//! `SHA256SUMS`: the manifest that stock systemd-sysupdate reads.
//!
//! It is read as strictly as by systemd 262: one invalid line makes the whole file invalid, since it may have been
//! truncated or altered. `bakery` can also read a file leniently, to repair it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::digest::{DigestError, Sha256};
use crate::hint::Hint;

/// The manifest's name below the source's URL.
pub const FILE_NAME: &str = "SHA256SUMS";

/// An entry of this name and a date, `BEST-BEFORE-2026-12-04`, says when the manifest expires.
const BEST_BEFORE: &str = "BEST-BEFORE-";

/// How many invalid lines a lenient reading reports; the others are only counted.
pub const SKIPPED_MAX: usize = 256;

/// The hexadecimal digits of a digest.
const DIGEST_LENGTH: usize = 64;

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// The files in the order of the lines, without the expiry date.
    pub entries: Vec<Entry>,
    /// The manifest expires at the start of this day (UTC). The earliest date, if there are several.
    pub best_before: Option<Date>,
}

/// A line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A file name, or a relative path without `.` and `..`.
    pub name: String,
    /// The digest of the file's bytes.
    pub sha256: Sha256,
}

/// Why a manifest is invalid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ChecksumsError {
    #[error("line {line} is not UTF-8")]
    NotText { line: usize },
    #[error("line {line} contains a NUL byte")]
    Nul { line: usize },
    #[error("line {line} has no newline at the end; the file may be truncated")]
    Truncated { line: usize },
    #[error("line {line} is empty")]
    Blank { line: usize },
    #[error("line {line} starts with a backslash; escaped file names are not accepted")]
    Escaped { line: usize },
    #[error("line {line} does not start with a digest: {reason}")]
    Digest { line: usize, reason: DigestError },
    #[error("line {line} has no \"  \" or \" *\" after the digest")]
    Separator { line: usize },
    #[error("line {line} names no file")]
    NoName { line: usize },
    #[error("line {line}: the file name {name:?} contains a control character")]
    Control { line: usize, name: String },
    #[error("line {line}: {name:?} is not a file name or a normalized relative path")]
    Path { line: usize, name: String },
    #[error("line {line}: {name:?} was listed before with another digest")]
    Contradiction { line: usize, name: String },
}

impl Hint for ChecksumsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Control { name, .. } if name.ends_with('\r') => {
                Some("lines must end in a newline, not in a carriage return and a newline".to_owned())
            }
            Self::Truncated { .. } => {
                Some("download it again; a complete SHA256SUMS ends in a newline".to_owned())
            }
            _ => None,
        }
    }
}

/// Something suspicious that does not make a manifest invalid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ChecksumsWarning {
    #[error("line {line}: {name:?} has no valid date, ignored")]
    Date { line: usize, name: String },
    #[error("line {line}: {name:?} should have the digest of an empty file; its date is used anyway")]
    MarkerDigest { line: usize, name: String },
}

/// An expired manifest.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
#[error("{FILE_NAME} expired on {best_before} (it is {now} now)")]
pub struct Stale {
    pub best_before: Date,
    pub now: Timestamp,
}

impl Hint for Stale {}

/// The lines that a lenient reading skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The errors of the first [`SKIPPED_MAX`] skipped lines.
    pub lines: Vec<ChecksumsError>,
    /// How many more lines were skipped.
    pub more: usize,
}

impl Skipped {
    fn add(&mut self, error: ChecksumsError) {
        match self.lines.len() < SKIPPED_MAX {
            true => self.lines.push(error),
            false => self.more += 1,
        }
    }
}

impl Checksums {
    /// Reads a manifest as nodes do: one invalid line makes it invalid.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<ChecksumsWarning>), ChecksumsError> {
        let line_at = |at: usize| 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(ChecksumsError::Nul { line: line_at(at) });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ChecksumsError::NotText { line: line_at(error.valid_up_to()) })?;
        let mut reading = Reading::new(bytes.len());
        for (index, line) in text.split_inclusive('\n').enumerate() {
            reading.line(index + 1, line)?;
        }
        Ok((reading.checksums, reading.warnings))
    }

    /// Reads the valid lines of a manifest, and reports the others. Nodes never do this: it is for repairing a manifest.
    /// A name with two digests is dropped.
    pub fn parse_lenient(bytes: &[u8]) -> (Self, Vec<ChecksumsWarning>, Skipped) {
        let mut reading = Reading::new(bytes.len());
        let mut skipped = Skipped::default();
        let mut contradictory = HashSet::new();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let line = match std::str::from_utf8(line) {
                _ if line.contains(&0) => Err(ChecksumsError::Nul { line: number }),
                Err(_) => Err(ChecksumsError::NotText { line: number }),
                Ok(line) => reading.line(number, line),
            };
            if let Err(error) = line {
                if let ChecksumsError::Contradiction { name, .. } = &error {
                    contradictory.insert(name.clone());
                }
                skipped.add(error);
            }
        }
        let Reading { mut checksums, warnings, .. } = reading;
        checksums.entries.retain(|entry| !contradictory.contains(&entry.name));
        (checksums, warnings, skipped)
    }

    /// The digest of a file.
    pub fn find(&self, name: &str) -> Option<Sha256> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.sha256)
    }

    /// Checks that the manifest has not expired.
    pub fn check_freshness(&self, now: Timestamp) -> Result<(), Stale> {
        match self.best_before {
            Some(best_before) if start_of(best_before).is_none_or(|end| end < now) => {
                Err(Stale { best_before, now })
            }
            _ => Ok(()),
        }
    }

    /// The manifest's text, sorted by name. [`Checksums::parse`] can read it.
    pub fn render(&self) -> Result<String, ChecksumsError> {
        let mut entries: Vec<Entry> = self.entries.clone();
        if let Some(date) = self.best_before {
            entries.push(Entry { name: format!("{BEST_BEFORE}{date}"), sha256: Sha256::of(b"") });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup();
        let mut text = String::new();
        for Entry { name, sha256 } in &entries {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{sha256}  {name}");
        }
        // A name may contain characters that a line must not.
        Self::parse(text.as_bytes())?;
        Ok(text)
    }
}

/// The lines that have been read so far.
struct Reading<'a> {
    checksums: Checksums,
    warnings: Vec<ChecksumsWarning>,
    seen: HashMap<&'a str, Sha256>,
}

impl<'a> Reading<'a> {
    /// Reserves space for as many lines as this length can contain: each has a digest, and nodes read 20,000 lines.
    fn new(length: usize) -> Self {
        let lines_max = length / DIGEST_LENGTH;
        let mut checksums = Checksums::default();
        checksums.entries.reserve(lines_max);
        Self { checksums, warnings: Vec::new(), seen: HashMap::with_capacity(lines_max) }
    }

    fn line(&mut self, number: usize, line: &'a str) -> Result<(), ChecksumsError> {
        let (name, sha256) = parse_line(number, line)?;
        if *self.seen.entry(name).or_insert(sha256) != sha256 {
            return Err(ChecksumsError::Contradiction { line: number, name: name.to_owned() });
        }
        let entry = Entry { name: name.to_owned(), sha256 };
        let Some(date) = name.strip_prefix(BEST_BEFORE) else {
            self.checksums.entries.push(entry);
            return Ok(());
        };
        let name = entry.name.clone();
        if entry.sha256 != Sha256::of(b"") {
            self.warnings.push(ChecksumsWarning::MarkerDigest { line: number, name: name.clone() });
        }
        match parse_date(date) {
            None => {
                self.warnings.push(ChecksumsWarning::Date { line: number, name });
                self.checksums.entries.push(entry);
            }
            Some(date) => {
                let earliest = self.checksums.best_before.map_or(date, |known| known.min(date));
                self.checksums.best_before = Some(earliest);
            }
        }
        Ok(())
    }
}

/// A line's name and digest.
fn parse_line(number: usize, line: &str) -> Result<(&str, Sha256), ChecksumsError> {
    let Some(line) = line.strip_suffix('\n') else {
        return Err(ChecksumsError::Truncated { line: number });
    };
    if line.is_empty() {
        return Err(ChecksumsError::Blank { line: number });
    }
    if line.starts_with('\\') {
        return Err(ChecksumsError::Escaped { line: number });
    }
    let (digest, rest) = line.split_at_checked(DIGEST_LENGTH).unwrap_or((line, ""));
    let sha256 =
        Sha256::from_hex(digest).map_err(|reason| ChecksumsError::Digest { line: number, reason })?;
    let name = rest
        .strip_prefix("  ")
        .or_else(|| rest.strip_prefix(" *"))
        .ok_or(ChecksumsError::Separator { line: number })?;
    if name.is_empty() {
        return Err(ChecksumsError::NoName { line: number });
    }
    // systemd's control characters are ASCII only.
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(ChecksumsError::Control { line: number, name: name.to_owned() });
    }
    // A `%` would be decoded as part of a URL, which would then name another file.
    if name.bytes().any(|byte| byte == b'%') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ChecksumsError::Path { line: number, name: name.to_owned() });
    }
    Ok((name, sha256))
}

/// `YYYY-MM-DD` only; jiff would also accept years with signs, and times.
fn parse_date(text: &str) -> Option<Date> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| plain)
}

/// The day's first instant in UTC.
fn start_of(date: Date) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests;
