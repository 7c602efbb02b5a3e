//! Checks whether a crate's licence expression (SPDX, or the older `A/B`) can be met with the allowed licences.

use thiserror::Error;

/// Why an expression is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LicenceError {
    /// It ends where a licence is expected.
    #[error("licence expression {0:?} ends too early")]
    Truncated(String),
    /// A word or parenthesis is in a wrong place.
    #[error("unexpected {word:?} in licence expression {expression:?}")]
    Unexpected {
        /// The word.
        word: String,
        /// The whole expression.
        expression: String,
    },
}

/// Whether the alternatives in the expression can be chosen so that all licences are allowed.
pub fn is_met(expression: &str, allowed: &[&str]) -> Result<bool, LicenceError> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words = spaced.split_whitespace().collect();
    let mut reader = Reader { expression, words, at: 0, allowed };
    let met = reader.alternatives()?;
    match reader.next() {
        None => Ok(met),
        Some(word) => Err(reader.unexpected(word)),
    }
}

/// A recursive descent with one method per level: `OR` binds weaker than `AND`.
struct Reader<'a> {
    expression: &'a str,
    words: Vec<&'a str>,
    at: usize,
    allowed: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn alternatives(&mut self) -> Result<bool, LicenceError> {
        let mut met = self.conjunction()?;
        while self.skip("OR") {
            met |= self.conjunction()?;
        }
        Ok(met)
    }

    fn conjunction(&mut self) -> Result<bool, LicenceError> {
        let mut met = self.licence()?;
        while self.skip("AND") {
            met &= self.licence()?;
        }
        Ok(met)
    }

    fn licence(&mut self) -> Result<bool, LicenceError> {
        let word = self.next().ok_or_else(|| LicenceError::Truncated(self.expression.to_owned()))?;
        match word {
            "(" => {
                let met = self.alternatives()?;
                match self.next() {
                    Some(")") => Ok(met),
                    Some(word) => Err(self.unexpected(word)),
                    None => Err(LicenceError::Truncated(self.expression.to_owned())),
                }
            }
            ")" | "OR" | "AND" | "WITH" => Err(self.unexpected(word)),
            // An exception only adds permissions, so the licence itself decides.
            _ if self.skip("WITH") => match self.next() {
                Some(_) => Ok(self.allowed.contains(&word)),
                None => Err(LicenceError::Truncated(self.expression.to_owned())),
            },
            _ => Ok(self.allowed.contains(&word)),
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += usize::from(word.is_some());
        word
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, word: &str) -> LicenceError {
        LicenceError::Unexpected { word: word.to_owned(), expression: self.expression.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_with_and_or_and_with() {
        let allowed = ["MIT", "ISC", "Apache-2.0"];
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only/MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("Apache-2.0 AND ISC", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("MIT OR Apache-2.0 AND Unicode-3.0", true),
            ("(GPL-2.0-only AND MIT) OR (ISC)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(is_met(expression, &allowed), Ok(met), "{expression}");
        }
    }

    #[test]
    fn invalid_expressions_are_rejected() {
        for expression in ["", "MIT OR", "(MIT", "MIT WITH", "MIT )", "MIT ISC", "AND MIT", "( )"] {
            assert!(is_met(expression, &["MIT"]).is_err(), "{expression:?}");
        }
    }
}
