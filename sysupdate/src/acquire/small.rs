//! Small documents, which fit into memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::{MINIMUM, Pace};
use super::retry::Mirrors;
use super::{AcquireError, Fetcher};
use crate::failure::in_full;
use crate::host::clock::Clock;
use crate::host::transport::{
    Body, FailureKind, FetchRequest, Response, TransportError, without_password, without_secrets,
};

/// How long one URL may take for a document, all requests together. A server that sends one byte at a time must not
/// stop the updates of everything else.
const DEADLINE: Duration = Duration::from_secs(120);

/// Bytes per read.
const CHUNK: usize = 64 << 10;

/// The version of a document: the same URL is asked for it only if it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTag {
    /// The URL, without secrets: this is stored.
    pub url: String,
    /// The entity tag of the server.
    pub tag: String,
}

/// A small document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// It was fetched.
    Fetched {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its URL.
        url: String,
        /// Its version, for the next request.
        seen: Option<CacheTag>,
    },
    /// It did not change.
    NotModified,
}

/// Why one of several URLs was not used.
#[derive(Debug)]
pub enum Rejected<E> {
    /// The document could not be fetched.
    Fetch(AcquireError),
    /// The document was not accepted.
    Refused {
        /// The URL, without secrets.
        url: String,
        /// Why not.
        reason: E,
    },
}

impl<E: Error + 'static> fmt::Display for Rejected<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => f.write_str(&in_full(error)),
            Self::Refused { url, reason } => write!(f, "{url}: {}", in_full(reason)),
        }
    }
}

/// A document that was accepted.
#[derive(Debug)]
pub struct Accepted<T, E> {
    /// What was made of it.
    pub value: T,
    /// The URLs that were tried before.
    pub rejected: Vec<Rejected<E>>,
}

impl Fetcher<'_> {
    /// Fetches a document of at most `limit` bytes from the first URL that has it.
    pub fn small(
        &self,
        urls: &[String],
        limit: u64,
        unless: Option<&CacheTag>,
    ) -> Result<Small, AcquireError> {
        let accepted = self.accepted(urls, limit, unless, &mut Ok::<_, Infallible>);
        accepted.map(|accepted| accepted.value).map_err(as_one)
    }

    /// Fetches a document of at most `limit` bytes that `judge` accepts from the first URL that has one. A server
    /// whose document is rejected is not asked again: it would send the same one. If no document is accepted,
    /// the failure of each URL is returned.
    pub fn accepted<T, E>(
        &self,
        urls: &[String],
        limit: u64,
        unless: Option<&CacheTag>,
        judge: &mut dyn FnMut(Small) -> Result<T, E>,
    ) -> Result<Accepted<T, E>, Vec<Rejected<E>>> {
        let Self { transport, clock, policy } = *self;
        let mut mirrors = Mirrors::new(urls, policy, clock);
        let mut failures = Vec::new();
        // URLs with transient failures: how often each was tried, and its last failure
        let mut busy: BTreeMap<&str, (u32, TransportError)> = BTreeMap::new();
        let mut spent: BTreeMap<&str, Duration> = BTreeMap::new();
        while let Some(url) = mirrors.current() {
            let unless = unless.filter(|seen| seen.url == without_secrets(url)).map(|seen| seen.tag.clone());
            let spent = spent.entry(url).or_default();
            let start = clock.elapsed();
            let end = start + DEADLINE.saturating_sub(*spent);
            let result = transport.fetch(&FetchRequest { url: url.to_owned(), unless, resume: None });
            let attempts = 1 + busy.get(url).map_or(0, |(attempts, _)| *attempts);
            let result = result.and_then(|response| read(url, response, limit, clock, end));
            *spent += clock.elapsed().saturating_sub(start);
            let failure = match result {
                Ok(Whole::Read(small)) => match judge(small) {
                    Ok(value) => return Ok(Accepted { value, rejected: failures }),
                    Err(reason) => Rejected::Refused { url: without_secrets(url), reason },
                },
                Ok(Whole::TooLarge) => {
                    Rejected::Fetch(AcquireError::TooLarge { url: without_password(url), limit })
                }
                Err(source) => match source.kind {
                    FailureKind::NotFound => {
                        Rejected::Fetch(AcquireError::NotFound { urls: vec![without_password(url)] })
                    }
                    FailureKind::Permanent => {
                        Rejected::Fetch(AcquireError::Fetch { attempts, kept: None, source })
                    }
                    FailureKind::Transient { .. } if *spent >= DEADLINE => {
                        Rejected::Fetch(AcquireError::Fetch { attempts, kept: None, source })
                    }
                    FailureKind::Transient { after } => {
                        busy.insert(url, (attempts, source));
                        match mirrors.failed(after) {
                            Some(wait) => clock.sleep(wait),
                            None => break,
                        }
                        continue;
                    }
                },
            };
            busy.remove(url);
            mirrors.leave();
            failures.push(failure);
        }
        failures.extend(urls.iter().filter_map(|url| {
            let (attempts, source) = busy.remove(url.as_str())?;
            Some(Rejected::Fetch(AcquireError::Fetch { attempts, kept: None, source }))
        }));
        Err(failures)
    }
}

/// The failures of all URLs as one: not found only if all of them say so.
fn as_one(failures: Vec<Rejected<Infallible>>) -> AcquireError {
    let mut missing = Vec::new();
    let mut requests = 0;
    let mut last = None;
    for failure in failures {
        let error = match failure {
            Rejected::Fetch(error) => error,
            Rejected::Refused { reason, .. } => match reason {},
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
        None if missing.is_empty() => AcquireError::NoUrl { name: "the document".to_owned() },
        None => AcquireError::NotFound { urls: missing },
    }
}

enum Whole {
    Read(Small),
    TooLarge,
}

/// Reads a body until `end`.
fn read(
    url: &str,
    response: Response,
    limit: u64,
    clock: &dyn Clock,
    end: Duration,
) -> Result<Whole, TransportError> {
    let Response::Body(Body { total, tag, mut reader, .. }) = response else {
        return Ok(Whole::Read(Small::NotModified));
    };
    if total.is_some_and(|total| total > limit) {
        return Ok(Whole::TooLarge);
    }
    let cut = |message: String| TransportError::new(url, message, FailureKind::Transient { after: None });
    let mut bytes = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let mut pace = Pace::new(clock.elapsed());
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut(error.to_string())),
        };
        bytes.extend_from_slice(&buffer[..count]);
        let length = bytes.len() as u64;
        if length > limit {
            return Ok(Whole::TooLarge);
        }
        if total == Some(length) {
            break;
        }
        let now = clock.elapsed();
        if now >= end {
            let seconds = DEADLINE.as_secs();
            return Err(cut(format!("timed out after {seconds} seconds, with {length} bytes received")));
        }
        if let Some(slow) = pace.count(count as u64, now).filter(|pace| *pace < MINIMUM) {
            return Err(cut(format!("stalled: {slow} bytes in a minute")));
        }
    }
    let length = bytes.len() as u64;
    if let Some(total) = total.filter(|total| *total != length) {
        return Err(cut(format!("ended after {length} of {total} bytes")));
    }
    let seen = tag.map(|tag| CacheTag { url: without_secrets(url), tag });
    Ok(Whole::Read(Small::Fetched { bytes, url: url.to_owned(), seen }))
}
