//! What fits into memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::retry::Sources;
use super::{AcquireError, RetryPolicy};
use crate::failure::in_full;
use crate::host::clock::Clock;
use crate::host::transport::{
    Body, FailureKind, FetchRequest, Response, Transport, TransportError, without_password, without_secrets,
};

/// Which version of a resource was seen where: only the same URL is asked whether it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where, without secrets: this is stored.
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

/// Why one of several places was of no use.
#[derive(Debug)]
pub enum Useless<E> {
    /// Nothing came from there.
    Acquire(AcquireError),
    /// What came from there was refused.
    Refused {
        /// Where, without secrets.
        url: String,
        /// Why.
        reason: E,
    },
}

impl<E: Error + 'static> fmt::Display for Useless<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => f.write_str(&in_full(error)),
            Self::Refused { url, reason } => write!(f, "{url}: {}", in_full(reason)),
        }
    }
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
    let any = &mut |small| Ok::<_, Infallible>(small);
    match fetch_accepted(transport, clock, urls, limit, unless, policy, any) {
        Ok((small, _)) => Ok(small),
        Err(failures) => Err(verdict(failures)),
    }
}

/// Fetches what fits into `limit` bytes and is accepted by `judge` from the first URL that has such; also
/// returns which URLs were left before, and why. A server whose answer is refused is not asked again: it would
/// give the same one. Without an acceptable answer, each URL's failure is returned.
#[expect(clippy::type_complexity, reason = "what was accepted, and what was passed over")]
pub fn fetch_accepted<T, E>(
    transport: &dyn Transport,
    clock: &dyn Clock,
    urls: &[String],
    limit: u64,
    unless: Option<&Seen>,
    policy: &RetryPolicy,
    judge: &mut dyn FnMut(Small) -> Result<T, E>,
) -> Result<(T, Vec<Useless<E>>), Vec<Useless<E>>> {
    let mut sources = Sources::new(urls, policy, clock);
    let mut failures = Vec::new();
    // Those that may do better later: how often each was asked, and its last failure
    let mut busy: BTreeMap<&str, (u32, TransportError)> = BTreeMap::new();
    while let Some(url) = sources.current() {
        let unless = unless.filter(|seen| seen.url == without_secrets(url)).map(|seen| seen.tag.clone());
        let result = transport.fetch(&FetchRequest { url: url.to_owned(), unless, resume: None });
        let attempts = 1 + busy.get(url).map_or(0, |(attempts, _)| *attempts);
        let failure = match result.and_then(|response| read(url, response, limit)) {
            Ok(Whole::Read(small)) => match judge(small) {
                Ok(accepted) => return Ok((accepted, failures)),
                Err(reason) => Useless::Refused { url: without_secrets(url), reason },
            },
            Ok(Whole::TooLarge) => {
                Useless::Acquire(AcquireError::TooLarge { url: without_password(url), limit })
            }
            Err(source) => match source.kind {
                FailureKind::NotFound => {
                    Useless::Acquire(AcquireError::NotFound { urls: vec![without_password(url)] })
                }
                FailureKind::Permanent => {
                    Useless::Acquire(AcquireError::Fetch { attempts, kept: None, source })
                }
                FailureKind::Transient { after } => {
                    busy.insert(url, (attempts, source));
                    match sources.failed(after) {
                        Some(wait) => clock.sleep(wait),
                        None => break,
                    }
                    continue;
                }
            },
        };
        busy.remove(url);
        sources.leave();
        failures.push(failure);
    }
    failures.extend(urls.iter().filter_map(|url| {
        let (attempts, source) = busy.remove(url.as_str())?;
        Some(Useless::Acquire(AcquireError::Fetch { attempts, kept: None, source }))
    }));
    Err(failures)
}

/// The failures of all URLs as one: that nobody has it only if all say so.
fn verdict(failures: Vec<Useless<Infallible>>) -> AcquireError {
    let mut missing = Vec::new();
    let mut requests = 0;
    let mut last = None;
    for failure in failures {
        let error = match failure {
            Useless::Acquire(error) => error,
            Useless::Refused { reason, .. } => match reason {},
        };
        match error {
            AcquireError::NotFound { urls } => missing.extend(urls),
            AcquireError::Fetch { attempts, kept, source } => {
                requests += attempts;
                last = Some(AcquireError::Fetch { attempts: requests, kept, source });
            }
            error => last = Some(error),
        }
    }
    match last {
        Some(error) => error,
        None if missing.is_empty() => AcquireError::NoUrl { name: "what was asked for".to_owned() },
        None => AcquireError::NotFound { urls: missing },
    }
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
    let cut = |message: String| TransportError::new(url, message, FailureKind::Transient { after: None });
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| cut(error.to_string()))?;
    let length = bytes.len() as u64;
    if length > limit {
        return Ok(Whole::TooLarge);
    }
    if let Some(total) = total.filter(|total| *total != length) {
        return Err(cut(format!("ended after {length} of {total} bytes")));
    }
    let seen = tag.map(|tag| Seen { url: without_secrets(url), tag });
    Ok(Whole::Read(Small::Fetched { bytes, url: url.to_owned(), seen }))
}
