//! Fetching resources by URL.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sysext_manifests::hint::Hint;

/// A request for a resource.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// An absolute URL: `http`, `https` or `file`.
    pub url: String,
    /// Send nothing if the resource still has this [`Body::tag`].
    pub unless: Option<String>,
    /// Resume from here if the resource is still the same.
    pub resume: Option<Resume>,
}

/// Where an interrupted download resumes.
#[derive(Clone, Debug)]
pub struct Resume {
    /// How many bytes have been downloaded.
    pub offset: u64,
    /// The [`Body::validator`] of these bytes.
    pub validator: String,
}

/// A response.
#[derive(Debug)]
pub enum Response {
    /// The resource still has the given tag.
    NotModified,
    /// The resource, or the rest of it.
    Body(Body),
}

/// The body of a response.
pub struct Body {
    /// The offset of the first byte: 0, or the one from which the request resumes.
    pub start: u64,
    /// The length of the whole resource, if the server sends it.
    pub total: Option<u64>,
    /// Identifies this version of the resource well enough to ask whether it changed: an entity tag, strong or weak,
    /// or a date.
    pub tag: Option<String>,
    /// Identifies exactly these bytes, so that a download can resume in the middle: a strong entity tag, or a date far
    /// enough in the past.
    pub validator: Option<String>,
    /// The bytes.
    pub reader: Box<dyn Read>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("start", &self.start).field("total", &self.total).finish_non_exhaustive()
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {message}")]
pub struct TransportError {
    /// The requested URL, without a password.
    pub url: String,
    /// What happened, as a lower-case fragment.
    pub message: String,
    /// Whether a retry can help.
    pub kind: FailureKind,
    /// What the reader can do about it.
    pub hint: Option<&'static str>,
}

impl TransportError {
    /// An error without a hint.
    pub fn new(url: &str, message: impl Into<String>, kind: FailureKind) -> Self {
        Self { url: without_password(url), message: message.into(), kind, hint: None }
    }
}

impl Hint for TransportError {
    fn hint(&self) -> Option<String> {
        self.hint.map(str::to_owned)
    }
}

/// Whether a retry can help after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The server does not have the resource: try another.
    NotFound,
    /// The same request may succeed later.
    Transient {
        /// The wait that the server asks for.
        after: Option<Duration>,
    },
    /// The same request will fail again.
    Permanent,
}

/// Fetches resources.
pub trait Transport: Send + Sync {
    /// Sends one request and follows redirects. Waiting, retrying and the choice of mirrors are up to the caller.
    fn fetch(&self, request: &FetchRequest) -> Result<Response, TransportError>;
}

/// How often and how long a request is retried.
#[derive(Debug)]
pub struct RetryPolicy {
    /// How often each URL is tried before the download fails. A download that made progress starts over.
    pub attempts: u32,
    /// The wait after the first failure of all URLs; it doubles.
    pub first_wait: Duration,
    /// Where the doubling ends.
    pub longest_wait: Duration,
    /// How long servers may make this run wait.
    pub asked: AskedWaits,
}

/// The waits that servers ask for, with one limit for all of a run: many files of one busy server must not add up.
#[derive(Debug)]
pub struct AskedWaits(Mutex<Duration>);

impl AskedWaits {
    /// All waits together may take this long.
    pub fn up_to(limit: Duration) -> Self {
        Self(Mutex::new(limit))
    }

    /// As much of a wait as is left.
    pub(crate) fn grant(&self, asked: Duration) -> Duration {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = asked.min(*left);
        *left -= granted;
        granted
    }
}

impl Default for RetryPolicy {
    /// About eight seconds against a short outage; a long one is for the next run of the timer.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            asked: AskedWaits::up_to(Duration::from_secs(120)),
        }
    }
}

/// The URL of a file of this node.
pub fn file_url(path: &Path) -> String {
    format!("file://{}", as_url_path(&path.to_string_lossy()))
}

/// A path as a part of a URL: characters with a meaning in URLs are escaped.
pub fn as_url_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '%' | '#' | '?' | '\\' => escaped.push_str(&format!("%{:02X}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A URL that may be printed: without the user name and password of `https://user:password@host/`.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// A URL that may be stored: without user name and password, and without query and fragment, where signed URLs carry
/// their secret.
pub fn without_secrets(url: &str) -> String {
    let mut bare = without_password(url);
    bare.truncate(bare.find(['?', '#']).unwrap_or(bare.len()));
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_path_in_a_url() {
        assert_eq!(file_url(Path::new("/50%41 #1?/a\\b+c~1")), "file:///50%2541 %231%3F/a%5Cb+c~1");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("https://me:p@ss@host/x@y?z@"), "https://host/x@y?z@");
        assert_eq!(without_password("https://host/x@y"), "https://host/x@y");
        assert_eq!(without_password("no url"), "no url");
        assert_eq!(without_secrets("https://me:p@ss@host/x@y?signature=z@#f"), "https://host/x@y");
        assert_eq!(without_secrets("https://me:p@host?signature=z"), "https://host");
        let error = TransportError::new("http://a:b@c", "it broke", FailureKind::Permanent);
        assert_eq!(error.to_string(), "http://c: it broke");
    }
}
