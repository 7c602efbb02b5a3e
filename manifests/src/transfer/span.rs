//! Time spans as systemd.time(7) writes them: `60`, `60s`, `2min`, `1min 30s`, `1.5h`.

use std::time::Duration;

use crate::hint::Hint;

/// Why a text is not a time span.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SpanError {
    #[error("the time span is empty")]
    Empty,
    #[error("a number is missing in the time span {text:?}")]
    NoNumber { text: String },
    #[error("unknown unit {unit:?} in the time span {text:?}")]
    Unit { unit: String, text: String },
    #[error("the time span {text:?} is too long")]
    TooLong { text: String },
}

impl Hint for SpanError {}

const SECOND: u64 = 1_000_000;

/// Units and their length in microseconds.
const UNITS: [(&[&str], u64); 9] = [
    (&["", "s", "sec", "second", "seconds"], SECOND),
    (&["us", "usec", "µs", "μs"], 1),
    (&["ms", "msec"], 1_000),
    (&["m", "min", "minute", "minutes"], 60 * SECOND),
    (&["h", "hr", "hour", "hours"], 3_600 * SECOND),
    (&["d", "day", "days"], 86_400 * SECOND),
    (&["w", "week", "weeks"], 604_800 * SECOND),
    // A month is a twelfth of a year, and a year has 365.25 days.
    (&["M", "month", "months"], 2_629_800 * SECOND),
    (&["y", "year", "years"], 31_557_600 * SECOND),
];

/// Reads a time span; a number without a unit is seconds.
pub fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let whole = || text.to_owned();
    let mut left = text.trim();
    if left.is_empty() {
        return Err(SpanError::Empty);
    }
    if left == "infinity" {
        return Err(SpanError::TooLong { text: whole() });
    }
    let mut total: u64 = 0;
    while !left.is_empty() {
        let (digits, rest) = split_while(left, |c| c.is_ascii_digit());
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_while(rest, |c| c.is_ascii_digit()),
            None => ("", rest),
        };
        if digits.is_empty() && fraction.is_empty() {
            return Err(SpanError::NoNumber { text: whole() });
        }
        let (unit, rest) =
            split_while(rest.trim_start(), |c| !c.is_ascii_digit() && !c.is_whitespace() && c != '.');
        let length = UNITS
            .iter()
            .find(|(names, _)| names.contains(&unit))
            .map(|(_, length)| *length)
            .ok_or_else(|| SpanError::Unit { unit: unit.to_owned(), text: whole() })?;
        total = number(digits)
            .and_then(|number| number.checked_mul(length))
            .and_then(|span| span.checked_add(part(fraction, length)))
            .and_then(|span| total.checked_add(span))
            .ok_or_else(|| SpanError::TooLong { text: whole() })?;
        left = rest.trim_start();
    }
    Ok(Duration::from_micros(total))
}

/// Writes a time span so that [`parse_span`] reads it back; fractions of a microsecond are dropped.
pub fn format_span(span: Duration) -> String {
    let micros = span.as_micros();
    for (unit, length) in [("h", 3_600 * SECOND), ("min", 60 * SECOND), ("s", SECOND), ("ms", 1_000)] {
        if micros >= length.into() && micros.is_multiple_of(length.into()) {
            return format!("{}{unit}", micros / u128::from(length));
        }
    }
    format!("{micros}us")
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

/// The digits after the point, as a share of a unit's length.
fn part(fraction: &str, length: u64) -> u64 {
    let mut share = length;
    fraction.chars().map_while(|digit| digit.to_digit(10)).fold(0, |sum, digit| {
        share /= 10;
        sum + share * u64::from(digit)
    })
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans_as_systemd() {
        let cases = [
            ("60", 60_000),
            ("60s", 60_000),
            ("2min", 120_000),
            ("1min 30s", 90_000),
            ("1min30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("90 sec", 90_000),
            ("250ms", 250),
            ("1w 1d", 691_200_000),
            ("0", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn explains_invalid_spans() {
        let message = |text: &str| parse_span(text).unwrap_err().to_string();
        assert_eq!(message(" "), "the time span is empty");
        assert_eq!(message("soon"), "a number is missing in the time span \"soon\"");
        assert_eq!(message("-5s"), "a number is missing in the time span \"-5s\"");
        assert_eq!(message("."), "a number is missing in the time span \".\"");
        assert_eq!(message("5 parsecs"), "unknown unit \"parsecs\" in the time span \"5 parsecs\"");
        assert_eq!(message("infinity"), "the time span \"infinity\" is too long");
        assert_eq!(message("999999999999y"), "the time span \"999999999999y\" is too long");
        assert_eq!(message("99999999999999999999"), "the time span \"99999999999999999999\" is too long");
    }

    #[test]
    fn written_spans_read_back() {
        for micros in [0, 1, 1_500, 250_000, 60_000_000, 90_000_000, 5_400_000_000, 7_200_000_000] {
            let span = Duration::from_micros(micros);
            assert_eq!(parse_span(&format_span(span)), Ok(span), "{}", format_span(span));
        }
        assert_eq!(format_span(Duration::from_secs(90)), "90s");
    }
}
