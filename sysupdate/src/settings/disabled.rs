//! Transfers whose features are disabled. The next update removes their files.

use std::fmt;

use serde::Serialize;
use sysext_manifests::transfer::Transfer;

/// What a command does with a disabled component that is named, and with a component whose transfers are all
/// disabled. Where all components are chosen, disabled ones are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisabled {
    /// It fails.
    Fail,
    /// It works on a disabled component as on any other, with a warning.
    Warn,
    /// It works on it as on any other: its files may be removed.
    Allow,
}

/// A disabled transfer.
#[derive(Clone, Debug)]
pub struct DisabledTransfer {
    /// The transfer.
    pub transfer: Transfer,
    /// Why it is disabled.
    pub reason: DisabledBy,
}

/// Why a transfer is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum DisabledBy {
    /// None of the features in `Features=` is enabled.
    Features {
        /// `Features=`.
        features: Vec<String>,
    },
    /// Some features in `RequisiteFeatures=` are disabled.
    RequisiteFeatures {
        /// Those of `RequisiteFeatures=` that are disabled.
        features: Vec<String>,
    },
}

impl fmt::Display for DisabledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (which, features) = match self {
            Self::Features { features } => ("its", features),
            Self::RequisiteFeatures { features } => ("its required", features),
        };
        let quoted: Vec<String> = features.iter().map(|feature| format!("{feature:?}")).collect();
        match &quoted[..] {
            [feature] => write!(f, "{which} feature {feature} is disabled"),
            features => write!(f, "{which} features {} are disabled", features.join(" and ")),
        }
    }
}
