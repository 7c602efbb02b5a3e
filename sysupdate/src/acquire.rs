//! Brings bytes onto the node: small ones (manifests, catalogs) into memory, images into a file.
//!
//! A network fails, a mirror lags, a server lies: what is transient is tried again, what is kept of an
//! interrupted download is gone on from or thrown away, and nothing that lies there is ever in the way.
//! What comes is [`Unverified`] until it meets the claim of someone trusted.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysext_manifests::digest::Sha256;
use sysext_manifests::trust::{Claim, Unverified};

use crate::host::clock::Clock;
use crate::host::store::{Store, StoreError};
use crate::host::transport::{FailureKind, RetryPolicy, Transport, TransportError};
use sysext_manifests::hint::Hint;

mod download;
mod origin;
mod retry;
mod small;

pub use origin::beside as origin_beside;
pub use small::{Seen, Small, Useless, fetch_accepted, fetch_small};

/// What a download is doing.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Bytes are about to come.
    Started {
        /// From where, without a password.
        url: &'a str,
        /// How many are there from before.
        offset: u64,
        /// How many there will be, if that is known.
        total: Option<u64>,
    },
    /// Bytes came.
    Received {
        /// How many are there.
        done: u64,
        /// How many there will be, if that is known.
        total: Option<u64>,
    },
    /// Something went wrong and will be tried again, perhaps elsewhere.
    Retrying {
        /// What went wrong.
        reason: &'a (dyn Error + 'static),
        /// How long until then.
        wait: Duration,
    },
}

/// What a later run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// How many bytes it has.
    pub offset: u64,
}

/// Why something did not come.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// There is no URL to ask.
    #[error("{name} has no URL")]
    NoUrl {
        /// The file's name.
        name: String,
    },
    /// No server has it.
    #[error("not there: {}", urls.join(", "))]
    NotFound {
        /// Where it was looked for.
        urls: Vec<String>,
    },
    /// The network failed to the end, or the server refused.
    #[error("gave up after {attempts} {}{}", if *attempts == 1 { "attempt" } else { "attempts" }, in_words(kept))]
    Fetch {
        /// How many requests were made, over all URLs.
        attempts: u32,
        /// What is left of it.
        kept: Option<Kept>,
        /// The last failure.
        source: TransportError,
    },
    /// The bytes are others than were claimed.
    #[error("{url}: the SHA-256 digest is {found}, expected {expected}")]
    Digest {
        /// Where they came from.
        url: String,
        /// What was claimed.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// The server offers more or fewer bytes than were claimed.
    #[error("{url}: offers {} bytes, expected {expected}", if *found > *expected { format!("at least {found}") } else { found.to_string() })]
    Size {
        /// Where.
        url: String,
        /// What was claimed.
        expected: u64,
        /// What the server says, or how many came before this stopped.
        found: u64,
    },
    /// More bytes than anything of the kind may have.
    #[error("{url}: more than {limit} bytes")]
    TooLarge {
        /// Where.
        url: String,
        /// What is accepted.
        limit: u64,
    },
    /// It does not fit.
    #[error("{}: {needed} bytes are needed and {free} free", path.display())]
    Space {
        /// Where it should go.
        path: PathBuf,
        /// What is still to come.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The downloaded bytes cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hint for AcquireError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotFound { .. } => "the version may have been withdrawn, or a mirror has not caught up",
            Self::Fetch { source, .. } if source.hint.is_some() => return source.hint(),
            Self::Fetch { source, kept, .. } => match (source.kind, kept) {
                (FailureKind::Transient { .. }, Some(_)) => "the next run goes on where this one stopped",
                (FailureKind::Transient { .. }, None) => "check the network; the next run tries again",
                _ => return None,
            },
            Self::Digest { .. } | Self::Size { .. } => {
                "a proxy or mirror may hold old bytes, or the file was replaced without its digest"
            }
            Self::Space { .. } => "make room, or lower InstancesMax= so that fewer old versions are kept",
            Self::NoUrl { .. } | Self::TooLarge { .. } | Self::Store(_) => return None,
        };
        Some(text.to_owned())
    }
}

/// Downloads what is claimed into `partial`, trying the claim's URLs in their order.
///
/// What an earlier run left there is gone on from if it was meant for the same digest and the server still
/// has the same bytes; otherwise it is thrown away. Whatever was pieced together and turns out wrong is
/// fetched once more as a whole; a URL whose bytes are wrong as a whole is not asked again. On success the
/// file is durable and has the digest that was claimed; on failure it holds what the next run can use, or is gone.
pub fn download(
    transport: &dyn Transport,
    clock: &dyn Clock,
    store: &dyn Store,
    claim: &Claim,
    partial: &Path,
    policy: &RetryPolicy,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Unverified<PathBuf>, AcquireError> {
    download::Download::open(transport, clock, store, claim, partial)?.run(policy, progress)
}

fn in_words(kept: &Option<Kept>) -> String {
    match kept {
        Some(Kept { path, offset }) => format!(", {offset} bytes are kept in {}", path.display()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
