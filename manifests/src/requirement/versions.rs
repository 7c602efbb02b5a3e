//! Requirements on versions, such as `>=1.30, <1.33`.
//!
//! A requirement is written as in package managers, but it applies to the version of a file. So a leading `v`,
//! missing fields, our revisions (`-2`) and `~rc.1` for a pre-release are understood. What is not a semantic
//! version is compared in UAPI order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::VersionReq;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::numbers::{core, is_number, numbers, read, strip_v};

use crate::hint::Hint;
use crate::version::{Version, VersionError, compare};

/// What versions must fulfil.
#[derive(Clone, Debug)]
pub struct VersionRequirement {
    text: String,
    /// Nothing where a bound itself is no semver: then UAPI order decides for all versions.
    semver: Option<VersionReq>,
    bounds: Vec<Bound>,
}

/// One side of a requirement, in UAPI order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bound {
    Equal(String),
    AtLeast(String),
    Above(String),
    Below(String),
    AtMost(String),
}

/// Why a text is no requirement.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionRequirementError {
    /// Nothing.
    #[error("the requirement is empty")]
    Empty,
    /// A part between two commas that says nothing.
    #[error("a part of the requirement {text:?} is empty")]
    EmptyPart {
        /// The whole text.
        text: String,
    },
    /// No version where one should stand.
    #[error("{part:?} in the requirement {text:?} has no valid version: {reason}")]
    Version {
        /// The whole text.
        text: String,
        /// The part.
        part: String,
        /// Why not.
        reason: VersionError,
    },
    /// `^`, `~` or `*` with something that has no major and minor number.
    #[error("{part:?} in the requirement {text:?} needs numbers separated by dots")]
    NoNumbers {
        /// The whole text.
        text: String,
        /// The part.
        part: String,
    },
}

impl Hint for VersionRequirementError {
    fn hint(&self) -> Option<String> {
        Some(
            "write for example 1.32.* for a stream, >=1.30, <1.33 for a range, or =1.32.4 for one version"
                .to_owned(),
        )
    }
}

impl VersionRequirement {
    /// The requirement as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a version fulfils it. What is known of the version upstream (from a catalog, which also
    /// knows what is a revision) should be passed instead of the file's version.
    pub fn matches(&self, version: &str) -> bool {
        match (&self.semver, read(version)) {
            (Some(requirement), Some(version)) => requirement.matches(&version),
            _ => self.bounds.iter().all(|bound| bound.holds(version)),
        }
    }
}

impl PartialEq for VersionRequirement {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VersionRequirement {}

impl fmt::Display for VersionRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for VersionRequirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for VersionRequirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl FromStr for VersionRequirement {
    type Err = VersionRequirementError;

    fn from_str(text: &str) -> Result<Self, VersionRequirementError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(VersionRequirementError::Empty);
        }
        let mut bounds = Vec::new();
        let mut pieces = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            if part.is_empty() {
                return Err(VersionRequirementError::EmptyPart { text: text.to_owned() });
            }
            let (operator, version) = split(part);
            bounds.extend(bounds_of(text, part, operator, version)?);
            pieces.push(format!("{operator}{version}"));
        }
        let semver = VersionReq::parse(&pieces.join(", ")).ok();
        Ok(Self { text: text.to_owned(), semver, bounds })
    }
}

impl Bound {
    fn holds(&self, version: &str) -> bool {
        let version = strip_v(version);
        match self {
            Self::Equal(bound) => compare(version, bound) == Ordering::Equal,
            Self::AtLeast(bound) => compare(version, bound) != Ordering::Less,
            Self::Above(bound) => compare(version, bound) == Ordering::Greater,
            Self::Below(bound) => compare(version, bound) == Ordering::Less,
            Self::AtMost(bound) => compare(version, bound) != Ordering::Greater,
        }
    }
}

/// The operator of a part, and its version without a `v`.
fn split(part: &str) -> (&'static str, &str) {
    let known = [">=", "<=", ">", "<", "=", "^", "~"];
    let found = known.into_iter().find_map(|operator| Some((operator, part.strip_prefix(operator)?)));
    let (operator, version) = found.unwrap_or(("", part));
    (operator, strip_v(version.trim_start()))
}

fn bounds_of(
    text: &str,
    part: &str,
    operator: &str,
    version: &str,
) -> Result<Vec<Bound>, VersionRequirementError> {
    let no_numbers = || VersionRequirementError::NoNumbers { text: text.to_owned(), part: part.to_owned() };
    let stars = version.split('.').any(|field| matches!(field, "*" | "x" | "X"));
    if stars {
        let known: Vec<&str> = version.split('.').take_while(|field| is_number(field)).collect();
        let rest = version.split('.').skip(known.len());
        if !matches!(operator, "" | "=") || !rest.into_iter().all(|field| matches!(field, "*" | "x" | "X")) {
            return Err(no_numbers());
        }
        return match known.len() {
            0 => Ok(Vec::new()),
            length => range(&known.join("."), length - 1).ok_or_else(no_numbers),
        };
    }
    version.parse::<Version>().map_err(|reason| VersionRequirementError::Version {
        text: text.to_owned(),
        part: part.to_owned(),
        reason,
    })?;
    let bound = version.to_owned();
    match operator {
        ">=" => Ok(vec![Bound::AtLeast(bound)]),
        ">" => Ok(vec![Bound::Above(bound)]),
        "<=" => Ok(vec![Bound::AtMost(bound)]),
        "<" => Ok(vec![Bound::Below(format!("{bound}~"))]),
        "=" => Ok(vec![Bound::Equal(bound)]),
        "~" => range(version, 1).ok_or_else(no_numbers),
        _ => {
            // The first field that is not zero may not change
            let fields = numbers(core(version)).ok_or_else(no_numbers)?;
            let given = core(version).split('.').count();
            let fixed = fields.iter().position(|field| *field != 0).unwrap_or(2).min(given - 1);
            range(version, fixed).ok_or_else(no_numbers)
        }
    }
}

/// From a version up to where the field at `fixed` would change.
fn range(version: &str, fixed: usize) -> Option<Vec<Bound>> {
    let fields = numbers(core(version))?;
    let fixed = fixed.min(core(version).split('.').count() - 1);
    let mut end: Vec<String> = fields[..=fixed].iter().map(u64::to_string).collect();
    end[fixed] = fields[fixed].checked_add(1)?.to_string();
    // The tilde keeps the pre-releases of the end out
    Some(vec![Bound::AtLeast(version.to_owned()), Bound::Below(format!("{}~", end.join(".")))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_people_s_semver() {
        let table = [
            ("1.32.*", "v1.32.4", true),
            ("1.32.*", "v1.33.0", false),
            ("1.*", "1.99", true),
            ("*", "7", true),
            ("^1.32", "1.33.0", true),
            ("1.32", "1.33.0", true),
            ("1.32", "2.0.0", false),
            ("~1.32", "1.32.9", true),
            ("~1.32", "1.33.0", false),
            ("^0.3", "0.3.9", true),
            ("^0.3", "0.4.0", false),
            (">=1.30, <1.33", "v1.32.1-2", true),
            (">=1.30, <1.33", "v1.33.0", false),
            (">=v1.30", "1.30.0", true),
            ("=1.32.1", "1.32.1-2", true),
            ("=1.32.1", "v1.32.1+k3s1", true),
            ("=1.32", "1.32.7", true),
            (">1.32.1", "1.32.1-2", false),
            ("<=1.32.1", "1.32.1-9", true),
            (">=1.30", "1.33.0~rc.1", false),
            (">=1.33.0-rc.1", "1.33.0~rc.2", true),
            (">=1.7", "1.7", true),
        ];
        assert!(table.len() >= 20);
        for (requirement, version, expected) in table {
            let parsed: VersionRequirement = requirement.parse().unwrap();
            assert_eq!(parsed.matches(version), expected, "{version} for {requirement}");
        }
    }

    #[test]
    fn what_is_no_semver_is_compared_in_uapi_order() {
        let table = [
            (">=1.2", "1.2.3.4", true),
            ("<1.2.3.5", "1.2.3.4", true),
            ("<1.2.3.4", "1.2.3.4~rc1", false),
            (">=2024.01", "2024.01.02", true),
            (">2024.01.02", "2024.01.02", false),
            ("<=2024.01.02", "2024.01.02", true),
            ("=2024.1.2", "2024.01.02", true),
            (">=r5", "r6", true),
            (">=r5", "r4", false),
            ("~1.2", "1.2.3.4", true),
            ("~1.2", "1.3.0.0", false),
            ("^1.2", "1.9.0.1", true),
            ("^1.2", "2.0.0.1", false),
            ("1.2.*", "1.2.3.4", true),
            ("1.2.*", "1.3~rc1.0.0.0", false),
            ("^0.0.3", "0.0.3.1", true),
            ("^0.0.3", "0.0.4.1", false),
            ("*", "r5", true),
        ];
        for (requirement, version, expected) in table {
            let parsed: VersionRequirement = requirement.parse().unwrap();
            assert_eq!(parsed.matches(version), expected, "{version} for {requirement}");
        }
    }

    #[test]
    fn what_is_no_requirement_says_why() {
        let message = |text: &str| text.parse::<VersionRequirement>().unwrap_err().to_string();
        assert_eq!(message(" "), "the requirement is empty");
        assert_eq!(message(">=1,,<2"), "a part of the requirement \">=1,,<2\" is empty");
        assert_eq!(
            message(">="),
            "\">=\" in the requirement \">=\" has no valid version: the version is empty"
        );
        assert!(message(">=1 2").contains("' '"));
        assert_eq!(message("^r5"), "\"^r5\" in the requirement \"^r5\" needs numbers separated by dots");
        assert_eq!(
            message("1.*.2"),
            "\"1.*.2\" in the requirement \"1.*.2\" needs numbers separated by dots"
        );
        assert!("".parse::<VersionRequirement>().unwrap_err().hint().unwrap().contains("1.32.*"));
    }
}
