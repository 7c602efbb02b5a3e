//! What can keep a release from being published.

use std::path::PathBuf;

use crate::release::check::CheckError;
use crate::release::read::OfferError;
use crate::store::FileError;

/// Why nothing more was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Check(CheckError),
    #[error(transparent)]
    Offer(OfferError),
    #[error("{path} does not exist", path = .path.display())]
    NotIndexed { path: PathBuf },
    #[error("not enough have signed {path}", path = .path.display())]
    Unfinished { path: PathBuf },
    #[error("{path} is not a list of published images that this program reads", path = .path.display())]
    History { path: PathBuf },
    #[error("cannot write the list of published images as JSON")]
    Json(#[source] serde_json::Error),
    #[error("{target} serves the repository {found}, this is {repository}", target = .target.display())]
    OtherRepository { target: PathBuf, found: String, repository: String },
    #[error("{target} already serves serial {found} (root {found_root}), this is serial {serial} (root {root})", target = .target.display())]
    Older { target: PathBuf, found: u64, found_root: u64, serial: u64, root: u64 },
    #[error("{target} serves another catalog with the same serial {serial}", target = .target.display())]
    Fork { target: PathBuf, serial: u64 },
}

impl PublishError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Offer(error) => return error.hint(),
            Self::Check(error) => return error.hint(),
            Self::Json(_) => return None,
            Self::History { path } => {
                format!("remove {}; what it named is then never pruned, but by hand", path.display())
            }
            Self::NotIndexed { .. } => "run `bakery index` first".to_owned(),
            Self::Unfinished { .. } => {
                "each holder of a catalog key runs `bakery sign STORE --key FILE`, until enough have"
                    .to_owned()
            }
            Self::OtherRepository { .. } => "publish each repository to a directory of its own".to_owned(),
            Self::Older { .. } | Self::Fork { .. } => {
                "nodes refuse to go back; index in the store that was published last".to_owned()
            }
        })
    }
}
