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
pub(crate) enum SignError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Offer(OfferError),
    #[error(transparent)]
    Key(KeyError),
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    #[error("{path} is not readable at line {} column {}", .source.line(), .source.column(), path = .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path} does not exist", path = .path.display())]
    NotIndexed { path: PathBuf },
    #[error("{path} holds no root", path = .path.display())]
    NoRoot { path: PathBuf },
    #[error("{path} is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, source: EnvelopeError },
    #[error("no node would follow the roots in {path}", path = .path.display())]
    Trust { path: PathBuf, source: TrustError },
    #[error("the release in {path} belongs to root {found}, the newest root is {newest}", path = .path.display())]
    OtherRoot { path: PathBuf, found: u64, newest: u64 },
    #[error("{store} is the store of the repository {repository}, the release to sign is of {found}", store = .store.display())]
    OtherRepository { store: PathBuf, found: String, repository: String },
    #[error("the release in {path} has serial {serial}, and the store has finished serial {last}", path = .path.display())]
    Overtaken { path: PathBuf, serial: u64, last: u64 },
    #[error("the release in {path} ended at {expires} (it is {now} here)", path = .path.display())]
    Ended { path: PathBuf, expires: Timestamp, now: Timestamp },
    #[error("the release is not that of this store")]
    Store(#[source] CheckError),
    #[error("{key} is not among the catalog keys of root {root}")]
    Stranger { key: String, root: u64 },
    #[error("{key} has signed serial {serial} already, and counts once")]
    Again { key: String, serial: u64 },
    #[error("the release names the OpenPGP signatures of {name}, which were made with it")]
    Named { name: String },
}

impl SignError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
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
