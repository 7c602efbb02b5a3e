//! Requirements between extensions: `containerd >=1.7`, in the catalog, in recipes and in `Requires=`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::hint::Hint;

pub mod map;
mod numbers;
mod versions;

pub use numbers::{read, stream};
pub use versions::{VersionRequirement, VersionRequirementError};

/// What is written for [`Requirement::versions`] that allow everything.
const ANY: &str = "*";

/// An extension that must be there as well, in a suitable version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The other extension.
    pub name: ExtensionName,
    /// The suitable versions. `None` allows all of them, including pre-releases; it is written as `*`.
    pub versions: Option<VersionRequirement>,
}

/// The name of an extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionName(String);

/// Why a text is not a requirement.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum RequirementError {
    #[error(transparent)]
    Name(#[from] ExtensionNameError),
    #[error(transparent)]
    Versions(#[from] Box<VersionRequirementError>),
}

/// Why a text is not the name of an extension.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
#[error("{text:?} is not the name of an extension")]
pub struct ExtensionNameError {
    pub text: String,
}

impl Hint for RequirementError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => Some("write for example containerd >=1.7".to_owned()),
            Self::Versions(error) => error.hint(),
        }
    }
}

impl Hint for ExtensionNameError {
    fn hint(&self) -> Option<String> {
        Some("letters, digits, '.', '_' and '-' are allowed, and no '.' at the start".to_owned())
    }
}

impl Requirement {
    fn new(name: ExtensionName, versions: &str) -> Result<Self, VersionRequirementError> {
        let versions = match versions.trim() {
            ANY => None,
            versions => Some(versions.parse()?),
        };
        Ok(Self { name, versions })
    }
}

impl ExtensionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let text = text.trim();
        let end = text.find(|character| !is_allowed(character)).unwrap_or(text.len());
        let (name, versions) = text.split_at(end);
        let name = name.parse().map_err(|_| ExtensionNameError { text: text.to_owned() })?;
        let versions = if versions.is_empty() { ANY } else { versions };
        Self::new(name, versions).map_err(|error| RequirementError::Versions(Box::new(error)))
    }
}

impl FromStr for ExtensionName {
    type Err = ExtensionNameError;

    fn from_str(text: &str) -> Result<Self, ExtensionNameError> {
        if text.is_empty() || text.starts_with('.') || !text.chars().all(is_allowed) {
            return Err(ExtensionNameError { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.versions {
            None => self.name.fmt(f),
            Some(versions) => write!(f, "{} {versions}", self.name),
        }
    }
}

impl fmt::Display for ExtensionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for ExtensionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ExtensionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ExtensionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_followed_by_versions() {
        let table = [
            ("containerd", "containerd", None),
            ("containerd *", "containerd", None),
            ("containerd>=1.7", "containerd", Some(">=1.7")),
            (" cni-plugins  >=1.30, <1.33 ", "cni-plugins", Some(">=1.30, <1.33")),
            ("a.b_c 1.32", "a.b_c", Some("1.32")),
        ];
        for (text, name, versions) in table {
            let requirement: Requirement = text.parse().unwrap();
            let found = requirement.versions.as_ref().map(VersionRequirement::as_str);
            assert_eq!((requirement.name.as_str(), found), (name, versions), "{text}");
            assert_eq!(requirement.to_string().parse::<Requirement>(), Ok(requirement));
        }
    }

    #[test]
    fn explains_what_is_invalid() {
        let message = |text: &str| text.parse::<Requirement>().unwrap_err().to_string();
        assert_eq!(message(">=1"), "\">=1\" is not the name of an extension");
        assert_eq!(message(".x"), "\".x\" is not the name of an extension");
        assert_eq!(message(""), "\"\" is not the name of an extension");
        assert_eq!(message("x ^r5"), "\"^r5\" in the requirement \"^r5\" needs numbers separated by dots");
        assert!("".parse::<Requirement>().unwrap_err().hint().unwrap().contains("containerd >=1.7"));
    }
}
