//! Downloads: small documents (manifests, catalogs) into memory, images into files.
//!
//! Transient failures are retried, and interrupted downloads are resumed or restarted. A downloaded file is
//! `Unverified` until its digest is compared with a verified claim.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use sysext_manifests::digest::Sha256;
use sysext_manifests::hint::Hint;

use crate::host::store::StoreError;
use crate::host::transport::{FailureKind, TransportError};

mod download;
mod fetcher;
mod origin;
mod pace;
mod reserve;
mod retry;
mod small;

pub use fetcher::Fetcher;
pub use origin::beside as origin_beside;
pub use small::{Accepted, CacheTag, Rejected, Small};

/// What a download is doing.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The server begins to send.
    Started {
        /// The URL, without a password.
        url: &'a str,
        /// How many bytes the file has from an earlier attempt.
        offset: u64,
        /// How many bytes the file will have, if that is known.
        total: Option<u64>,
    },
    /// Bytes were received.
    Received {
        /// How many bytes the file has.
        done: u64,
        /// How many bytes the file will have, if that is known.
        total: Option<u64>,
    },
    /// An attempt failed; the next one follows, perhaps at another URL.
    Retrying {
        /// Why it failed.
        reason: &'a (dyn Error + 'static),
        /// How long until the next attempt.
        wait: Duration,
    },
}

/// A partial file that a later run resumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub offset: u64,
}

/// Why something could not be downloaded.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum AcquireError {
    #[error("{name} has no URL")]
    NoUrl { name: String },
    #[error("not found: {}", urls.join(", "))]
    NotFound { urls: Vec<String> },
    #[error("gave up after {attempts} {}{}", if *attempts == 1 { "attempt" } else { "attempts" }, in_words(kept))]
    Fetch { attempts: u32, kept: Option<Resumable>, source: TransportError },
    #[error("{url}: the SHA-256 digest is {found}, expected {expected}")]
    Digest { url: String, expected: Sha256, found: Sha256 },
    #[error("{url}: offers {} bytes, expected {expected}", if *found > *expected { format!("at least {found}") } else { found.to_string() })]
    Size { url: String, expected: u64, found: u64 },
    #[error("{url}: more than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    #[error("{}: {needed} bytes are needed and {free} free", path.display())]
    Space { path: PathBuf, needed: u64, free: u64 },
    #[error(
        "{}: {free} bytes are free, of which {reserve} must stay free because the size of the file is not verified",
        path.display()
    )]
    Reserve { path: PathBuf, reserve: u64, free: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hint for AcquireError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotFound { .. } => "the version may have been withdrawn, or a mirror has not caught up",
            Self::Fetch { source, .. } if source.hint.is_some() => return source.hint(),
            Self::Fetch { source, kept, .. } => match (source.kind, kept) {
                (FailureKind::Transient { .. }, Some(_)) => "the next run resumes the download",
                (FailureKind::Transient { .. }, None) => "check the network; the next run retries",
                _ => return None,
            },
            Self::Digest { .. } | Self::Size { .. } => {
                "a proxy or mirror may be outdated, or the file was replaced without its digest"
            }
            Self::Space { .. } | Self::Reserve { .. } => {
                "free some space, or lower InstancesMax= so that fewer old versions are kept"
            }
            Self::NoUrl { .. } | Self::TooLarge { .. } | Self::Store(_) => return None,
        };
        Some(text.to_owned())
    }
}

fn in_words(kept: &Option<Resumable>) -> String {
    match kept {
        Some(Resumable { path, offset }) => format!(", {offset} bytes are kept in {}", path.display()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
