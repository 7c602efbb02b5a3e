//! The errors and warnings of transfer files.

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

/// Why a transfer file is invalid.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TransferError {
    #[error(transparent)]
    Ini(#[from] IniError),
    #[error("{file}: [{section}] {key}= is missing")]
    Missing { file: String, section: &'static str, key: &'static str },
    #[error("{place}: {value:?} is an unknown source type; expected one of {}", SourceType::listing())]
    SourceType { place: Place, value: String },
    #[error("{place}: {value:?} is an unknown target type; expected one of {}", TargetType::listing())]
    TargetType { place: Place, value: String },
    #[error("{place}: a source of type {source_type} cannot fill a target of type {target_type}")]
    Mismatch { place: Place, source_type: SourceType, target_type: TargetType },
    #[error("{place}: {value:?} is unknown; expected one of {}", RelativeTo::listing())]
    PathRelativeTo { place: Place, value: String },
    #[error("{place}: a path of type {kind} cannot be relative to {value}")]
    Base { place: Place, value: RelativeTo, kind: &'static str },
    #[error("{place}: {value:?} is not a valid http, https or file URL")]
    Url { place: Place, value: String },
    #[error("{place}: {value:?} is not an absolute, normalized path")]
    Path { place: Place, value: String },
    #[error("{place}: {reason}")]
    Pattern { place: Place, reason: PatternError },
    #[error("{place}: {reason}")]
    Specifier { place: Place, reason: SpecifierError },
    #[error("{place}: {reason}")]
    Words { place: Place, reason: WordsError },
    #[error("{place}: {value:?} is not a repository's identifier")]
    Repository { place: Place, value: String },
    #[error("{place}: {value:?} is unknown; expected one of {}", Activate::listing())]
    Activate { place: Place, value: String },
    #[error("{place}: {value:?} is unknown; expected one of {}", Channel::listing())]
    Channel { place: Place, value: String },
    #[error("{place}: {reason}")]
    VersionRequirement { place: Place, reason: Box<VersionRequirementError> },
    #[error("{place}: {reason}")]
    Requirement { place: Place, reason: Box<RequirementError> },
    #[error("{place}: {reason}")]
    Version { place: Place, reason: VersionError },
    #[error("{place}: {value:?} is not a number of bytes per second")]
    Bandwidth { place: Place, value: String },
    #[error("{place}: {value:?} is not a boolean")]
    Hold { place: Place, value: String },
    #[error("{place}: {reason}")]
    HealthCheck { place: Place, reason: Box<HealthCheckError> },
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
                Some(format!("expected one of {}", SourceType::listing()))
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
            | Self::Base { .. }
            | Self::Channel { .. }
            | Self::Version { .. }
            | Self::Url { .. }
            | Self::Path { .. }
            | Self::Words { .. }
            | Self::Activate { .. } => None,
        }
    }
}

/// Something in a transfer file that is ignored.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Warning {
    #[error(transparent)]
    Ini(#[from] IniWarning),
    #[error("{file}:{at}: unknown section [{section}], ignored{}", did_you_mean(meant.map(|name| format!("[{name}]"))))]
    UnknownSection { file: String, at: Position, section: String, meant: Option<&'static str> },
    #[error("{place}: unknown key, ignored{}", did_you_mean(meant.as_ref().map(Meant::to_string)))]
    UnknownKey { place: Place, meant: Option<Meant> },
    #[error("{place}: {reason}, ignored")]
    Version { place: Place, reason: VersionError },
    #[error("{place}: {reason}, ignored")]
    Specifier { place: Place, reason: SpecifierError },
    #[error("{place}: {reason}, ignored")]
    Words { place: Place, reason: WordsError },
    #[error("{place}: {value:?} is not a valid URL, ignored")]
    Url { place: Place, value: String },
    #[error("{place}: {value:?} is not a boolean, ignored")]
    Boolean { place: Place, value: String },
    #[error("{place}: {value:?} is not a whole number, ignored")]
    Number { place: Place, value: String },
    #[error("{place}: {value:?} is not a UUID, ignored")]
    Uuid { place: Place, value: String },
    #[error("{place}: {value:?} is neither a UUID nor the name of a partition type, ignored")]
    PartitionType { place: Place, value: String },
    #[error("{place}: {value:?} is not an access mode in octal digits, ignored")]
    Mode { place: Place, value: String },
    #[error("{place}: {value:?} is not a normalized path of a file, ignored")]
    Symlink { place: Place, value: String },
    #[error("{place}: {reason}, ignored")]
    Span { place: Place, reason: SpanError },
    #[error("{place}: a timeout of 0 is ignored")]
    ZeroSpan { place: Place },
    #[error("{place}: a target keeps at least {INSTANCES_MAX_FLOOR} versions, raised from {value}")]
    InstancesMax { place: Place, value: u64 },
    #[error("{place}: no effect, because the target's MatchPattern= does not use {wildcard}")]
    NoWildcard { place: Place, wildcard: Wildcard },
    #[error("{place}: unknown escape {escape:?}, left as it is")]
    UnknownEscape { place: Place, escape: String },
}

/// What an unknown key may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// A key of this section with a similar name.
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
