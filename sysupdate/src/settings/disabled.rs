//! Transfers that take no part, since features are off: what they installed goes.

use std::fmt;

use serde::Serialize;
use sysext_manifests::transfer::Transfer;

/// A transfer that takes no part.
#[derive(Clone, Debug)]
pub struct Idle {
    /// The transfer.
    pub transfer: Transfer,
    /// Why.
    pub because: FeaturesOff,
}

/// Why a transfer takes no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum FeaturesOff {
    /// It belongs to these features, and none of them is on.
    NoneOn {
        /// `Features=`.
        features: Vec<String>,
    },
    /// It requires these features, which are off.
    RequiredOff {
        /// Those of `RequisiteFeatures=` that are off.
        features: Vec<String>,
    },
}

impl fmt::Display for FeaturesOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, features) = match self {
            Self::NoneOn { features } => ("its", features),
            Self::RequiredOff { features } => ("its required", features),
        };
        match &features[..] {
            [feature] => write!(f, "{what} feature {feature} is off"),
            features => write!(f, "{what} features {} are off", features.join(" and ")),
        }
    }
}
