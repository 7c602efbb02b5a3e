//! Requirements on versions, such as `1.32` or `>=1.30, <1.33`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::VersionReq;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::numbers::{core, fields, has_revision, is_number, numbers, read, strip_v, without_revision};
use crate::hint::Hint;
use crate::version::{Version, VersionError, compare};

/// The versions that `Version=`, `Requires=`, a recipe or a catalog allows.
///
/// | text | allows |
/// |---|---|
/// | `1.32` or `1.32.*` | the stream 1.32: 1.32.0, 1.32.7, 1.32.7-2, but no pre-releases; `1` is 1.* |
/// | `1.32.3` | upstream version 1.32.3 in every revision, so that the newest one is chosen |
/// | `=1.32.3-2` | exactly the file with this version (`Version==1.32.3-2`) |
/// | `^1.32` | 1.32 and later, up to the next major version (`^0.3`: the next minor version) |
/// | `~1.32` | 1.32 and later, up to the next minor version |
/// | `>1.30`, `>=1.30`, `<1.33`, `<=1.32.4` | by order |
/// | `>=1.30, <1.33` | what all parts allow |
/// | `*` | all but pre-releases |
///
/// All but `=` apply to the upstream version, as the catalog names it. Without a catalog it is the file's version
/// without the `-N` of a revision. A leading `v` is ignored, missing numbers are 0, and `~rc.1` marks a pre-release;
/// a part that names a pre-release itself allows others of the same version. What is not a semantic version is
/// compared in UAPI order.
#[derive(Clone, Debug)]
pub struct VersionRequirement {
    text: String,
    /// Parts that name one version.
    named: Vec<Named>,
    /// The other parts, unless one of them is not a semantic version.
    semver: Option<VersionReq>,
    /// The other parts, for versions that are not semantic versions.
    bounds: Vec<Bound>,
}

/// A part that names one version. It has no leading `v`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// `=1.32.3-2`
    File(String),
    /// `1.32.3`
    Upstream(String),
}

/// One side of a range, in UAPI order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bound {
    AtLeast(String),
    Above(String),
    Below(String),
    AtMost(String),
}

/// Why a text is not a requirement.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum VersionRequirementError {
    #[error("the requirement is empty")]
    Empty,
    #[error("a part of the requirement {text:?} is empty")]
    EmptyPart { text: String },
    #[error("{part:?} in the requirement {text:?} has no valid version: {reason}")]
    Version { text: String, part: String, reason: VersionError },
    #[error("{part:?} in the requirement {text:?} needs numbers separated by dots")]
    NoNumbers { text: String, part: String },
}

impl Hint for VersionRequirementError {
    fn hint(&self) -> Option<String> {
        Some(
            "write for example 1.32 for a stream, 1.32.4 for an upstream version, =1.32.4-2 for one file, or \
             >=1.30, <1.33 for a range"
                .to_owned(),
        )
    }
}

impl VersionRequirement {
    /// The requirement as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a version is allowed. `version` is that of the file; `upstream` is what a catalog calls it.
    pub fn matches(&self, version: &str, upstream: Option<&str>) -> bool {
        let version = strip_v(version);
        let upstream = upstream.map(strip_v);
        let ranged = upstream.unwrap_or(version);
        let in_range = match (&self.semver, read(ranged)) {
            (Some(requirement), Some(ranged)) => requirement.matches(&ranged),
            _ => self.bounds.iter().all(|bound| bound.holds(ranged)),
        };
        in_range && self.named.iter().all(|named| named.is(version, upstream))
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
        let mut requirement =
            Self { text: text.to_owned(), named: Vec::new(), semver: None, bounds: Vec::new() };
        let mut pieces = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            if part.is_empty() {
                return Err(VersionRequirementError::EmptyPart { text: text.to_owned() });
            }
            let no_numbers =
                || VersionRequirementError::NoNumbers { text: text.to_owned(), part: part.to_owned() };
            let (operator, version) = split(part);
            if let Some(stream) = stream_of(operator, version) {
                requirement.bounds.extend(stream_bounds(&stream).ok_or_else(no_numbers)?);
                pieces.push(if stream.is_empty() { "*".to_owned() } else { format!("{stream}.*") });
                continue;
            }
            version.parse::<Version>().map_err(|reason| VersionRequirementError::Version {
                text: text.to_owned(),
                part: part.to_owned(),
                reason,
            })?;
            match operator {
                "=" => requirement.named.push(Named::File(version.to_owned())),
                "" if version.starts_with(|c: char| c.is_ascii_digit()) => {
                    requirement.named.push(Named::Upstream(version.to_owned()));
                }
                "" => return Err(no_numbers()),
                operator => {
                    requirement.bounds.extend(bounds_of(operator, version).ok_or_else(no_numbers)?);
                    pieces.push(format!("{operator}{version}"));
                }
            }
        }
        requirement.semver = VersionReq::parse(&pieces.join(", ")).ok().filter(|_| !pieces.is_empty());
        Ok(requirement)
    }
}

impl Named {
    /// Whether it names a version; neither has a leading `v`.
    fn is(&self, version: &str, upstream: Option<&str>) -> bool {
        let equal = |a: &str, b: &str| compare(a, b) == Ordering::Equal;
        match self {
            Self::File(wanted) => equal(version, wanted),
            // A revision is not part of an upstream version, unless upstream itself counts like that.
            Self::Upstream(wanted) if has_revision(wanted) => {
                equal(version, wanted) || upstream.is_some_and(|upstream| equal(upstream, wanted))
            }
            Self::Upstream(wanted) => {
                let upstream = upstream.unwrap_or_else(|| without_revision(version));
                match (read(wanted), read(upstream)) {
                    (Some(wanted), Some(upstream)) => {
                        let is_build = wanted.build.is_empty() || wanted.build == upstream.build;
                        is_build && wanted.cmp_precedence(&upstream).is_eq()
                    }
                    _ => equal(upstream, wanted),
                }
            }
        }
    }
}

impl Bound {
    fn holds(&self, version: &str) -> bool {
        let version = strip_v(version);
        match self {
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

/// The stream that a part names: `1.32` of `1.32` and `1.32.*`, nothing of `*`. What is wrong with it is found when
/// its numbers are read.
fn stream_of(operator: &str, version: &str) -> Option<String> {
    let is_star = |field: &&str| matches!(*field, "*" | "x" | "X");
    let mut fields: Vec<&str> = version.split('.').collect();
    if fields.iter().any(is_star) {
        while matches!(operator, "" | "=") && fields.last().is_some_and(is_star) {
            fields.pop();
        }
        return Some(fields.join("."));
    }
    let is_short = fields.len() <= 2 && fields.iter().all(|field| is_number(field));
    (operator.is_empty() && is_short).then(|| version.to_owned())
}

fn stream_bounds(stream: &str) -> Option<Vec<Bound>> {
    match stream {
        "" => Some(Vec::new()),
        stream => range(stream, stream.split('.').count() - 1),
    }
}

fn bounds_of(operator: &str, version: &str) -> Option<Vec<Bound>> {
    let bound = version.to_owned();
    match operator {
        ">=" => Some(vec![Bound::AtLeast(bound)]),
        ">" => Some(vec![Bound::Above(bound)]),
        "<=" => Some(vec![Bound::AtMost(bound)]),
        "<" => Some(vec![Bound::Below(format!("{bound}~"))]),
        "~" => range(version, 1),
        _ => {
            // `^` keeps the first number that is not zero.
            let numbers = numbers(core(version))?;
            let given = core(version).split('.').count();
            let fixed = numbers.iter().position(|number| *number != 0).unwrap_or(2).min(given - 1);
            range(version, fixed)
        }
    }
}

/// From a version up to where the number at index `fixed` changes.
fn range(version: &str, fixed: usize) -> Option<Vec<Bound>> {
    let fields = fields(core(version))?;
    let fixed = fixed.min(fields.len() - 1);
    let mut end: Vec<String> = fields[..=fixed].iter().map(u64::to_string).collect();
    end[fixed] = fields[fixed].checked_add(1)?.to_string();
    // The tilde excludes the pre-releases of the end.
    Some(vec![Bound::AtLeast(version.to_owned()), Bound::Below(format!("{}~", end.join(".")))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_what_the_table_says() {
        // The requirement, the file's version, its upstream version if a catalog names it
        let table = [
            // A stream
            ("1.32", "1.32.0", None, true),
            ("1.32", "v1.32.9", None, true),
            ("v1.32", "1.32.3-2", None, true),
            ("1.32", "1.33.1", None, false),
            ("1.32", "1.31.7", None, false),
            ("1.32", "1.3", None, false),
            ("1.32", "1.320.0", None, false),
            ("1.32", "1.32.0~rc.1", None, false),
            ("1.32", "k-7", Some("1.32.9"), true),
            ("1.32", "1.32.9", Some("1.33.0"), false),
            ("1", "1.99", None, true),
            ("1", "2.0.0", None, false),
            ("7", "7", None, true),
            ("24.04", "24.04.1", None, true),
            ("24.04", "24.4", None, true),
            ("24.04", "24.10", None, false),
            ("1.32.*", "v1.32.4", None, true),
            ("1.32.x", "v1.33.0", None, false),
            ("=1.32.*", "1.32.4", None, true),
            ("1.*", "1.99", None, true),
            ("*", "7", None, true),
            ("*", "1.33.0~rc.1", None, false),
            // An upstream version
            ("1.32.3", "1.32.3", None, true),
            ("1.32.3", "v1.32.3", None, true),
            ("v1.32.3", "1.32.3-2", None, true),
            ("1.32.3", "1.32.3-2", Some("1.32.3"), true),
            ("1.32.3", "1.32.3-2", Some("1.32.3-2"), true),
            ("1.32.3", "1.32.3+k3s1", None, true),
            ("1.32.3+k3s1", "1.32.3+k3s1-2", None, true),
            ("1.32.3+k3s1", "1.32.3+k3s2", None, false),
            ("1.32.3+k3s1", "1.32.3", None, false),
            ("1.32.3", "1.32.9", None, false),
            ("1.32.3", "1.33.1", None, false),
            ("1.32.3", "1.32.3~rc.1", None, false),
            ("1.33.0~rc.1", "1.33.0-rc.1", None, true),
            ("1.33.0~rc.1", "1.33.0", None, false),
            ("1.32.3-2", "1.32.3-2", Some("1.32.3"), true),
            ("1.32.3-2", "1.32.3-3", Some("1.32.3"), false),
            ("1.32.3-2", "1.32.3", Some("1.32.3"), false),
            ("1.0-2", "1.0-2-3", Some("1.0-2"), true),
            ("2024.01.02", "2024.01.02-2", None, true),
            ("2024.1.2", "2024.01.02", None, true),
            ("1.2.3.4", "1.2.3.4", None, true),
            ("1.2.3.4", "1.2.3.5", None, false),
            // One file
            ("=1.32.3-2", "1.32.3-2", Some("1.32.3"), true),
            ("=1.32.3-2", "v1.32.3-2", None, true),
            ("=1.32.3-2", "1.32.3-3", Some("1.32.3"), false),
            ("=1.32.3", "1.32.3", Some("1.32.3"), true),
            ("=1.32.3", "1.32.3-2", Some("1.32.3"), false),
            ("=1.32", "1.32.7", None, false),
            ("=r5", "r5", None, true),
            ("=k-7", "k-7", Some("1.32.9"), true),
            // Ranges
            ("^1.32", "1.33.0", None, true),
            ("^1.32", "2.0.0", None, false),
            ("^0.3", "0.3.9", None, true),
            ("^0.3", "0.4.0", None, false),
            ("~1.32", "1.32.9", None, true),
            ("~1.32", "1.33.0", None, false),
            (">=1.30, <1.33", "v1.32.1-2", None, true),
            (">=1.30, <1.33", "v1.33.0", None, false),
            (">=v1.30", "1.30.0", None, true),
            (">1.32.1", "1.32.1-2", None, false),
            ("<=1.32.1", "1.32.1-9", None, true),
            (">=1.30", "1.33.0~rc.1", None, false),
            (">=1.33.0-rc.1", "1.33.0~rc.2", None, true),
            (">=1.7", "1.7", None, true),
            (">=1.30", "k-7", Some("1.32.9"), true),
            // Both
            ("1.32, >=1.32.3", "1.32.2", None, false),
            ("1.32, >=1.32.3", "1.32.4", None, true),
            ("1.32.3, <1.32", "1.32.3", None, false),
        ];
        for (requirement, version, upstream, expected) in table {
            let parsed: VersionRequirement = requirement.parse().unwrap();
            assert_eq!(
                parsed.matches(version, upstream),
                expected,
                "{version} ({upstream:?}) for {requirement}"
            );
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn compares_other_versions_in_uapi_order() {
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
            ("1.2", "1.2.3.4", true),
            ("1.2.*", "1.2.3.4", true),
            ("1.2.*", "1.3~rc1.0.0.0", false),
            ("^0.0.3", "0.0.3.1", true),
            ("^0.0.3", "0.0.4.1", false),
            ("*", "r5", true),
        ];
        for (requirement, version, expected) in table {
            let parsed: VersionRequirement = requirement.parse().unwrap();
            assert_eq!(parsed.matches(version, None), expected, "{version} for {requirement}");
        }
    }

    #[test]
    fn explains_what_is_invalid() {
        let message = |text: &str| text.parse::<VersionRequirement>().unwrap_err().to_string();
        assert_eq!(message(" "), "the requirement is empty");
        assert_eq!(message(">=1,,<2"), "a part of the requirement \">=1,,<2\" is empty");
        assert_eq!(
            message(">="),
            "\">=\" in the requirement \">=\" has no valid version: the version is empty"
        );
        assert!(message(">=1 2").contains("' '"));
        for text in ["^r5", "~latest", "latest", "r5", "1.*.2", "^1.*", "1..*", "*.1"] {
            let expected = format!("{text:?} in the requirement {text:?} needs numbers separated by dots");
            assert_eq!(message(text), expected);
        }
        assert!("".parse::<VersionRequirement>().unwrap_err().hint().unwrap().contains("1.32 for a stream"));
    }
}
