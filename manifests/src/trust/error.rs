//! Why a catalog is not trusted.

use jiff::Timestamp;

use crate::catalog::{FORMAT, UrlError};
use crate::envelope::EnvelopeError;
use crate::hint::Hint;
use crate::position::SyntaxError;

/// Why a catalog is not trusted. Nothing on the node changes then.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TrustError {
    #[error("the catalog of {repository} is invalid: catalog.json:{source}")]
    Json { repository: String, source: SyntaxError },
    #[error("the catalog of {repository} has format {found}, but this program reads format {FORMAT}")]
    Format { repository: String, found: u32 },
    #[error("no root of {repository} is signed by the keys in this node's configuration")]
    NoRoot { repository: String, roots: usize },
    #[error("root {number} of {repository} is invalid: {reason}")]
    Root { repository: String, number: u64, reason: String },
    #[error("root {number} of {repository} expired at {expires} (it is {now} now)")]
    RootExpired { repository: String, number: u64, expires: Timestamp, now: Timestamp },
    #[error("the catalog of {repository} is not trusted by its root {root}: {source}")]
    Signature { repository: String, root: u64, source: EnvelopeError },
    #[error("root {number} belongs to repository {found:?}, not to {repository:?}")]
    RootOfOtherRepository { repository: String, number: u64, found: String },
    #[error(
        "the catalog of {repository} is valid from {issued} to {expires}, but its root {root} allows at most {max_days} days"
    )]
    Lifetime { repository: String, root: u64, issued: Timestamp, expires: Timestamp, max_days: u32 },
    #[error("the catalog is signed for repository {found:?}, not for {repository:?}")]
    OtherRepository { repository: String, found: String },
    #[error("the catalog of {repository} was signed under root {found}, but the newest root is {newest}")]
    OtherRoot { repository: String, found: u64, newest: u64 },
    #[error(
        "the catalog of {repository} has serial {found}, but this node has already accepted serial {seen}"
    )]
    Replayed { repository: String, found: u64, seen: u64 },
    #[error(
        "the catalog of {repository} offers {extension} at {url:?}, which is not a path below the repository: {reason}"
    )]
    Url { repository: String, extension: String, url: String, reason: UrlError },
    #[error("the catalog of {repository} expired at {expires} (it is {now} now)")]
    Expired { repository: String, root: u64, serial: u64, expires: Timestamp, now: Timestamp },
}

impl Hint for TrustError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Json { .. } | Self::Signature { source: EnvelopeError::Forged { .. }, .. } => {
                "try again; if it persists, tell the publisher that the file is damaged".to_owned()
            }
            Self::Format { found, .. } if *found < FORMAT => {
                "the publisher must sign it again with a current bakery".to_owned()
            }
            Self::Format { .. }
            | Self::Signature {
                source: EnvelopeError::Algorithm { .. } | EnvelopeError::KeyAlgorithm { .. },
                ..
            } => "update this program".to_owned(),
            Self::Signature { source: EnvelopeError::Legacy { .. }, .. } => {
                "the signature must be prehashed: minisign does that by default since 0.10, and with -H before".to_owned()
            }
            Self::NoRoot { repository, .. } => {
                format!("compare keys= in /etc/sysupdate/repositories/{repository}.toml with the publisher's")
            }
            Self::RootExpired { .. } | Self::Expired { .. } => {
                "check this node's clock; if it is right, the publisher must sign again".to_owned()
            }
            Self::Replayed { repository, .. } => format!(
                "the server or a mirror offers an old copy, and nothing older than the accepted serial is installed; only \
                 if the publisher says that the repository started again: `sysupdate trust reset {repository}`"
            ),
            Self::OtherRepository { found, .. } => {
                format!("the file in /etc/sysupdate/repositories must be named {found}.toml")
            }
            Self::RootOfOtherRepository { .. } => {
                "the server offers the roots of another repository, whose root is signed with the same key; tell the publisher"
                    .to_owned()
            }
            Self::Lifetime { .. } => {
                "nothing of this catalog is used; tell the publisher: the catalog key may be stolen".to_owned()
            }
            Self::Url { .. } => "nothing of this catalog is used; tell the publisher".to_owned(),
            Self::Root { .. } | Self::Signature { .. } | Self::OtherRoot { .. } => {
                "the publisher's files do not match each other, or somebody altered them".to_owned()
            }
        })
    }
}
