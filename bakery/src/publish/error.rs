//! What keeps a release from being published.

use std::path::PathBuf;

use crate::failure::Hint;
use crate::release::check::CheckError;
use crate::release::drops::{self, Drop, Missing};
use crate::release::error::ComposeError;
use crate::release::read::CatalogError;
use crate::store::FileError;
use crate::store::dropped::DroppedError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Check(CheckError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Collect(ComposeError),
    #[error(transparent)]
    Dropped(DroppedError),
    #[error("no store at {store}", store = .store.display())]
    NoStore { store: PathBuf },
    #[error("nothing to publish: {store} has no signed catalog", store = .store.display())]
    NotIndexed { store: PathBuf },
    #[error("{store} contains images that are not on offer: {}", drops::list(.unindexed), store = .store.display())]
    Unindexed { store: PathBuf, unindexed: Vec<Missing> },
    #[error("{path} lacks signatures", path = .path.display())]
    Unfinished { path: PathBuf },
    #[error("{path} is not a list of published images in a known format", path = .path.display())]
    History { path: PathBuf },
    #[error("cannot write the list of published images as JSON")]
    Json(#[source] serde_json::Error),
    #[error("{target} serves repository {found}, not {repository}", target = .target.display())]
    OtherRepository { target: PathBuf, found: String, repository: String },
    #[error(
        "{target} already serves serial {found} (root {found_root}), this is serial {serial} (root {root})",
        target = .target.display()
    )]
    Older { target: PathBuf, found: u64, found_root: u64, serial: u64, root: u64 },
    #[error("{target} serves another catalog with the same serial {serial}", target = .target.display())]
    Fork { target: PathBuf, serial: u64 },
    #[error(
        "{target} offers images that this release does not contain (serial {serial}): {}",
        drops::list(.missing),
        target = .target.display()
    )]
    Missing { target: PathBuf, serial: u64, missing: Vec<Missing> },
    #[error("cannot drop {drop}: it is not published, or this release still offers it")]
    DropUnknown { drop: Drop },
}

impl Hint for PublishError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Check(error) => return error.hint(),
            Self::Catalog(error) => return error.hint(),
            Self::Collect(error) => return error.hint(),
            Self::Dropped(error) => return error.hint(),
            Self::Json(_) => return None,
            Self::NoStore { .. } => "name the directory that `bakery bake --out` wrote to".to_owned(),
            Self::NotIndexed { .. } => "run `bakery index` first".to_owned(),
            Self::Unindexed { .. } => {
                "run `bakery index` first, or pass --allow-unindexed to publish the release without them"
                    .to_owned()
            }
            Self::History { path } => {
                format!("remove {}; the files it listed then have to be pruned by hand", path.display())
            }
            Self::Unfinished { .. } => {
                "each holder of a catalog key runs `bakery sign STORE --key FILE` until it has all signatures"
                    .to_owned()
            }
            Self::OtherRepository { .. } => "publish each repository to a separate directory".to_owned(),
            Self::Older { .. } | Self::Fork { .. } => {
                "nodes reject older serials; use the store that was published last".to_owned()
            }
            Self::Missing { missing, .. } => format!(
                "another publisher may have released them: index in a store that contains them, or stop offering \
                 them with {}",
                drops::options(missing)
            ),
            Self::DropUnknown { .. } => "`bakery show DIR` lists what is published".to_owned(),
        })
    }
}
