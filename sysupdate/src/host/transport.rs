//! The network, as little of it as the program needs.

use std::fmt;
use std::io::Read;

/// What to fetch.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// An absolute URL: `http`, `https` or `file`.
    pub url: String,
    /// Only if it no longer is the one with this entity tag.
    pub unless: Option<String>,
    /// Go on from here, if it still is the same.
    pub resume: Option<Resume>,
}

/// Where an interrupted download goes on.
#[derive(Clone, Debug)]
pub struct Resume {
    /// How many bytes are there.
    pub offset: u64,
    /// The strong validator the bytes came with.
    pub validator: String,
}

/// What came.
#[derive(Debug)]
pub enum Response {
    /// It still is the one whose entity tag was given.
    NotModified,
    /// Bytes.
    Body(Body),
}

/// Bytes on their way.
pub struct Body {
    /// The offset of the first byte: 0, or where the request asked to go on.
    pub start: u64,
    /// How long the whole resource is, where the server says.
    pub total: Option<u64>,
    /// The entity tag, if the server gave a strong one.
    pub validator: Option<String>,
    /// The bytes.
    pub reader: Box<dyn Read>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("start", &self.start).field("total", &self.total).finish_non_exhaustive()
    }
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {message}")]
pub struct TransportError {
    /// What was asked for.
    pub url: String,
    /// What happened, as a lower-case fragment.
    pub message: String,
    /// What that means for the next step.
    pub kind: Failure,
}

/// What a failure means for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not there: try elsewhere.
    NotFound,
    /// The same request may succeed later.
    Transient,
    /// The same request will fail again.
    Permanent,
}

/// Fetches resources.
pub trait Transport {
    /// Asks once. Waiting, retrying and choosing among mirrors are the caller's.
    fn fetch(&self, request: &Request) -> Result<Response, TransportError>;
}
