//! Splitting a value into words as systemd does: white space, quotes, C escapes.

use std::str::Chars;

use crate::hint::Hint;

/// Why a value cannot be split.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum WordsError {
    #[error("the {quote} is never closed")]
    OpenQuote { quote: char },
    #[error("trailing backslash")]
    TrailingBackslash,
    #[error("invalid escapes in {word:?}")]
    NoText { word: String },
}

impl Hint for WordsError {}

/// The meaning of quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They group words.
    Group,
    /// They are ordinary characters, as in `MatchPattern=`.
    Literal,
}

/// The words, and the unknown escapes in them, which are kept unchanged.
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    pub(crate) unknown_escapes: Vec<String>,
}

pub(crate) fn split(text: &str, quotes: Quotes) -> Result<Words, WordsError> {
    let mut words = Vec::new();
    let mut unknown_escapes = Vec::new();
    // Escapes may be single bytes of a character, so a word is bytes until it is complete.
    let mut word: Option<Vec<u8>> = None;
    let mut open = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let bytes = word.get_or_insert_default();
                let before = characters.clone();
                if !escape(&mut characters, bytes) {
                    characters = before;
                    let unknown = characters.next().ok_or(WordsError::TrailingBackslash)?;
                    push(bytes, '\\');
                    push(bytes, unknown);
                    unknown_escapes.push(format!("\\{unknown}"));
                }
            }
            quote if open == Some(quote) => open = None,
            '"' | '\'' if open.is_none() && quotes == Quotes::Group => {
                open = Some(character);
                word.get_or_insert_default();
            }
            ' ' | '\t' | '\n' | '\r' if open.is_none() => {
                if let Some(bytes) = word.take() {
                    words.push(finish(bytes)?);
                }
            }
            _ => push(word.get_or_insert_default(), character),
        }
    }
    if let Some(quote) = open {
        return Err(WordsError::OpenQuote { quote });
    }
    if let Some(bytes) = word {
        words.push(finish(bytes)?);
    }
    Ok(Words { words, unknown_escapes })
}

/// Quotes a word so that [`split`] returns it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in word.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if character.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn finish(bytes: Vec<u8>) -> Result<String, WordsError> {
    match String::from_utf8(bytes) {
        Ok(word) if !word.contains('\0') => Ok(word),
        Ok(word) => Err(WordsError::NoText { word }),
        Err(error) => {
            Err(WordsError::NoText { word: String::from_utf8_lossy(error.as_bytes()).into_owned() })
        }
    }
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads what follows a backslash; `false` if it is not an escape.
fn escape(characters: &mut Chars<'_>, bytes: &mut Vec<u8>) -> bool {
    let Some(letter) = characters.next() else { return false };
    let byte = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        's' => b' ',
        '\\' => b'\\',
        '"' => b'"',
        '\'' => b'\'',
        'x' => match number(characters, 2, 16).map(u8::try_from) {
            Some(Ok(byte)) => byte,
            _ => return false,
        },
        'u' | 'U' => {
            let digits = if letter == 'u' { 4 } else { 8 };
            let Some(character) = number(characters, digits, 16).and_then(char::from_u32) else {
                return false;
            };
            push(bytes, character);
            return true;
        }
        '0'..='7' => {
            let high = letter.to_digit(8).unwrap_or_default();
            match number(characters, 2, 8).map(|low| u8::try_from(high * 64 + low)) {
                Some(Ok(byte)) => byte,
                _ => return false,
            }
        }
        _ => return false,
    };
    bytes.push(byte);
    true
}

fn number(characters: &mut Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..digits {
        value = value.checked_mul(radix)?.checked_add(characters.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let split = split(text, Quotes::Group).unwrap();
        assert_eq!(split.unknown_escapes, [""; 0]);
        split.words
    }

    #[test]
    fn white_space_separates_and_quotes_group() {
        assert_eq!(words("  a  b\tc "), ["a", "b", "c"]);
        assert_eq!(words("a \"b c\" 'd \" e' f'g h'i"), ["a", "b c", "d \" e", "fg hi"]);
        assert_eq!(words("\"\" ''"), ["", ""]);
        assert_eq!(words("  "), [""; 0]);
    }

    #[test]
    fn escapes_are_those_of_c() {
        assert_eq!(words(r"a\sb"), ["a b"]);
        assert_eq!(words(r#"\x41\102\u00e9\U0001F600 "\"\n\\""#), ["ABé😀", "\"\n\\"]);
        assert_eq!(words(r"\xc3\xa9"), ["é"]);
    }

    #[test]
    fn keeps_and_reports_an_unknown_escape() {
        let found = split(r"a\.b \x4 \400", Quotes::Group).unwrap();
        assert_eq!(found.words, [r"a\.b", r"\x4", r"\400"]);
        assert_eq!(found.unknown_escapes, [r"\.", r"\x", r"\4"]);
    }

    #[test]
    fn quotes_may_be_literal() {
        let found = split("a\"b c'\\x20d", Quotes::Literal).unwrap();
        assert_eq!(found.words, ["a\"b", "c' d"]);
    }

    #[test]
    fn explains_invalid_values() {
        let message = |text: &str| split(text, Quotes::Group).err().unwrap().to_string();
        assert_eq!(message("a \"b"), "the \" is never closed");
        assert_eq!(message("a\\"), "trailing backslash");
        assert_eq!(message(r"a\x00"), "invalid escapes in \"a\\0\"");
        assert_eq!(message(r"\xff"), "invalid escapes in \"\u{fffd}\"");
    }

    #[test]
    fn quoted_words_split_back() {
        for word in ["a", "", "a b", "a\"b'c\\d", "tab\tnl\n", "\u{1}\u{85}", "é\u{a0}"] {
            assert_eq!(words(&quote(word)), [word], "{}", quote(word));
        }
    }
}
