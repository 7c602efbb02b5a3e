//! What can keep a signature from being added to a release.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::envelope::EnvelopeError;
use sysext_manifests::trust::TrustError;

use crate::keys::KeyError;
use crate::keys::openpgp::OpenPgpKeyError;
use crate::release::check::CheckError;
use crate::release::read::OfferError;
use crate::store::FileError;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// A finished release.
    #[error(transparent)]
    Offer(OfferError),
    /// Signing.
    #[error(transparent)]
    Key(KeyError),
    /// Signing for stock tools.
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    /// Not the expected JSON.
    #[error("{path} is not readable at line {} column {}", .source.line(), .source.column(), path = .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// There is no release.
    #[error("{path} does not exist", path = .path.display())]
    NotIndexed {
        /// The catalog that should be there.
        path: PathBuf,
    },
    /// There is no root to sign under.
    #[error("{path} holds no root", path = .path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
    },
    /// Something inside is damaged, or a signature does not fit.
    #[error("{path} is damaged or was altered", path = .path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// The chain of roots does not hold.
    #[error("no node would follow the roots in {path}", path = .path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: TrustError,
    },
    /// It was made under another root than the newest.
    #[error("the release in {path} belongs to root {found}, the newest root is {newest}", path = .path.display())]
    OtherRoot {
        /// The file.
        path: PathBuf,
        /// Its root's number.
        found: u64,
        /// The newest root's number.
        newest: u64,
    },
    /// It is another repository's.
    #[error("{store} is the store of the repository {repository}, the release to sign is of {found}", store = .store.display())]
    OtherRepository {
        /// The store.
        store: PathBuf,
        /// The repository of the release.
        found: String,
        /// The store's.
        repository: String,
    },
    /// Another release was finished meanwhile.
    #[error("the release in {path} has serial {serial}, and the store has finished serial {last}", path = .path.display())]
    Overtaken {
        /// The file.
        path: PathBuf,
        /// Its serial.
        serial: u64,
        /// The finished one's.
        last: u64,
    },
    /// Its life is over.
    #[error("the release in {path} ended at {expires} (it is {now} here)", path = .path.display())]
    Ended {
        /// The file.
        path: PathBuf,
        /// When it ended.
        expires: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// What it offers is not what is in the store.
    #[error("the release is not that of this store")]
    Store(#[source] CheckError),
    /// The key's signature would count for nothing.
    #[error("{key} is not among the catalog keys of root {root}")]
    Stranger {
        /// The key.
        key: String,
        /// The root's number.
        root: u64,
    },
    /// The key signed already.
    #[error("{key} has signed serial {serial} already, and counts once")]
    Again {
        /// The key.
        key: String,
        /// The serial.
        serial: u64,
    },
    /// The catalog names other OpenPGP signatures.
    #[error("the release names the OpenPGP signatures of {name}, which were made with it")]
    Named {
        /// The extension.
        name: String,
    },
}

impl SignError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Offer(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::OpenPgp(error) => return error.hint(),
            Self::NotIndexed { .. } => "run `bakery index` first".to_owned(),
            Self::Json { .. } | Self::Envelope { .. } | Self::NoRoot { .. } | Self::Trust { .. } => {
                "do not sign it; ask whoever gave it to you for the file as it was made".to_owned()
            }
            Self::OtherRoot { .. } | Self::Overtaken { .. } | Self::Ended { .. } => {
                "make a new one with `bakery index`".to_owned()
            }
            Self::OtherRepository { .. } => "use one store for each repository".to_owned(),
            Self::Store(_) => {
                "do not sign it; the store must be complete, and what `bakery index` made of it".to_owned()
            }
            Self::Stranger { .. } => "`bakery root show` lists the keys whose signatures count".to_owned(),
            Self::Named { .. } => {
                "leave out --openpgp-key, or make the release anew with `bakery index`, without one"
                    .to_owned()
            }
            Self::Again { .. } => return None,
        })
    }
}
