//! What can keep a release from being made.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::hint::Hint as _;
use sysext_manifests::transfer::TextError;

use crate::keys::KeyError;
use crate::naming::NamingError;
use crate::offer::OfferError;
use crate::openpgp::OpenPgpKeyError;
use crate::record::RecordError;
use crate::store::FileError;

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file of the store.
    #[error(transparent)]
    File(FileError),
    /// A record.
    #[error(transparent)]
    Record(RecordError),
    /// A name.
    #[error(transparent)]
    Naming(NamingError),
    /// The old catalog, or the new one.
    #[error(transparent)]
    Offer(OfferError),
    /// Signing.
    #[error(transparent)]
    Key(KeyError),
    /// Signing for stock tools.
    #[error(transparent)]
    OpenPgp(OpenPgpKeyError),
    /// An image that is not what its record says.
    #[error("{path} has {found}, its record says {expected}", path = .path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// What the record or the last catalog says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// An image that changed after it was offered.
    #[error("{image} was offered in serial {serial} with other bytes")]
    Replaced {
        /// The image.
        image: String,
        /// The serial of the catalog that offered it.
        serial: u64,
    },
    /// Two names of which one extends the other.
    #[error("{longer} extends the name {shorter}, and systemd 257 would install it as {shorter}")]
    Extended {
        /// The shorter name.
        shorter: String,
        /// The longer name.
        longer: String,
    },
    /// A transfer file cannot be written.
    #[error("cannot write the transfer file of {name}")]
    Transfer {
        /// The extension.
        name: String,
        /// Why not.
        source: TextError,
    },
    /// The stock manifest cannot be written.
    #[error("cannot write the SHA256SUMS of {name}")]
    Checksums {
        /// The extension.
        name: String,
        /// Why not.
        source: ChecksumsError,
    },
    /// Too few keys sign.
    #[error("root {root} wants {threshold} signatures under a catalog, and {given} keys were given")]
    Threshold {
        /// The root's number.
        root: u64,
        /// How many it wants.
        threshold: usize,
        /// How many there are.
        given: usize,
    },
    /// One key counts once.
    #[error("{key} was given twice, and counts once")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// An older root than that of the last catalog: no node would believe it.
    #[error("the newest root here is {root}, but the last catalog was signed under root {last}")]
    OlderRoot {
        /// The newest root's number.
        root: u64,
        /// The last catalog's.
        last: u64,
    },
    /// Nothing was offered yet.
    #[error("there is no catalog to refresh")]
    NothingToRefresh,
    /// A refresh that would be more.
    #[error("what is in the store is not what was offered last: {}", .changed.join(", "))]
    NoRefresh {
        /// The extensions that differ.
        changed: Vec<String>,
    },
    /// There is no next serial.
    #[error("the last catalog under root {root} has the last serial there is")]
    LastSerial {
        /// The root's number.
        root: u64,
    },
    /// There is neither a catalog nor an image.
    #[error("there is no store at {store}", store = .store.display())]
    NoStore {
        /// Where one was expected.
        store: PathBuf,
    },
    /// The store is another repository's.
    #[error("{store} is the store of the repository {found}, not of {repository}", store = .store.display())]
    OtherRepository {
        /// The store.
        store: PathBuf,
        /// Its repository.
        found: String,
        /// This one.
        repository: String,
    },
    /// The clock is behind the last catalog.
    #[error("it is {now} here, but the last catalog was signed at {issued}")]
    ClockBehind {
        /// The time of signing.
        now: Timestamp,
        /// When the last one was signed.
        issued: Timestamp,
    },
    /// A life that ends beyond all calendars.
    #[error("{days} days from {now} is no date")]
    Lifetime {
        /// How many days.
        days: u32,
        /// From when.
        now: Timestamp,
    },
    /// The catalog could not be put into JSON.
    #[error("cannot write the catalog as JSON")]
    Json(#[source] serde_json::Error),
}

impl IndexError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
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
