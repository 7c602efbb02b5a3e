//! What can keep a release from being made.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::hint::Hint as _;
use sysext_manifests::transfer::TextError;

use crate::keys::KeyError;
use crate::keys::openpgp::OpenPgpKeyError;
use crate::naming::NamingError;
use crate::release::read::OfferError;
use crate::store::FileError;
use crate::store::record::RecordError;

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Record(RecordError),
    #[error(transparent)]
    Naming(NamingError),
    #[error(transparent)]
    Offer(OfferError),
    #[error(transparent)]
    Key(KeyError),
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    #[error("{path} has {found}, its record says {expected}", path = .path.display())]
    Damaged { path: PathBuf, expected: String, found: String },
    #[error("{image} was offered in serial {serial} with other bytes")]
    Replaced { image: String, serial: u64 },
    #[error("{longer} extends the name {shorter}, and systemd 257 would install it as {shorter}")]
    Extended { shorter: String, longer: String },
    #[error("cannot write the transfer file of {name}")]
    Transfer { name: String, source: TextError },
    #[error("cannot write the SHA256SUMS of {name}")]
    Checksums { name: String, source: ChecksumsError },
    #[error("root {root} wants {threshold} signatures under a catalog, and {given} keys were given")]
    Threshold { root: u64, threshold: usize, given: usize },
    #[error("{key} was given twice, and counts once")]
    KeyTwice { key: String },
    #[error("the newest root here is {root}, but the last catalog was signed under root {last}")]
    OlderRoot { root: u64, last: u64 },
    #[error("there is no catalog to refresh")]
    NothingToRefresh,
    #[error("what is in the store is not what was offered last: {}", .changed.join(", "))]
    NoRefresh { changed: Vec<String> },
    #[error("the last catalog under root {root} has the last serial there is")]
    LastSerial { root: u64 },
    #[error("there is no store at {store}", store = .store.display())]
    NoStore { store: PathBuf },
    #[error("{store} is the store of the repository {found}, not of {repository}", store = .store.display())]
    OtherRepository { store: PathBuf, found: String, repository: String },
    #[error("it is {now} here, but the last catalog was signed at {issued}")]
    ClockBehind { now: Timestamp, issued: Timestamp },
    #[error("{days} days from {now} is no date")]
    Lifetime { days: u32, now: Timestamp },
    #[error("cannot write the catalog as JSON")]
    Json(#[source] serde_json::Error),
}

impl IndexError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Record(error) => error.hint(),
            Self::Naming(error) => error.hint(),
            Self::Offer(error) => error.hint(),
            Self::Key(error) => error.hint(),
            Self::OpenPgp(error) => error.hint(),
            Self::Damaged { .. } => Some("bake it again".to_owned()),
            Self::Replaced { .. } => Some(
                "bake it with the next --revision, so that nodes see it; if nobody has the old bytes, --replace"
                    .to_owned(),
            ),
            Self::Extended { .. } => Some("bake it under another version".to_owned()),
            Self::NoStore { store } => Some(format!(
                "name the directory that `bakery bake --out` wrote to, or bake into {} first",
                store.display()
            )),
            Self::OtherRepository { .. } => {
                Some("use one store for each repository".to_owned())
            }
            Self::ClockBehind { .. } => Some("correct this machine's clock".to_owned()),
            Self::Checksums { source, .. } => source.hint(),
            Self::Threshold { .. } => {
                Some(
                    "give --key FILE for each catalog key that signs, or --unfinished if others sign later with \
                     `bakery sign`"
                        .to_owned(),
                )
            }
            Self::OlderRoot { .. } => {
                Some("use the newest roots.json: `bakery root show` tells its number".to_owned())
            }
            Self::LastSerial { .. } => {
                Some("somebody else may have signed it: make a new root, with new catalog keys (`bakery root rotate`)".to_owned())
            }
            Self::NothingToRefresh | Self::NoRefresh { .. } => {
                Some("leave out --refresh to offer what is in the store".to_owned())
            }
            Self::KeyTwice { .. } | Self::Transfer { .. } | Self::Lifetime { .. } | Self::Json(_) => None,
        }
    }
}
