//! os-release(5): shell-like assignments, read as systemd reads them.
//!
//! systemd is lenient here, and a host's own os-release must never stop an update. So only a NUL byte is an error;
//! other mistakes are warnings with their line.

use std::collections::BTreeMap;

use crate::hint::Hint;

/// The fields of an os-release file. The last of several values of a key is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    fields: BTreeMap<String, String>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum OsReleaseError {
    #[error("line {line} contains a NUL byte")]
    Nul { line: usize },
}

impl Hint for OsReleaseError {}

/// A mistake that is ignored.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum OsReleaseWarning {
    #[error("line {line} has no '=', ignored")]
    NoAssignment { line: usize },
    #[error("line {line}: {key:?} is not a variable name, ignored")]
    Key { line: usize, key: String },
    #[error("the quote that opens in line {line} is never closed")]
    Quote { line: usize },
}

impl OsRelease {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<(Self, Vec<OsReleaseWarning>), OsReleaseError> {
        if let Some(at) = text.find('\0') {
            return Err(OsReleaseError::Nul { line: 1 + text[..at].matches('\n').count() });
        }
        let mut reader = Reader { text, line: 1, warnings: Vec::new() };
        let mut fields = BTreeMap::new();
        while let Some((key, value)) = reader.assignment() {
            fields.insert(key, value);
        }
        Ok((Self { fields }, reader.warnings))
    }

    /// A field's value; that of an empty field is `""`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// A field's value unless it is empty. systemd treats an empty field as unset.
    pub fn get_set(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// The words of a field that is a list, as `ID_LIKE=` is.
    pub fn words(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).unwrap_or_default().split_ascii_whitespace()
    }

    /// All fields in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for OsRelease {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self { fields: fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

/// Quotes a value so that this reader, systemd and a shell read it back.
pub fn quote(value: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ':' | '/' | '@' | ',');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        if NEEDS_ESCAPE.contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// The characters with a special meaning between double quotes.
const NEEDS_ESCAPE: &str = "\"\\`$";

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_newline(character: char) -> bool {
    matches!(character, '\n' | '\r')
}

struct Reader<'a> {
    text: &'a str,
    line: usize,
    warnings: Vec<OsReleaseWarning>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.text.chars();
        let character = characters.next()?;
        self.text = characters.as_str();
        if character == '\n' {
            self.line += 1;
        }
        Some(character)
    }

    fn skip_comment(&mut self) {
        while self.next().is_some_and(|character| !is_newline(character)) {}
    }

    /// The next assignment; other lines are skipped.
    fn assignment(&mut self) -> Option<(String, String)> {
        loop {
            let line = self.line;
            let key = match self.next()? {
                '#' | ';' => {
                    self.skip_comment();
                    continue;
                }
                character if is_blank(character) => continue,
                first => self.key(first),
            };
            let Some(key) = key else {
                self.warnings.push(OsReleaseWarning::NoAssignment { line });
                continue;
            };
            let value = self.value();
            if is_name(&key) {
                return Some((key, value));
            }
            self.warnings.push(OsReleaseWarning::Key { line, key });
        }
    }

    /// The key up to its `=`; `None` if the line has none.
    fn key(&mut self, first: char) -> Option<String> {
        let mut key = String::new();
        let mut character = first;
        while character != '=' {
            if is_newline(character) {
                return None;
            }
            key.push(character);
            character = self.next()?;
        }
        key.truncate(key.trim_end_matches(is_blank).len());
        Some(key)
    }

    /// The value up to the end of its line. Quoted parts may span lines; white space around them is dropped.
    fn value(&mut self) -> String {
        let mut value = String::new();
        // Below this length, white space was quoted or escaped and stays
        let mut keep = 0;
        // A quote is one only at the start and right after another quoted part: `a"b"` is literal
        let mut quotes = true;
        while let Some(character) = self.next() {
            match character {
                _ if is_newline(character) => break,
                '\'' | '"' if quotes => {
                    self.quoted(character, &mut value);
                    keep = value.len();
                }
                '\\' => {
                    quotes = false;
                    if let Some(escaped) = self.next().filter(|escaped| !is_newline(*escaped)) {
                        value.push(escaped);
                        keep = value.len();
                    }
                }
                _ if quotes && is_blank(character) => {}
                _ => {
                    quotes = false;
                    value.push(character);
                }
            }
        }
        let trimmed = value.trim_end_matches(is_blank).len();
        value.truncate(trimmed.max(keep));
        value
    }

    fn quoted(&mut self, quote: char, value: &mut String) {
        let line = self.line;
        loop {
            match self.next() {
                None => {
                    self.warnings.push(OsReleaseWarning::Quote { line });
                    return;
                }
                Some(character) if character == quote => return,
                Some('\\') if quote == '"' => match self.next() {
                    // An escaped newline continues the line
                    Some('\n') | None => {}
                    Some(escaped) if NEEDS_ESCAPE.contains(escaped) => value.push(escaped),
                    Some(other) => value.extend(['\\', other]),
                },
                Some(character) => value.push(character),
            }
        }
    }
}

fn is_name(key: &str) -> bool {
    !key.starts_with(|c: char| c.is_ascii_digit())
        && !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> OsRelease {
        let (os_release, warnings) = OsRelease::parse(text).unwrap();
        assert_eq!(warnings, []);
        os_release
    }

    fn value(text: &str) -> String {
        parse(&format!("KEY={text}\nNEXT=1\n")).get("KEY").unwrap().to_owned()
    }

    #[test]
    fn reads_a_real_file() {
        let os = parse(
            "# Flatcar\nNAME=\"Flatcar Container Linux by Kinvolk\"\nID=flatcar\nID_LIKE=\"coreos gentoo\"\n\
             VERSION_ID=4081.2.0\n\nSYSEXT_LEVEL='1.0'\n",
        );
        assert_eq!(os.get("NAME"), Some("Flatcar Container Linux by Kinvolk"));
        assert_eq!(os.get("ID"), Some("flatcar"));
        assert_eq!(os.words("ID_LIKE").collect::<Vec<_>>(), ["coreos", "gentoo"]);
        assert_eq!(os.get("SYSEXT_LEVEL"), Some("1.0"));
        assert_eq!(os.get("VARIANT_ID"), None);
    }

    #[test]
    fn quotes_and_escapes_are_the_shells() {
        assert_eq!(value("plain"), "plain");
        assert_eq!(value("  two words  "), "two words");
        assert_eq!(value(r#""a \"b\" \$c \`d\` \\ \x""#), r#"a "b" $c `d` \ \x"#);
        assert_eq!(value(r"'a \n b'"), r"a \n b");
        assert_eq!(value(r#""one"'two'"#), "onetwo");
        assert_eq!(value(r#"a"b""#), r#"a"b""#);
        assert_eq!(value(r"a\ \ "), "a  ");
        assert_eq!(value("\" kept \""), " kept ");
        assert_eq!(value("\"two\nlines\""), "two\nlines");
        assert_eq!(value("\"one \\\nline\""), "one line");
        assert_eq!(value("one\\\nline"), "oneline");
        assert_eq!(value(""), "");
        assert_eq!(value("a # no comment"), "a # no comment");
    }

    #[test]
    fn the_last_value_is_used_and_carriage_returns_end_lines() {
        assert_eq!(parse("ID=a\r\nID=b\r\n").get("ID"), Some("b"));
        assert_eq!(parse("ID=a").get("ID"), Some("a"));
        assert_eq!(parse("; ID=a\n  # b\n"), OsRelease::default());
    }

    #[test]
    fn an_empty_field_is_not_set() {
        let os = parse("VERSION_ID=\n");
        assert_eq!((os.get("VERSION_ID"), os.get_set("VERSION_ID")), (Some(""), None));
    }

    #[test]
    fn warns_of_a_missing_equals_sign() {
        let (os, warnings) = OsRelease::parse("ID=a\nnonsense\nB=2\n").unwrap();
        assert_eq!(os.get("B"), Some("2"));
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].to_string(), "line 2 has no '=', ignored");
    }

    #[test]
    fn warns_of_an_invalid_key() {
        let (os, warnings) = OsRelease::parse("export ID=a\n=b\n").unwrap();
        assert!(os.is_empty());
        assert_eq!(warnings[0].to_string(), "line 1: \"export ID\" is not a variable name, ignored");
        assert_eq!(warnings[1].to_string(), "line 2: \"\" is not a variable name, ignored");
    }

    #[test]
    fn warns_of_an_open_quote() {
        let (os, warnings) = OsRelease::parse("\nID=\"a\nB=2\n").unwrap();
        assert_eq!(os.get("ID"), Some("a\nB=2\n"));
        assert_eq!(warnings[0].to_string(), "the quote that opens in line 2 is never closed");
    }

    #[test]
    fn rejects_a_nul_byte() {
        assert_eq!(OsRelease::parse("ID=a\n\0").unwrap_err().to_string(), "line 2 contains a NUL byte");
    }

    #[test]
    fn quoted_values_read_back() {
        for text in ["a", "", "two words", "\"q\" $x `y` \\", "1.0-rc+1", "a\nb", "~x", "'"] {
            assert_eq!(value(&quote(text)), text, "{}", quote(text));
        }
    }
}
