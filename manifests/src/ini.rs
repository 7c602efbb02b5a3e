//! The dialect of INI that systemd's configuration files are written in.
//!
//! `[Section]`, `Key=value`, comments with `#` or `;`; a backslash at the end of a line continues it on the next.
//! Keys may occur several times; what that means depends on the file.

use crate::hint::Hint;
use crate::position::Position;

/// The longest line, continuations included, in bytes: systemd's `LONG_LINE_MAX`.
pub const LINE_MAX: usize = 1024 * 1024;

/// The contents of one file, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini {
    /// The section headers, also those of empty sections.
    pub sections: Vec<Section>,
    /// The assignments.
    pub entries: Vec<Entry>,
    /// Lines that were ignored.
    pub warnings: Vec<IniWarning>,
}

/// A section header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The text between the brackets.
    pub name: String,
    /// Where the header begins.
    pub at: Position,
}

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section that it is in.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value without white space around it; may be empty, which often means "remove what was set".
    pub value: String,
    /// Where the key begins.
    pub at: Position,
}

/// A line that was ignored.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum IniWarning {
    #[error("{file}:{at}: no '=' in {text:?}, line ignored")]
    NoAssignment { file: String, at: Position, text: String },
    #[error("{file}:{at}: no key before '=', line ignored")]
    NoKey { file: String, at: Position },
    #[error("{file}:{at}: {key}= is before the first section, ignored")]
    OutsideSection { file: String, at: Position, key: String },
}

/// Why a file cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum IniError {
    #[error("{file}:{at}: the line contains a NUL byte")]
    Nul { file: String, at: Position },
    #[error("{file}:{at}: the line is longer than {LINE_MAX} bytes")]
    LongLine { file: String, at: Position },
    #[error("{file}:{at}: invalid section header {text:?}")]
    Section { file: String, at: Position, text: String },
}

impl Hint for IniError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Section { .. } => Some("a section header is [Name] on a line of its own".to_owned()),
            Self::Nul { .. } | Self::LongLine { .. } => None,
        }
    }
}

/// Reads a file's text; `file` is its name for messages.
pub fn parse(file: &str, text: &str) -> Result<Ini, IniError> {
    let mut reader = Reader { file, section: None, ini: Ini::default() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The line that is continued, and the number of its first line.
    let mut open: Option<(usize, String)> = None;
    for (index, line) in lines(text).enumerate() {
        let number = index + 1;
        if let Some(nul) = line.find('\0') {
            let at = Position::new(number, 1 + line[..nul].chars().count());
            return Err(IniError::Nul { file: file.to_owned(), at });
        }
        // A comment may come between a line and its continuation.
        if line.trim_start_matches(is_blank).starts_with(['#', ';']) {
            continue;
        }
        let (start, mut whole) = open.take().unwrap_or((number, String::new()));
        if whole.len() + line.len() > LINE_MAX {
            let at = Position::new(start, 1);
            return Err(IniError::LongLine { file: file.to_owned(), at });
        }
        whole.push_str(line);
        if ends_in_backslash(&whole) {
            whole.pop();
            whole.push(' ');
            open = Some((start, whole));
        } else {
            reader.line(start, &whole)?;
        }
    }
    if let Some((start, whole)) = open {
        reader.line(start, &whole)?;
    }
    Ok(reader.ini)
}

/// Reads a boolean as systemd does.
pub fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(&["1", "yes", "y", "true", "t", "on"]) {
        Some(true)
    } else if is(&["0", "no", "n", "false", "f", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// The white space of systemd. It is not Unicode's: a no-break space is part of a value.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Lines ended by a newline, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Whether the last backslash is not itself escaped.
fn ends_in_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Enough of a line to recognise it in a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

struct Reader<'a> {
    file: &'a str,
    section: Option<String>,
    ini: Ini,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, text: &str) -> Result<(), IniError> {
        // Blanks are ASCII, so bytes are characters here.
        let indent = text.len() - text.trim_start_matches(is_blank).len();
        let at = Position::new(number, 1 + indent);
        let text = text.trim_matches(is_blank);
        let file = self.file.to_owned();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(header) = text.strip_prefix('[') {
            let name = header
                .strip_suffix(']')
                .filter(|name| !name.is_empty() && !name.contains(['[', ']', '"', '\'', '\\']))
                .filter(|name| !name.chars().any(char::is_control))
                .ok_or_else(|| IniError::Section { file, at, text: shorten(text) })?;
            self.section = Some(name.to_owned());
            self.ini.sections.push(Section { name: name.to_owned(), at });
            return Ok(());
        }
        let Some((key, value)) = text.split_once('=') else {
            let warning = IniWarning::NoAssignment { file, at, text: shorten(text) };
            self.ini.warnings.push(warning);
            return Ok(());
        };
        let (key, value) = (key.trim_end_matches(is_blank), value.trim_start_matches(is_blank));
        if key.is_empty() {
            self.ini.warnings.push(IniWarning::NoKey { file, at });
            return Ok(());
        }
        match &self.section {
            None => {
                let warning = IniWarning::OutsideSection { file, at, key: shorten(key) };
                self.ini.warnings.push(warning);
            }
            Some(section) => self.ini.entries.push(Entry {
                section: section.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                at,
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String, String, u32)> {
        let ini = parse("x.transfer", text).unwrap();
        assert_eq!(ini.warnings, []);
        ini.entries.into_iter().map(|e| (e.section, e.key, e.value, e.at.line)).collect()
    }

    fn entry(section: &str, key: &str, value: &str, line: u32) -> (String, String, String, u32) {
        (section.to_owned(), key.to_owned(), value.to_owned(), line)
    }

    #[test]
    fn reads_sections_keys_and_comments() {
        let text = "# head\n[A]\n ; note\nKey = a value \nKey=\n\n[B]\nX=a=b # no comment\n";
        assert_eq!(
            entries(text),
            [
                entry("A", "Key", "a value", 4),
                entry("A", "Key", "", 5),
                entry("B", "X", "a=b # no comment", 8),
            ]
        );
        assert_eq!(
            parse("x", "[A]\n[B]").unwrap().sections[1],
            Section { name: "B".to_owned(), at: Position { line: 2, column: 1 } }
        );
    }

    #[test]
    fn a_backslash_continues_a_line() {
        let text = "[A]\nKey=one\\\n  two\\\n# between\n three\nNext=1\n";
        assert_eq!(entries(text), [entry("A", "Key", "one   two  three", 2), entry("A", "Next", "1", 6)]);
        assert_eq!(entries("[A]\nKey=a\\\\\nB=c"), [entry("A", "Key", "a\\\\", 2), entry("A", "B", "c", 3)]);
        assert_eq!(entries("[A]\nKey=a\\"), [entry("A", "Key", "a", 2)]);
        assert_eq!(entries("[A]\nKey=\\\n\nB=1"), [entry("A", "Key", "", 2), entry("A", "B", "1", 4)]);
    }

    #[test]
    fn ignores_carriage_returns_and_a_byte_order_mark() {
        assert_eq!(
            entries("\u{feff}[A]\r\nKey=a\r\nB=b\rC=c"),
            [entry("A", "Key", "a", 2), entry("A", "B", "b", 3), entry("A", "C", "c", 4)]
        );
    }

    #[test]
    fn rejects_a_nul_byte() {
        let error = parse("x.transfer", "[A]\nKey=a\0b\n").unwrap_err();
        assert_eq!(error.to_string(), "x.transfer:2:6: the line contains a NUL byte");
    }

    #[test]
    fn rejects_a_line_that_is_too_long() {
        let error = parse("x.transfer", &format!("[A]\nKey={}", "a".repeat(LINE_MAX))).unwrap_err();
        assert_eq!(error.to_string(), "x.transfer:2:1: the line is longer than 1048576 bytes");
        let folded = format!("[A]\nKey={}", "a\\\n".repeat(LINE_MAX / 2));
        assert!(matches!(parse("x", &folded), Err(IniError::LongLine { at: Position { line: 2, .. }, .. })));
    }

    #[test]
    fn rejects_an_invalid_section_header() {
        for text in ["[A", "[]", "[A]b", "[A[b]", "[A\u{7}]"] {
            let error = parse("x.transfer", text).unwrap_err();
            assert_eq!(error.to_string(), format!("x.transfer:1:1: invalid section header {text:?}"));
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn warns_of_lines_without_an_assignment() {
        let ini = parse("x.transfer", "Early=1\n[A]\n  nonsense\n=value\n").unwrap();
        assert_eq!(ini.entries, []);
        let warnings: Vec<_> = ini.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "x.transfer:1:1: Early= is before the first section, ignored",
                "x.transfer:3:3: no '=' in \"nonsense\", line ignored",
                "x.transfer:4:1: no key before '=', line ignored",
            ]
        );
    }

    #[test]
    fn reads_booleans_as_systemd() {
        assert_eq!(["1", "YES", "y", "true", "T", "on"].map(boolean), [Some(true); 6]);
        assert_eq!(["0", "no", "N", "False", "f", "OFF"].map(boolean), [Some(false); 6]);
        assert_eq!(["", "2", "maybe"].map(boolean), [None; 3]);
    }
}
