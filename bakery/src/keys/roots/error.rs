//! What keeps a root from being proposed, signed or finished.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::envelope::EnvelopeError;
use sysext_manifests::trust::TrustError;

use super::Need;
use crate::failure::Hint;
use crate::keys::KeyError;
use crate::store::{FileError, JsonError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Key(KeyError),
    #[error("{path} does not exist", path = .path.display())]
    Missing { path: PathBuf },
    #[error(transparent)]
    Json(JsonError),
    #[error("cannot write the roots as JSON")]
    Serialize(#[source] serde_json::Error),
    #[error("{path}: root {position} is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, position: usize, source: EnvelopeError },
    #[error("{path} contains no root", path = .path.display())]
    Empty { path: PathBuf },
    #[error("{path} has the highest possible root number", path = .path.display())]
    LastNumber { path: PathBuf },
    #[error("invalid {role} keys")]
    Role { role: &'static str, source: EnvelopeError },
    #[error("{key} was given twice as a {role} key")]
    Twice { role: &'static str, key: String },
    #[error("cannot pack the root to be signed")]
    Pack(#[source] std::io::Error),
    #[error("{key} has already signed root {number}")]
    AlreadySigned { number: u64, key: String },
    #[error("{key} is not a key of root {number} or of the root before it")]
    UnknownKey { number: u64, key: String },
    #[error("{other} and {path} are different proposals", path = .path.display(), other = .other.display())]
    OtherProposal { path: PathBuf, other: PathBuf },
    #[error("{path} does not extend the roots in {to}", path = .path.display(), to = .to.display())]
    OtherChain { path: PathBuf, to: PathBuf },
    #[error("root {number} in {path} lacks signatures: {}", list(.needs), path = .path.display())]
    Unsigned { path: PathBuf, number: u64, needs: Vec<Need> },
    #[error("nodes would reject these roots")]
    Trust(#[source] TrustError),
    #[error("nodes could not advance to root {number} in {path}; they would stay at root {reached}", path = .path.display())]
    Unreached { path: PathBuf, number: u64, reached: u64 },
    #[error("root {number} expired at {expires} (the system clock shows {now})")]
    Expired { number: u64, expires: Timestamp, now: Timestamp },
    #[error("{path} already exists; proposals are never overwritten", path = .path.display())]
    Exists { path: PathBuf },
}

/// Whose signatures are missing.
fn list(needs: &[Need]) -> String {
    let missing = needs.iter().filter(|need| need.missing() > 0);
    let missing = missing.map(|Need { of_root, threshold, signed, unsigned }| {
        let (signed, rest) = (signed.len(), unsigned.join(", "));
        format!("{signed} of {threshold} required from the keys of root {of_root} (missing: {rest})")
    });
    missing.collect::<Vec<_>>().join("; ")
}

impl Hint for RootError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::Trust(error) => return error.hint(),
            Self::Json(_) | Self::Envelope { .. } | Self::Empty { .. } => {
                "restore the file; every published catalog contains the roots too".to_owned()
            }
            Self::Unsigned { path, .. } => {
                format!("each of them runs `bakery root sign {} --key FILE`", path.display())
            }
            Self::OtherChain { .. } => {
                "another root was finished in the meantime: propose and sign again from there".to_owned()
            }
            Self::Missing { path } => format!(
                "`bakery keygen` or `bakery root init` creates the first roots; {} may be in another directory",
                path.file_name().unwrap_or_default().display()
            ),
            Self::Expired { .. } => "propose it again with --expires-in".to_owned(),
            Self::Exists { .. } => "choose another path, or remove the file if it is obsolete".to_owned(),
            Self::UnknownKey { .. } => "`bakery root show` lists the keys that can sign".to_owned(),
            _ => return None,
        })
    }
}
