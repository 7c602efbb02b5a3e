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
pub enum RootError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// A key, or signing with it.
    #[error(transparent)]
    Key(KeyError),
    /// Not the expected JSON.
    #[error("{path} is not readable at line {} column {}", .source.line(), .source.column(), path = .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A root that is not readable, or a signature under it that does not fit.
    #[error("{path}: root {position} in it is damaged or was altered", path = .path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 1.
        position: usize,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// No root at all.
    #[error("{path} holds no root", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The last number there is.
    #[error("{path} has no next root", path = .path.display())]
    End {
        /// The file.
        path: PathBuf,
    },
    /// Keys that do not make a role.
    #[error("these {role} keys cannot be used")]
    Role {
        /// `root` or `catalog`.
        role: &'static str,
        /// What is wrong.
        source: EnvelopeError,
    },
    /// Somebody would have two voices.
    #[error("{key} is twice among the {role} keys")]
    Twice {
        /// `root` or `catalog`.
        role: &'static str,
        /// The key.
        key: String,
    },
    /// The root could not be packed.
    #[error("cannot pack the root to be signed")]
    Pack(#[source] std::io::Error),
    /// The key signed already.
    #[error("{key} has signed root {number} already, and counts once")]
    Again {
        /// The root's number.
        number: u64,
        /// The key.
        key: String,
    },
    /// The key's signature would count for nothing.
    #[error("{key} is neither among the keys of root {number} nor of the one before it")]
    Stranger {
        /// The root's number.
        number: u64,
        /// The key.
        key: String,
    },
    /// Two files that propose different things.
    #[error("{other} proposes something else than {path}", path = .path.display(), other = .other.display())]
    OtherProposal {
        /// A file.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The proposal goes on from another chain.
    #[error("{path} does not go on from the roots in {to}", path = .path.display(), to = .to.display())]
    OtherChain {
        /// The proposal.
        path: PathBuf,
        /// The chain.
        to: PathBuf,
    },
    /// Signatures are missing.
    #[error("root {number} in {path} is not signed by enough: {}", list(.needs), path = .path.display())]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// The root's number.
        number: u64,
        /// Whose signatures it needs.
        needs: Vec<Need>,
    },
    /// Nodes would refuse the chain.
    #[error("nodes would not follow these roots")]
    Trust(#[source] TrustError),
    /// Nodes would not get to the end of the chain.
    #[error("nodes would not get to root {number} in {path}: they stay at root {reached}", path = .path.display())]
    Unreached {
        /// The file.
        path: PathBuf,
        /// The root's number.
        number: u64,
        /// How far they get.
        reached: u64,
    },
    /// The root ended before it began.
    #[error("root {number} expired at {expires} (it is {now} here)")]
    Expired {
        /// The root's number.
        number: u64,
        /// When it ended.
        expires: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// A file is there already.
    #[error("{path} exists, and proposals are never overwritten", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
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
    pub fn hint(&self) -> Option<String> {
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
