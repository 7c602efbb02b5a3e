//! What keeps a signature from being added to a release.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::envelope::EnvelopeError;

use crate::failure::Hint;
use crate::keys::KeyError;
use crate::keys::openpgp::OpenPgpKeyError;
use crate::release::check::CheckError;
use crate::release::read::CatalogError;
use crate::store::{FileError, JsonError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Key(KeyError),
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    #[error(transparent)]
    Json(JsonError),
    #[error("cannot write the catalog as JSON")]
    Write(#[source] serde_json::Error),
    #[error("nothing to sign: {path} does not exist", path = .path.display())]
    NotIndexed { path: PathBuf },
    #[error(transparent)]
    Altered(CatalogError),
    #[error("{path} is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, source: EnvelopeError },
    #[error("{store} belongs to repository {repository}, the release to sign to {found}", store = .store.display())]
    OtherRepository { store: PathBuf, found: String, repository: String },
    #[error("the release in {path} has serial {serial}, but serial {last} is already finished", path = .path.display())]
    Superseded { path: PathBuf, serial: u64, last: u64 },
    #[error("the release in {path} expired at {expires} (the system clock shows {now})", path = .path.display())]
    Expired { path: PathBuf, expires: Timestamp, now: Timestamp },
    #[error("the release does not match this store")]
    Store(#[source] CheckError),
    #[error("{key} is not a catalog key of root {root}")]
    UnknownKey { key: String, root: u64 },
    #[error("{key} has already signed serial {serial}")]
    AlreadySigned { key: String, serial: u64 },
    #[error("the release already contains OpenPGP signatures for {name}")]
    HasSignatures { name: String },
}

impl Hint for SignError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Catalog(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::OpenPgp(error) => return error.hint(),
            Self::NotIndexed { .. } => "run `bakery index` first".to_owned(),
            Self::Altered(CatalogError::OtherRoot { .. }) => {
                "create a new release with `bakery index`".to_owned()
            }
            Self::Json(_) | Self::Envelope { .. } | Self::Altered(_) => {
                "do not sign it; get an unmodified copy from whoever created it".to_owned()
            }
            Self::Superseded { .. } | Self::Expired { .. } => {
                "create a new release with `bakery index`".to_owned()
            }
            Self::OtherRepository { .. } => "use a separate store for each repository".to_owned(),
            Self::Store(_) => {
                "do not sign it; the store must be complete, as `bakery index` left it".to_owned()
            }
            Self::UnknownKey { .. } => "`bakery root show` lists the catalog keys".to_owned(),
            Self::HasSignatures { .. } => {
                "omit --openpgp-key, or run `bakery index` again without one".to_owned()
            }
            Self::AlreadySigned { .. } | Self::Write(_) => return None,
        })
    }
}
