//! `SHA256SUMS`: the manifest that stock systemd-sysupdate reads.
//!
//! As strict as systemd 262: one bad line spoils the whole file, since nobody can tell what a file that
//! was cut short or rewritten on its way still says. Whoever mends such a file reads it leniently.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::digest::{DigestError, Sha256};

/// The manifest's name below the source's URL.
pub const FILE_NAME: &str = "SHA256SUMS";

/// An entry of this name and a date, `BEST-BEFORE-2026-12-04`, says until when the manifest may be believed.
const BEST_BEFORE: &str = "BEST-BEFORE-";

/// How many bad lines a lenient reading tells of; the rest are counted. Every byte of something else could be one.
pub const SKIPPED_MAX: usize = 256;

/// The hexadecimal digits of a digest.
const DIGEST_LENGTH: usize = 64;

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// What can be fetched, in the order it is listed. Freshness markers are not among it.
    pub entries: Vec<Entry>,
    /// From the start of this day (UTC) on, the manifest is stale. The earliest one, if several are given.
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

/// A manifest that cannot be believed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChecksumsError {
    /// Bytes that are no text.
    #[error("line {line} is not UTF-8")]
    NotText {
        /// The line, counted from 1.
        line: usize,
    },
    /// A NUL byte.
    #[error("line {line} has a NUL byte")]
    Nul {
        /// The line, counted from 1.
        line: usize,
    },
    /// No newline at the end: the rest may be missing.
    #[error("line {line} has no newline at its end, the file may have been cut short")]
    Truncated {
        /// The line, counted from 1.
        line: usize,
    },
    /// An empty line.
    #[error("line {line} is empty")]
    Blank {
        /// The line, counted from 1.
        line: usize,
    },
    /// A line with an escaped file name.
    #[error("line {line} starts with a backslash; escaped file names are not accepted")]
    Escaped {
        /// The line, counted from 1.
        line: usize,
    },
    /// No digest at the start.
    #[error("line {line} does not start with a digest: {reason}")]
    Digest {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: DigestError,
    },
    /// Something else than `  ` or ` *` after the digest.
    #[error("line {line} has no \"  \" or \" *\" after the digest")]
    Separator {
        /// The line, counted from 1.
        line: usize,
    },
    /// A digest of nothing.
    #[error("line {line} names no file")]
    NoName {
        /// The line, counted from 1.
        line: usize,
    },
    /// A name with a control character.
    #[error("line {line}: the file name {name:?} has a control character")]
    Control {
        /// The line, counted from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// A name that leads elsewhere.
    #[error("line {line}: {name:?} is not a file name or a normalized relative path")]
    Path {
        /// The line, counted from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// One name with two digests.
    #[error("line {line}: {name:?} was listed before with another digest")]
    Contradiction {
        /// The line, counted from 1.
        line: usize,
        /// The name.
        name: String,
    },
}

impl ChecksumsError {
    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Control { name, .. } if name.ends_with('\r') => {
                Some("lines must end in a newline alone, not in a carriage return and a newline".to_owned())
            }
            Self::Truncated { .. } => Some(
                "fetch it again; a whole SHA256SUMS ends in a newline, as sha256sum writes it".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Something odd in a manifest that does not spoil it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChecksumsWarning {
    /// A marker whose date is none.
    #[error("line {line}: {name:?} has no valid date, ignored")]
    Date {
        /// The line, counted from 1.
        line: usize,
        /// The marker.
        name: String,
    },
    /// A marker that is no empty file.
    #[error("line {line}: {name:?} should have the digest of an empty file, its date counts all the same")]
    MarkerDigest {
        /// The line, counted from 1.
        line: usize,
        /// The marker.
        name: String,
    },
}

/// A manifest beyond its date.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{FILE_NAME} is stale: it was best before {best_before}, and it is {now} now")]
pub struct Stale {
    /// The date.
    pub best_before: Date,
    /// What the clock says.
    pub now: Timestamp,
}

/// The lines that a lenient reading left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// What is wrong with each, with its number; the first [`SKIPPED_MAX`] of them.
    pub lines: Vec<ChecksumsError>,
    /// How many more there are.
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
    /// Reads a manifest as nodes do: one bad line spoils it.
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

    /// Reads what can be read of a manifest, and tells what cannot. No node reads like this: it is for those who
    /// mend what somebody else wrote. Of a name with two digests, neither counts.
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

    /// Whether the manifest may still be believed.
    pub fn check_freshness(&self, now: Timestamp) -> Result<(), Stale> {
        match self.best_before {
            Some(best_before) if start_of(best_before).is_none_or(|end| end < now) => {
                Err(Stale { best_before, now })
            }
            _ => Ok(()),
        }
    }

    /// The manifest's text: sorted by name, a newline after each line. What it writes, [`Checksums::parse`] reads.
    pub fn render(&self) -> Result<String, ChecksumsError> {
        let mut entries: Vec<Entry> = self.entries.clone();
        if let Some(date) = self.best_before {
            entries.push(Entry { name: format!("{BEST_BEFORE}{date}"), sha256: Sha256::of(b"") });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup();
        let mut text = String::new();
        for Entry { name, sha256 } in &entries {
            // Writing to a string cannot fail
            let _ = writeln!(text, "{sha256}  {name}");
        }
        // A name may have what a line may not
        Self::parse(text.as_bytes())?;
        Ok(text)
    }
}

/// What has been read so far.
struct Reading<'a> {
    checksums: Checksums,
    warnings: Vec<ChecksumsWarning>,
    seen: HashMap<&'a str, Sha256>,
}

impl<'a> Reading<'a> {
    /// More lines than this length allows there cannot be, as each has a digest; nodes read 20,000 of them at once.
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
    // What systemd calls a control character: ASCII only
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(ChecksumsError::Control { line: number, name: name.to_owned() });
    }
    // A `%` would be decoded when the name becomes a URL, and name another file there
    if name.bytes().any(|byte| byte == b'%') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ChecksumsError::Path { line: number, name: name.to_owned() });
    }
    Ok((name, sha256))
}

/// `YYYY-MM-DD` and nothing else; jiff alone would take years with signs and times.
fn parse_date(text: &str) -> Option<Date> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| plain)
}

/// The day's first instant in UTC.
fn start_of(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).as_ref().map(Zoned::timestamp).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Checksums {
        let (checksums, warnings) = Checksums::parse(text.as_bytes()).unwrap();
        assert_eq!(warnings, []);
        checksums
    }

    fn message(text: &str) -> String {
        Checksums::parse(text.as_bytes()).unwrap_err().to_string()
    }

    fn names(checksums: &Checksums) -> Vec<&str> {
        checksums.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn a_manifest_lists_names_and_digests() {
        let other = Sha256::of(b"x");
        let text = format!("{EMPTY}  k-1.raw\n{other} *sub/k 2.raw\n{}  é\n", EMPTY.to_uppercase());
        let checksums = parse(&text);
        assert_eq!(names(&checksums), ["k-1.raw", "sub/k 2.raw", "é"]);
        assert_eq!(checksums.find("sub/k 2.raw"), Some(other));
        assert_eq!(checksums.find("é"), Some(Sha256::of(b"")));
        assert_eq!(checksums.find("k"), None);
        assert_eq!(parse(""), Checksums::default());
    }

    #[test]
    fn a_bad_line_spoils_the_file_and_is_named() {
        let second = |line: &str| message(&format!("{EMPTY}  a\n{line}"));
        assert_eq!(
            second(&format!("{EMPTY}  b")),
            "line 2 has no newline at its end, the file may have been cut short"
        );
        assert_eq!(second("\n"), "line 2 is empty");
        assert_eq!(
            second(&format!("\\{EMPTY}  b\n")),
            "line 2 starts with a backslash; escaped file names are not accepted"
        );
        assert_eq!(
            second("# comment\n"),
            "line 2 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, this one has 9"
        );
        assert_eq!(
            second(&format!("x{}  b\n", &EMPTY[1..])),
            "line 2 does not start with a digest: byte 0 of the SHA-256 digest is not a hexadecimal digit"
        );
        assert_eq!(second(&format!("{EMPTY}\n")), "line 2 has no \"  \" or \" *\" after the digest");
        assert_eq!(second(&format!("{EMPTY}\tb\n")), "line 2 has no \"  \" or \" *\" after the digest");
        assert_eq!(second(&format!("{EMPTY} b\n")), "line 2 has no \"  \" or \" *\" after the digest");
        assert_eq!(second(&format!("{EMPTY}  \n")), "line 2 names no file");
        assert_eq!(
            second(&format!("{EMPTY}  b\r\n")),
            "line 2: the file name \"b\\r\" has a control character"
        );
        assert_eq!(second(&format!("{EMPTY}  b\0\n")), "line 2 has a NUL byte");
        assert_eq!(
            second(&format!("{}  a\n", Sha256::of(b"x"))),
            "line 2: \"a\" was listed before with another digest"
        );
        // A character that straddles the end of the digest
        assert!(second(&format!("{}é  b\n", &EMPTY[1..])).starts_with("line 2 does not start with a digest"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut bytes = format!("{EMPTY}  a\n{EMPTY}  ").into_bytes();
        bytes.extend([0xff, b'\n']);
        assert_eq!(Checksums::parse(&bytes), Err(ChecksumsError::NotText { line: 2 }));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["/etc/passwd", "..", "../a", "a/../b", "a//b", "./a", "a/", "a%2fb", "."] {
            assert_eq!(
                message(&format!("{EMPTY}  {name}\n")),
                format!("line 1: {name:?} is not a file name or a normalized relative path")
            );
        }
    }

    #[test]
    fn a_lenient_reading_leaves_out_the_bad_lines_and_tells_them() {
        let other = Sha256::of(b"x");
        let mut bytes = format!(
            "# made by hand\n{EMPTY}  a\n\n{EMPTY}  b\r\n{other}  twice\n{EMPTY}  ../c\n{EMPTY}  d\n{EMPTY}  \
             twice\n{other}  twice\n{EMPTY}  BEST-BEFORE-2026-12-04\n{EMPTY}  nul\0\n{EMPTY}  "
        )
        .into_bytes();
        bytes.extend(b"\xff\n");
        bytes.extend(format!("{EMPTY}  cut").as_bytes());
        let (checksums, warnings, skipped) = Checksums::parse_lenient(&bytes);
        assert_eq!((names(&checksums), warnings.len()), (vec!["a", "d"], 0));
        assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
        let told: Vec<_> = skipped.lines.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, this one has 14",
                "line 3 is empty",
                "line 4: the file name \"b\\r\" has a control character",
                "line 6: \"../c\" is not a file name or a normalized relative path",
                "line 8: \"twice\" was listed before with another digest",
                "line 11 has a NUL byte",
                "line 12 is not UTF-8",
                "line 13 has no newline at its end, the file may have been cut short",
            ]
        );
        assert!(Checksums::parse(&bytes).is_err());
        // What is left is what nodes read
        let (again, _) = Checksums::parse(checksums.render().unwrap().as_bytes()).unwrap();
        assert_eq!((names(&again), again.best_before), (names(&checksums), checksums.best_before));
    }

    #[test]
    fn a_lenient_reading_of_something_else_is_short() {
        let (checksums, _, skipped) = Checksums::parse_lenient(&b"\n".repeat(10_000));
        assert_eq!(checksums, Checksums::default());
        assert_eq!((skipped.lines.len(), skipped.more), (SKIPPED_MAX, 10_000 - SKIPPED_MAX));
        let text = format!("{EMPTY}  a\n");
        let (checksums, warnings, skipped) = Checksums::parse_lenient(text.as_bytes());
        assert_eq!((checksums, warnings, skipped), (parse(&text), Vec::new(), Skipped::default()));
    }

    #[test]
    fn hints_say_what_happened_to_the_file() {
        let hint = |text: &str| Checksums::parse(text.as_bytes()).unwrap_err().hint();
        assert!(hint(&format!("{EMPTY}  b\r\n")).unwrap().contains("carriage return"));
        assert!(hint(&format!("{EMPTY}  b")).unwrap().contains("fetch it again"));
        assert_eq!(hint("\n"), None);
    }

    #[test]
    fn a_repeated_line_is_harmless() {
        assert_eq!(names(&parse(&format!("{EMPTY}  a\n{EMPTY}  a\n"))), ["a", "a"]);
    }

    #[test]
    fn the_earliest_best_before_decides_from_midnight_utc() {
        let text = format!("{EMPTY}  BEST-BEFORE-2026-12-04\n{EMPTY}  a\n{EMPTY}  BEST-BEFORE-2027-01-01\n");
        let checksums = parse(&text);
        assert_eq!(names(&checksums), ["a"]);
        assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
        let check = |now: &str| checksums.check_freshness(now.parse().unwrap());
        assert_eq!(check("2026-12-03T23:59:59Z"), Ok(()));
        assert_eq!(check("2026-12-04T00:00:00Z"), Ok(()));
        assert_eq!(
            check("2026-12-04T00:00:01Z").unwrap_err().to_string(),
            "SHA256SUMS is stale: it was best before 2026-12-04, and it is 2026-12-04T00:00:01Z now"
        );
        assert_eq!(parse("").check_freshness(Timestamp::MAX), Ok(()));
    }

    #[test]
    fn an_odd_marker_is_told() {
        let other = Sha256::of(b"x");
        let text = format!(
            "{other}  BEST-BEFORE-2026-12-04\n{EMPTY}  BEST-BEFORE-2026-02-30\n{EMPTY}  BEST-BEFORE-20261204\n\
             {EMPTY}  sub/BEST-BEFORE-2020-01-01\n"
        );
        let (checksums, warnings) = Checksums::parse(text.as_bytes()).unwrap();
        assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "line 1: \"BEST-BEFORE-2026-12-04\" should have the digest of an empty file, its date counts all the same",
                "line 2: \"BEST-BEFORE-2026-02-30\" has no valid date, ignored",
                "line 3: \"BEST-BEFORE-20261204\" has no valid date, ignored",
            ]
        );
    }

    #[test]
    fn a_written_manifest_is_sorted_and_reads_back() {
        let entry = |name: &str| Entry { name: name.to_owned(), sha256: Sha256::of(name.as_bytes()) };
        let checksums = Checksums {
            entries: vec![entry("k-2.raw"), entry("k-10.raw")],
            best_before: Some("2026-12-04".parse().unwrap()),
        };
        let text = checksums.render().unwrap();
        let names: Vec<_> = text.lines().map(|line| &line[66..]).collect();
        assert_eq!(names, ["BEST-BEFORE-2026-12-04", "k-10.raw", "k-2.raw"]);
        assert!(text.ends_with('\n'));
        let read = parse(&text);
        assert_eq!(read.best_before, checksums.best_before);
        assert_eq!(read.find("k-2.raw"), checksums.find("k-2.raw"));
    }

    #[test]
    fn a_name_that_would_not_read_back_is_not_written() {
        let entry = |name: &str, bytes: &[u8]| Entry { name: name.to_owned(), sha256: Sha256::of(bytes) };
        let render = |entries| Checksums { entries, best_before: None }.render().unwrap_err().to_string();
        assert_eq!(
            render(vec![entry("../a", b"")]),
            "line 1: \"../a\" is not a file name or a normalized relative path"
        );
        assert!(render(vec![entry("a\nb", b"")]).starts_with("line 2 does not start with a digest"));
        assert_eq!(
            render(vec![entry("a", b"1"), entry("a", b"2")]),
            "line 2: \"a\" was listed before with another digest"
        );
    }
}
