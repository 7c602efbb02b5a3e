//! What can keep a release from being published.

use std::path::PathBuf;

use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::digest::Sha256;
use sysext_manifests::hint::Hint as _;

use crate::offer::OfferError;
use crate::store::FileError;

/// Why nothing more was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// A catalog.
    #[error(transparent)]
    Offer(OfferError),
    /// There is no release.
    #[error("{path} does not exist", path = .path.display())]
    NotIndexed {
        /// The catalog that should be there.
        path: PathBuf,
    },
    /// The release waits for signatures.
    #[error("not enough have signed {path}", path = .path.display())]
    Unfinished {
        /// The catalog.
        path: PathBuf,
    },
    /// A file is not what the catalog says.
    #[error("{path} is not what the catalog says: its digest is {found}, expected {expected}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the catalog says.
        expected: Sha256,
        /// What the file has.
        found: Sha256,
    },
    /// A catalog with a path in it that leads elsewhere.
    #[error("the catalog names {url:?}, which is not a file of {name}")]
    Url {
        /// The extension.
        name: String,
        /// The URL.
        url: String,
    },
    /// The stock manifest is not readable.
    #[error("{path} is not usable", path = .path.display())]
    Checksums {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ChecksumsError,
    },
    /// The stock manifest lists something else than the catalog.
    #[error("{path} does not list the same images as the catalog", path = .path.display())]
    Torn {
        /// The file.
        path: PathBuf,
    },
    /// The list of what this store published is not readable.
    #[error("{path} is not a list of published images that this program reads", path = .path.display())]
    History {
        /// The list.
        path: PathBuf,
    },
    /// That list could not be put into JSON.
    #[error("cannot write the list of published images as JSON")]
    Json(#[source] serde_json::Error),
    /// What is served is another repository's.
    #[error("{target} serves the repository {found}, this is {repository}", target = .target.display())]
    OtherRepository {
        /// The served directory.
        target: PathBuf,
        /// Its repository.
        found: String,
        /// This one.
        repository: String,
    },
    /// What is served is newer.
    #[error("{target} already serves serial {found} (root {found_root}), this is serial {serial} (root {root})", target = .target.display())]
    Older {
        /// The served directory.
        target: PathBuf,
        /// The serial there.
        found: u64,
        /// The root there.
        found_root: u64,
        /// The serial here.
        serial: u64,
        /// The root here.
        root: u64,
    },
    /// What is served has the same serial and says something else.
    #[error("{target} serves another catalog with the same serial {serial}", target = .target.display())]
    Fork {
        /// The served directory.
        target: PathBuf,
        /// The serial.
        serial: u64,
    },
}

impl PublishError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Offer(error) => return error.hint(),
            Self::Checksums { source, .. } => return source.hint(),
            Self::Json(_) => return None,
            Self::History { path } => {
                format!("remove {}; what it named is then never pruned, but by hand", path.display())
            }
            Self::NotIndexed { .. } => "run `bakery index` first".to_owned(),
            Self::Unfinished { .. } => {
                "each holder of a catalog key runs `bakery sign STORE --key FILE`, until enough have"
                    .to_owned()
            }
            Self::Damaged { .. } | Self::Torn { .. } => {
                "run `bakery index` again; if it complains about an image, bake that again".to_owned()
            }
            Self::Url { .. } => "make the catalog anew with `bakery index`".to_owned(),
            Self::OtherRepository { .. } => "publish each repository to a directory of its own".to_owned(),
            Self::Older { .. } | Self::Fork { .. } => {
                "nodes refuse to go back; index in the store that was published last".to_owned()
            }
        })
    }
}
