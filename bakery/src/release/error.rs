//! What keeps a release from being created.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::transfer::TextError;

use super::drops::{self, Drop, Missing};
use super::read::CatalogError;
use crate::failure::Hint;
use crate::keys::KeyError;
use crate::keys::openpgp::OpenPgpKeyError;
use crate::naming::NamingError;
use crate::store::FileError;
use crate::store::dropped::DroppedError;
use crate::store::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Record(RecordError),
    #[error(transparent)]
    Naming(NamingError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Dropped(DroppedError),
    #[error(transparent)]
    Key(KeyError),
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    #[error("{path} has {found}, its record says {expected}", path = .path.display())]
    Damaged { path: PathBuf, expected: String, found: String },
    #[error("{image} was released with different contents (serial {serial})")]
    Replaced { image: String, serial: u64 },
    #[error("{store} no longer contains images that are on offer: {}", drops::list(.missing), store = .store.display())]
    Missing { store: PathBuf, missing: Vec<Missing> },
    #[error("cannot drop {drop}: the store still contains it")]
    DropPresent { drop: Drop },
    #[error("cannot drop {drop}: it is not on offer")]
    DropUnknown { drop: Drop },
    #[error("{longer} extends the name {shorter}, and systemd 257 would install it as {shorter}")]
    Extended { shorter: String, longer: String },
    #[error("cannot write the transfer file of {name}")]
    Transfer { name: String, source: TextError },
    #[error("cannot write the SHA256SUMS of {name}")]
    Checksums { name: String, source: ChecksumsError },
    #[error("{given} of {threshold} required signatures (root {root})")]
    Threshold { root: u64, threshold: usize, given: usize },
    #[error("{key} was given twice")]
    KeyTwice { key: String },
    #[error(
        "roots.json is outdated: it ends at root {root}, but the last catalog was signed under root {last}"
    )]
    OlderRoot { root: u64, last: u64 },
    #[error("no catalog to refresh")]
    NothingToRefresh,
    #[error("the store has changed since the last release: {}", .changed.join(", "))]
    RefreshChanges { changed: Vec<String> },
    #[error("the serial number is exhausted under root {root}")]
    LastSerial { root: u64 },
    #[error("no store at {store}", store = .store.display())]
    NoStore { store: PathBuf },
    #[error("nothing to index: {store} contains no image with a record", store = .store.display())]
    Nothing { store: PathBuf },
    #[error("{store} belongs to repository {found}, not {repository}", store = .store.display())]
    OtherRepository { store: PathBuf, found: String, repository: String },
    #[error("the system clock ({now}) is behind the last catalog, signed at {issued}")]
    ClockBehind { now: Timestamp, issued: Timestamp },
    #[error("{days} days from {now} is out of range")]
    Validity { days: u32, now: Timestamp },
    #[error("the catalog would be valid until {expires}, but root {root} allows at most {max_days} days")]
    Lifetime { root: u64, expires: Timestamp, max_days: u32 },
    #[error("cannot write the catalog as JSON")]
    Json(#[source] serde_json::Error),
}

impl Hint for ComposeError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Record(error) => return error.hint(),
            Self::Naming(error) => return error.hint(),
            Self::Catalog(error) => return error.hint(),
            Self::Dropped(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::OpenPgp(error) => return error.hint(),
            Self::Checksums { source, .. } => return source.hint(),
            Self::Damaged { .. } => "bake it again".to_owned(),
            Self::Replaced { .. } => {
                "bake it with the next --revision, so that nodes see it; if nobody has downloaded it, pass --replace"
                    .to_owned()
            }
            Self::Missing { missing, .. } => format!(
                "restore the images and their records, or stop offering them with {}",
                drops::options(missing)
            ),
            Self::DropPresent { .. } => "remove its image and its record from the store first".to_owned(),
            Self::DropUnknown { .. } => "`bakery show STORE` lists what is on offer".to_owned(),
            Self::Extended { .. } => "bake it under another version".to_owned(),
            Self::NoStore { store } => format!(
                "name the directory that `bakery bake --out` wrote to, or bake into {} first",
                store.display()
            ),
            Self::Nothing { .. } => "bake an extension into it first".to_owned(),
            Self::OtherRepository { .. } => "use a separate store for each repository".to_owned(),
            Self::ClockBehind { .. } => "correct this machine's clock".to_owned(),
            Self::Threshold { .. } => {
                "pass --key FILE for each catalog key that signs, or --unfinished if others sign later with \
                 `bakery sign`"
                    .to_owned()
            }
            Self::OlderRoot { .. } => "use the newest roots.json; `bakery root show` prints its number".to_owned(),
            Self::LastSerial { .. } => {
                "the key may be compromised: create a new root with new catalog keys (`bakery root rotate`)".to_owned()
            }
            Self::Lifetime { .. } => {
                "pass fewer days to --valid-for (they end at midnight UTC), or create a root that allows more with `bakery root rotate --catalog-lifetime`".to_owned()
            }
            Self::NothingToRefresh | Self::RefreshChanges { .. } => {
                "omit --refresh to offer what is in the store".to_owned()
            }
            Self::KeyTwice { .. } | Self::Transfer { .. } | Self::Validity { .. } | Self::Json(_) => return None,
        })
    }
}
