//! What can keep a root from being proposed, signed, or finished.

use std::path::PathBuf;

use jiff::Timestamp;
use sysext_manifests::envelope::EnvelopeError;
use sysext_manifests::hint::Hint as _;
use sysext_manifests::trust::TrustError;

use super::Need;
use crate::keys::KeyError;
use crate::store::FileError;

/// Why a chain of roots is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Key(KeyError),
    #[error("{path} is not readable at line {} column {}", .source.line(), .source.column(), path = .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path}: root {position} in it is damaged or was altered", path = .path.display())]
    Envelope { path: PathBuf, position: usize, source: EnvelopeError },
    #[error("{path} holds no root", path = .path.display())]
    Empty { path: PathBuf },
    #[error("{path} has no next root", path = .path.display())]
    End { path: PathBuf },
    #[error("these {role} keys cannot be used")]
    Role { role: &'static str, source: EnvelopeError },
    #[error("{key} is twice among the {role} keys")]
    Twice { role: &'static str, key: String },
    #[error("cannot pack the root to be signed")]
    Pack(#[source] std::io::Error),
    #[error("{key} has signed root {number} already, and counts once")]
    Again { number: u64, key: String },
    #[error("{key} is neither among the keys of root {number} nor of the one before it")]
    Stranger { number: u64, key: String },
    #[error("{other} proposes something else than {path}", path = .path.display(), other = .other.display())]
    OtherProposal { path: PathBuf, other: PathBuf },
    #[error("{path} does not go on from the roots in {to}", path = .path.display(), to = .to.display())]
    OtherChain { path: PathBuf, to: PathBuf },
    #[error("root {number} in {path} is not signed by enough: {}", list(.needs), path = .path.display())]
    Unsigned { path: PathBuf, number: u64, needs: Vec<Need> },
    #[error("nodes would not follow these roots")]
    Trust(#[source] TrustError),
    #[error("nodes would not get to root {number} in {path}: they stay at root {reached}", path = .path.display())]
    Unreached { path: PathBuf, number: u64, reached: u64 },
    #[error("root {number} expired at {expires} (it is {now} here)")]
    Expired { number: u64, expires: Timestamp, now: Timestamp },
    #[error("{path} exists, and proposals are never overwritten", path = .path.display())]
    Exists { path: PathBuf },
}

/// Whose signatures are missing.
fn list(needs: &[Need]) -> String {
    let missing = needs.iter().filter(|need| need.missing() > 0);
    let missing = missing.map(|Need { of_root, threshold, signed, unsigned }| {
        let (signed, rest) = (signed.len(), unsigned.join(", "));
        format!("{signed} of the keys of root {of_root} signed, {threshold} must (not yet: {rest})")
    });
    missing.collect::<Vec<_>>().join("; ")
}

impl RootError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::Trust(error) => return error.hint(),
            Self::Json { .. } | Self::Envelope { .. } | Self::Empty { .. } => {
                "restore the file: roots.json also travels in every published catalog".to_owned()
            }
            Self::Unsigned { path, .. } => {
                format!("each of them runs `bakery root sign {} --key FILE`", path.display())
            }
            Self::OtherChain { .. } => {
                "somebody finished another root meanwhile: propose and sign again from there".to_owned()
            }
            Self::Expired { .. } => "propose it again with --expires-in".to_owned(),
            Self::Exists { .. } => "choose another place, or remove it if nobody needs it".to_owned(),
            Self::Stranger { .. } => "`bakery root show` lists the keys whose signatures count".to_owned(),
            _ => return None,
        })
    }
}
