//! Why a catalog is not believed.

use jiff::Timestamp;

use crate::catalog::{FORMAT, UrlError};
use crate::envelope::EnvelopeError;
use crate::hint::Hint;
use crate::position::SyntaxError;

/// Why a catalog is not believed. Nothing on the node changes then.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not the expected JSON.
    #[error("the catalog of {repository} is invalid: catalog.json:{source}")]
    Json {
        /// The repository.
        repository: String,
        /// Where and what.
        source: SyntaxError,
    },
    /// Written by a later program.
    #[error("the catalog of {repository} has format {found}, this program reads format {FORMAT}")]
    Format {
        /// The repository.
        repository: String,
        /// Its format.
        found: u32,
    },
    /// No root that the operator's keys signed.
    #[error("none of the {roots} roots of {repository} is signed by the keys in this node's configuration")]
    NoRoot {
        /// The repository.
        repository: String,
        /// How many roots the file has.
        roots: usize,
    },
    /// A root that its predecessor signed but that does not hold by itself, or leaves a gap.
    #[error("root {number} of {repository} does not hold: {reason}")]
    Root {
        /// The repository.
        repository: String,
        /// Its number.
        number: u64,
        /// Why.
        reason: String,
    },
    /// The newest root's life is over.
    #[error("root {number} of {repository} expired at {expires} (it is {now} here)")]
    RootExpired {
        /// The repository.
        repository: String,
        /// Its number.
        number: u64,
        /// When it ended.
        expires: Timestamp,
        /// The time that was assumed.
        now: Timestamp,
    },
    /// The catalog's signature does not hold.
    #[error("the catalog of {repository} is not believed under its root {root}: {source}")]
    Signature {
        /// The repository.
        repository: String,
        /// The root's number.
        root: u64,
        /// Why.
        source: EnvelopeError,
    },
    /// Another repository's catalog.
    #[error("the catalog is signed for repository {found:?}, this is {repository:?}")]
    OtherRepository {
        /// The repository.
        repository: String,
        /// The name inside.
        found: String,
    },
    /// Signed under another root than the newest.
    #[error("the catalog of {repository} belongs to root {found}, the newest root is {newest}")]
    OtherRoot {
        /// The repository.
        repository: String,
        /// The number inside.
        found: u64,
        /// The newest root's number.
        newest: u64,
    },
    /// An older catalog than was already believed.
    #[error("the catalog of {repository} has serial {found}, this node has already seen {seen}")]
    Replayed {
        /// The repository.
        repository: String,
        /// Its serial.
        found: u64,
        /// The serial that was seen.
        seen: u64,
    },
    /// A file that does not lie below the repository.
    #[error(
        "the catalog of {repository} offers {extension} at {url:?}, which is no path below the repository: {reason}"
    )]
    Url {
        /// The repository.
        repository: String,
        /// The extension.
        extension: String,
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: UrlError,
    },
    /// The catalog's life is over.
    #[error("the catalog of {repository} expired at {expires} (it is {now} here)")]
    Expired {
        /// The repository.
        repository: String,
        /// The number of its root.
        root: u64,
        /// Its serial.
        serial: u64,
        /// When it ended.
        expires: Timestamp,
        /// The time that was assumed.
        now: Timestamp,
    },
}

impl Hint for TrustError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Json { .. } | Self::Signature { source: EnvelopeError::Forged { .. }, .. } => {
                "try again; if it stays, tell the publisher that the file is damaged".to_owned()
            }
            Self::Format { .. }
            | Self::Signature {
                source: EnvelopeError::Algorithm { .. } | EnvelopeError::KeyAlgorithm { .. },
                ..
            } => "update this program".to_owned(),
            Self::Signature { source: EnvelopeError::Legacy { .. }, .. } => {
                "the publisher has to sign the digest, as minisign does since 0.10 by itself and before with -H".to_owned()
            }
            Self::NoRoot { repository, .. } => {
                format!("compare keys= in /etc/sysupdate/repositories/{repository}.toml with the publisher's")
            }
            Self::RootExpired { .. } | Self::Expired { .. } => {
                "check this node's clock; if it is right, the publisher has to sign again".to_owned()
            }
            Self::Replayed { repository, .. } => format!(
                "a server or mirror offers an old copy, and nothing older than what was seen is installed; only \
                 if the publisher says that the repository started again: `sysupdate trust reset {repository}`"
            ),
            Self::OtherRepository { found, .. } => {
                format!("the file in /etc/sysupdate/repositories must be called {found}.toml")
            }
            Self::Url { .. } => "nothing of this catalog is used; tell the publisher".to_owned(),
            Self::Root { .. } | Self::Signature { .. } | Self::OtherRoot { .. } => {
                "the publisher's files do not fit together, or someone altered them".to_owned()
            }
        })
    }
}
