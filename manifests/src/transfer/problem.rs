//! What can be wrong with a transfer file: what stops it, and what is only told.

use std::fmt;

use super::{
    Activate, Channel, INSTANCES_MAX_FLOOR, RelativeTo, SourceType, SpanError, TargetType, WordsError,
};
use crate::health::HealthCheckError;
use crate::hint::Hint;
use crate::ini::{IniError, IniWarning};
use crate::pattern::{PatternError, Wildcard};
use crate::position::Position;
use crate::requirement::{RequirementError, VersionRequirementError};
use crate::specifier::SpecifierError;
use crate::version::VersionError;

/// Where an assignment is, printed as `FILE:LINE:COLUMN: [SECTION] KEY=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Where the key begins.
    pub at: Position,
    /// The section.
    pub section: &'static str,
    /// The key.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, section, key } = self;
        write!(f, "{file}:{at}: [{section}] {key}=")
    }
}

/// A transfer file that cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransferError {
    /// The file is no INI file.
    #[error(transparent)]
    Ini(#[from] IniError),
    /// A key that must be there.
    #[error("{file}: [{section}] {key}= is missing")]
    Missing {
        /// The file.
        file: String,
        /// The section it belongs in.
        section: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A source of a kind that does not exist.
    #[error("{place}: {value:?} is no type of sources; there are {}", SourceType::listing())]
    SourceType {
        /// Where.
        place: Place,
        /// The type.
        value: String,
    },
    /// A target of a kind that does not exist.
    #[error("{place}: {value:?} is no type of targets; there are {}", TargetType::listing())]
    TargetType {
        /// Where.
        place: Place,
        /// The type.
        value: String,
    },
    /// A target that its source cannot fill.
    #[error("{place}: a source of type {source_type} cannot fill a target of type {target_type}")]
    Mismatch {
        /// Where.
        place: Place,
        /// The source's type.
        source_type: SourceType,
        /// The target's type.
        target_type: TargetType,
    },
    /// A place that does not exist.
    #[error("{place}: {value:?} is none of {}", RelativeTo::listing())]
    PathRelativeTo {
        /// Where.
        place: Place,
        /// What was asked for.
        value: String,
    },
    /// A place that such a source or target cannot start from.
    #[error("{place}: a path of type {kind} cannot be relative to {value}")]
    NotFromThere {
        /// Where.
        place: Place,
        /// What was asked for.
        value: RelativeTo,
        /// The type.
        kind: &'static str,
    },
    /// A source that is no URL.
    #[error("{place}: {value:?} is not a valid http, https or file URL")]
    Url {
        /// Where.
        place: Place,
        /// The value, expanded.
        value: String,
    },
    /// A path that is relative or goes back and forth.
    #[error("{place}: {value:?} is not an absolute, normalized path")]
    Path {
        /// Where.
        place: Place,
        /// The value, expanded.
        value: String,
    },
    /// A pattern that is none.
    #[error("{place}: {reason}")]
    Pattern {
        /// Where.
        place: Place,
        /// Why not.
        reason: PatternError,
    },
    /// A value that cannot be expanded.
    #[error("{place}: {reason}")]
    Specifier {
        /// Where.
        place: Place,
        /// Why not.
        reason: SpecifierError,
    },
    /// A value that cannot be split into words.
    #[error("{place}: {reason}")]
    Words {
        /// Where.
        place: Place,
        /// Why not.
        reason: WordsError,
    },
    /// A repository that cannot be a file's name.
    #[error("{place}: {value:?} is not a repository's identifier")]
    Repository {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// A way to activate that does not exist.
    #[error("{place}: {value:?} is none of {}", Activate::listing())]
    Activate {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// A channel that does not exist.
    #[error("{place}: {value:?} is none of {}", Channel::listing())]
    Channel {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// An invalid `Version=`.
    #[error("{place}: {reason}")]
    VersionRequirement {
        /// Where.
        place: Place,
        /// Why not.
        reason: Box<VersionRequirementError>,
    },
    /// An invalid `Requires=`.
    #[error("{place}: {reason}")]
    Requirement {
        /// Where.
        place: Place,
        /// Why not.
        reason: Box<RequirementError>,
    },
    /// A limit that is no version.
    #[error("{place}: {reason}")]
    Version {
        /// Where.
        place: Place,
        /// Why not.
        reason: VersionError,
    },
    /// No number of bytes.
    #[error("{place}: {value:?} is no number of bytes a second")]
    Bandwidth {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// Neither yes nor no, where guessing would update what should stay.
    #[error("{place}: {value:?} is neither yes nor no")]
    Hold {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// A health check that cannot run.
    #[error("{place}: {reason}")]
    HealthCheck {
        /// Where.
        place: Place,
        /// Why not.
        reason: Box<HealthCheckError>,
    },
}

impl Hint for TransferError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Ini(error) => error.hint(),
            Self::Pattern { reason, .. } => reason.hint(),
            Self::Specifier { reason, .. } => reason.hint(),
            Self::HealthCheck { reason, .. } => reason.hint(),
            Self::Repository { .. } => {
                Some("letters, digits, '.', '_' and '-' are allowed, and no '.' at the start".to_owned())
            }
            Self::Missing { section: "Source", key: "Type", .. } => {
                Some(format!("there are {}", SourceType::listing()))
            }
            Self::Requirement { reason, .. } => reason.hint(),
            Self::VersionRequirement { reason, .. } => reason.hint(),
            Self::Bandwidth { .. } => Some("write for example Bandwidth=500K, 10M or 1G".to_owned()),
            Self::Mismatch { source_type, .. } => {
                let fits = TargetType::ALL.iter().filter(|kind| source_type.fits(**kind));
                let fits: Vec<_> = fits.map(|kind| kind.as_str()).collect();
                Some(format!("Type= may be {} there", fits.join(" or ")))
            }
            Self::Hold { .. } => Some("write Hold=yes or Hold=no".to_owned()),
            Self::Missing { .. }
            | Self::SourceType { .. }
            | Self::TargetType { .. }
            | Self::PathRelativeTo { .. }
            | Self::NotFromThere { .. }
            | Self::Channel { .. }
            | Self::Version { .. }
            | Self::Url { .. }
            | Self::Path { .. }
            | Self::Words { .. }
            | Self::Activate { .. } => None,
        }
    }
}

/// Something odd in a transfer file that does not stop it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Warning {
    /// A line that is no part of an INI file.
    #[error(transparent)]
    Ini(#[from] IniWarning),
    /// A section that does not exist.
    #[error("{file}:{at}: unknown section [{section}], ignored{}", did_you_mean(meant.map(|name| format!("[{name}]"))))]
    UnknownSection {
        /// The file.
        file: String,
        /// Where the header begins.
        at: Position,
        /// The section.
        section: String,
        /// A section that is spelt like it.
        meant: Option<&'static str>,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key, ignored{}", did_you_mean(meant.as_ref().map(Meant::to_string)))]
    UnknownKey {
        /// Where.
        place: Place,
        /// What may have been meant.
        meant: Option<Meant>,
    },
    /// No version, so there is no lower limit or no protection by it.
    #[error("{place}: {reason}, ignored")]
    Version {
        /// Where.
        place: Place,
        /// Why not.
        reason: VersionError,
    },
    /// A value that cannot be expanded.
    #[error("{place}: {reason}, ignored")]
    Specifier {
        /// Where.
        place: Place,
        /// Why not.
        reason: SpecifierError,
    },
    /// A value that cannot be split into words.
    #[error("{place}: {reason}, ignored")]
    Words {
        /// Where.
        place: Place,
        /// Why not.
        reason: WordsError,
    },
    /// No URL.
    #[error("{place}: {value:?} is not a valid URL, ignored")]
    Url {
        /// Where.
        place: Place,
        /// The value, expanded.
        value: String,
    },
    /// Neither yes nor no.
    #[error("{place}: {value:?} is neither yes nor no, ignored")]
    Boolean {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// No number.
    #[error("{place}: {value:?} is not a whole number, ignored")]
    Number {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// No UUID.
    #[error("{place}: {value:?} is not a UUID, ignored")]
    Uuid {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// No type of partitions.
    #[error("{place}: {value:?} is neither a UUID nor the name of a partition type, ignored")]
    PartitionType {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// No access mode.
    #[error("{place}: {value:?} is not an access mode in octal digits, ignored")]
    Mode {
        /// Where.
        place: Place,
        /// The value.
        value: String,
    },
    /// No path that a symlink can have.
    #[error("{place}: {value:?} is not a normalized path of a file, ignored")]
    Symlink {
        /// Where.
        place: Place,
        /// The value, expanded.
        value: String,
    },
    /// No time span that checks could pass in.
    #[error("{place}: {reason}, ignored")]
    Span {
        /// Where.
        place: Place,
        /// Why not.
        reason: SpanError,
    },
    /// No time at all.
    #[error("{place}: checks cannot pass in no time, ignored")]
    ZeroSpan {
        /// Where.
        place: Place,
    },
    /// Fewer versions than a target must keep.
    #[error("{place}: a target keeps at least {INSTANCES_MAX_FLOOR} versions, raised from {value}")]
    InstancesMax {
        /// Where.
        place: Place,
        /// What was written.
        value: u64,
    },
    /// A counter that no name shows.
    #[error("{place}: without effect, the target's MatchPattern= has no {wildcard}")]
    NoWildcard {
        /// Where.
        place: Place,
        /// The wildcard that would show it.
        wildcard: Wildcard,
    },
    /// An escape that means nothing.
    #[error("{place}: unknown escape {escape:?}, left as it is")]
    UnknownEscape {
        /// Where.
        place: Place,
        /// The escape.
        escape: String,
    },
}

/// What an unknown key may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A key of this section that is spelt like it.
    Key(&'static str),
    /// The same key in another section.
    Section(&'static str),
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{key}="),
            Self::Section(section) => write!(f, "the section [{section}]"),
        }
    }
}

fn did_you_mean(meant: Option<String>) -> String {
    meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default()
}
