//! What fits into memory.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::sources::Sources;
use super::{AcquireError, RetryPolicy};
use crate::host::clock::Clock;
use crate::host::transport::{Body, Failure, Request, Response, Transport, TransportError, without_password};

/// Which version of a resource was seen where: only the same URL is asked whether it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where.
    pub url: String,
    /// What the server called it.
    pub tag: String,
}

/// Something small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// It came.
    Fetched {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Where it came from.
        url: String,
        /// What to ask with the next time.
        seen: Option<Seen>,
    },
    /// It still is what was seen.
    NotModified,
}

/// Fetches what fits into `limit` bytes from the first URL that has it.
pub fn fetch_small(
    transport: &dyn Transport,
    clock: &dyn Clock,
    urls: &[String],
    limit: u64,
    unless: Option<&Seen>,
    policy: &RetryPolicy,
) -> Result<Small, AcquireError> {
    let mut sources = Sources::new(urls, policy, clock);
    let mut attempts = 0;
    while let Some(url) = sources.current() {
        attempts += 1;
        let unless = unless.filter(|seen| seen.url == url).map(|seen| seen.tag.clone());
        let result = transport.fetch(&Request { url: url.to_owned(), unless, resume: None });
        let source = match result.and_then(|response| read(url, response, limit)) {
            Ok(Whole::Read(small)) => return Ok(small),
            Ok(Whole::TooLarge) => {
                sources.is_useless(AcquireError::TooLarge { url: without_password(url), limit });
                continue;
            }
            Err(source) => source,
        };
        match source.kind {
            Failure::NotFound => sources.is_missing(),
            Failure::Permanent => sources.is_useless(AcquireError::Fetch { attempts, kept: None, source }),
            Failure::Transient { after } => match sources.failed(after) {
                Some(wait) => clock.sleep(wait),
                None => return Err(AcquireError::Fetch { attempts, kept: None, source }),
            },
        }
    }
    Err(sources.verdict("what was asked for"))
}

enum Whole {
    Read(Small),
    TooLarge,
}

fn read(url: &str, response: Response, limit: u64) -> Result<Whole, TransportError> {
    let Response::Body(Body { total, tag, reader, .. }) = response else {
        return Ok(Whole::Read(Small::NotModified));
    };
    if total.is_some_and(|total| total > limit) {
        return Ok(Whole::TooLarge);
    }
    let cut = |message: String| TransportError::new(url, message, Failure::Transient { after: None });
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| cut(error.to_string()))?;
    let length = bytes.len() as u64;
    if length > limit {
        return Ok(Whole::TooLarge);
    }
    if let Some(total) = total.filter(|total| *total != length) {
        return Err(cut(format!("ended after {length} of {total} bytes")));
    }
    let seen = tag.map(|tag| Seen { url: url.to_owned(), tag });
    Ok(Whole::Read(Small::Fetched { bytes, url: url.to_owned(), seen }))
}
