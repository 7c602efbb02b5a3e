//! Where an error is in a file, so that messages can begin with FILE:LINE:COLUMN.

use std::fmt;

/// A place in a text, printed as `LINE:COLUMN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u32,
    /// The character of the line, counted from 1.
    pub column: u32,
}

/// What is wrong at a place of a JSON or TOML text, on one line: `LINE:COLUMN: MESSAGE`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
#[error("{at}: {message}")]
pub struct SyntaxError {
    pub at: Position,
    pub message: String,
}

impl Position {
    /// A place by its line and column, both counted from 1.
    pub(crate) fn new(line: usize, column: usize) -> Self {
        // What is read is limited to far less.
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: number(line), column: number(column) }
    }

    /// The place of a byte of a text.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Self::new(1 + before.matches('\n').count(), 1 + last_line.chars().count())
    }
}

impl SyntaxError {
    /// An error of serde_json, which prints the place after its message.
    pub fn json(error: &serde_json::Error) -> Self {
        let at = Position::new(error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {} column {}", at.line, at.column);
        Self { at, message: text.strip_suffix(&place).unwrap_or(&text).to_owned() }
    }

    /// An error of toml in a text.
    pub fn toml(text: &str, error: &toml::de::Error) -> Self {
        let at = Position::of(text, error.span().map_or(0, |span| span.start));
        let lines = error.message().lines().map(str::trim).filter(|line| !line.is_empty());
        Self { at, message: lines.collect::<Vec<_>>().join(", ") }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a\nüb";
        assert_eq!(Position::of(text, 0).to_string(), "1:1");
        assert_eq!(Position::of(text, text.find('b').unwrap()).to_string(), "2:2");
        assert_eq!(Position::of(text, 100).to_string(), "2:3");
    }

    #[test]
    fn json_errors_name_their_place_once() {
        let error = serde_json::from_str::<Vec<u8>>("[1,\n 300]").unwrap_err();
        assert_eq!(SyntaxError::json(&error).to_string(), "2:4: invalid value: integer `300`, expected u8");
    }

    #[test]
    fn toml_errors_are_one_line() {
        for text in ["a = 1\nb = [", "a = 1\na = 2", "= 1", "a = \"x\ny\"", "[a\n"] {
            let error = toml::from_str::<toml::Table>(text).unwrap_err();
            let shown = SyntaxError::toml(text, &error).to_string();
            assert!(!shown.contains('\n') && shown.len() > "1:1: ".len(), "{shown}");
        }
        let text = "a = 1\nb = x";
        let error = toml::from_str::<toml::Table>(text).unwrap_err();
        assert!(SyntaxError::toml(text, &error).to_string().starts_with("2:5: "));
    }
}
