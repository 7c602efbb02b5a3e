//! The response headers that the program uses, as pure functions.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// A date is a strong validator only if the resource had rested when the response was made: within the
/// same second it may have changed again (RFC 9110, section 8.8.2.2). A minute also covers two clocks.
const RESTED: Duration = Duration::from_secs(60);

/// Identifies the resource for a later request: a weak comparison is enough for that.
pub(super) fn tag(etag: Option<&str>, modified: Option<&str>) -> Option<String> {
    etag.or(modified.filter(|text| date(text).is_some())).map(str::to_owned)
}

/// Identifies exactly these bytes, so that a download can resume. A weak entity tag does not, and a server that sends
/// one does not vouch for the date either.
pub(super) fn validator(etag: Option<&str>, modified: Option<&str>, now: Option<&str>) -> Option<String> {
    if let Some(etag) = etag {
        return is_strong(etag).then(|| etag.to_owned());
    }
    let text = modified?;
    let rested = Duration::try_from(date(now?)?.duration_since(date(text)?)).ok()?;
    (rested >= RESTED).then(|| text.to_owned())
}

/// Whether something is an entity tag at all, and not a date.
pub(super) fn is_etag(text: &str) -> bool {
    is_strong(text.strip_prefix("W/").unwrap_or(text))
}

fn is_strong(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('"') && text.ends_with('"')
}

/// The part of a resource that a 206 holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) start: u64,
    pub(super) total: Option<u64>,
}

/// Reads `bytes START-END/TOTAL`, where the total may be `*`.
pub(super) fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    (start <= end && total.is_none_or(|total| end < total)).then_some(ContentRange { start, total })
}

/// How long `Retry-After` asks to wait: seconds, or until a date by the server's own clock.
pub(super) fn retry_after(text: &str, now: Option<&str>) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(text)?;
    let now = now.and_then(date).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Digits only: `u64::from_str` would also take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";
    const MORNING: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const JUST_BEFORE: &str = "Sun, 06 Nov 1994 11:59:59 GMT";

    #[test]
    fn only_strong_tags_and_rested_dates_go_on_in_the_middle() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(validator(Some("\"a\""), None, None), some("\"a\""));
        assert_eq!(validator(Some("W/\"a\""), Some(MORNING), Some(NOON)), None);
        assert_eq!(validator(Some("a"), Some(MORNING), Some(NOON)), None);
        assert_eq!(validator(None, Some(MORNING), Some(NOON)), some(MORNING));
        assert_eq!(validator(None, Some(JUST_BEFORE), Some(NOON)), None);
        assert_eq!(validator(None, Some(NOON), Some(MORNING)), None);
        assert_eq!(validator(None, Some(MORNING), None), None);
        assert_eq!(validator(None, Some("yesterday"), Some(NOON)), None);
    }

    #[test]
    fn asking_for_a_change_takes_weak_tags_and_any_date() {
        assert_eq!(tag(Some("W/\"a\""), Some(NOON)).as_deref(), Some("W/\"a\""));
        assert_eq!(tag(None, Some(JUST_BEFORE)).as_deref(), Some(JUST_BEFORE));
        assert_eq!(tag(None, Some("yesterday")), None);
        assert!(is_etag("W/\"a\"") && is_etag("\"\"") && !is_etag(NOON));
    }

    #[test]
    fn a_content_range_is_read_or_refused() {
        let range = |start, total| Some(ContentRange { start, total });
        assert_eq!(content_range("bytes 5-9/10"), range(5, Some(10)));
        assert_eq!(content_range("bytes 5-9/*"), range(5, None));
        for wrong in
            ["bytes */10", "bytes 5-10/10", "bytes 9-5/10", "bytes +5-9/10", "octets 5-9/10", "bytes -/", ""]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn waiting_is_asked_for_in_seconds_or_until_a_date() {
        assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(NOON, Some(JUST_BEFORE)), Some(Duration::from_secs(1)));
        assert_eq!(retry_after(MORNING, Some(NOON)), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", Some(NOON)), None);
        assert_eq!(retry_after("99999999999999999999999", None), None);
    }
}
