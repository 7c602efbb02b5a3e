//! Requirements on versions (`>=1.30, <1.33`), and how the versions of this world are read for them.
//!
//! A requirement speaks semver, as people know it from package managers; a version is a file's. So `v` in
//! front, missing fields, a revision of ours (`-2`) and `~rc.1` for a pre-release are understood, and what
//! is no semver all the same is compared in UAPI order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, VersionReq};

use crate::hint::Hint;
use crate::version::{Version, VersionError, compare};

/// What versions must fulfil.
#[derive(Clone, Debug)]
pub struct Requirement {
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
pub enum RequirementError {
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

impl Hint for RequirementError {
    fn hint(&self) -> Option<String> {
        Some(
            "write for example 1.32.* for a stream, >=1.30, <1.33 for a range, or =1.32.4 for one version"
                .to_owned(),
        )
    }
}

impl Requirement {
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

/// A version as semver reads it: without `v` and without a revision, missing fields as zero. Nothing if it
/// cannot be read so.
pub fn read(version: &str) -> Option<semver::Version> {
    let text = strip_v(version);
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, build),
        None => (text, ""),
    };
    let (core, rest) = match text.find(['-', '~']) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    };
    // In UAPI order `1.32.1-2` is newer than `1.32.1`: a number alone is a revision, no pre-release
    let pre =
        if text[core.len()..].starts_with('-') && is_number(rest) { "" } else { without_revision(rest) };
    if core.len() < text.len() && rest.is_empty() {
        return None;
    }
    let [major, minor, patch] = numbers(core)?;
    // A revision may stand behind the build, too
    let build = without_revision(build);
    Some(semver::Version {
        major,
        minor,
        patch,
        pre: Prerelease::new(pre).ok()?,
        build: BuildMetadata::new(build).ok()?,
    })
}

/// The version line a version belongs to: `1.32` of `v1.32.4`. Nothing without a minor number.
pub fn stream(version: &str) -> Option<String> {
    let version = strip_v(version);
    let core = &version[..version.find(['-', '~', '+', '^', '_', ',']).unwrap_or(version.len())];
    let mut fields = core.split('.');
    let (major, minor) = (fields.next()?, fields.next()?);
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

impl PartialEq for Requirement {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Requirement {}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RequirementError::Empty);
        }
        let mut bounds = Vec::new();
        let mut pieces = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            if part.is_empty() {
                return Err(RequirementError::EmptyPart { text: text.to_owned() });
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

fn bounds_of(text: &str, part: &str, operator: &str, version: &str) -> Result<Vec<Bound>, RequirementError> {
    let no_numbers = || RequirementError::NoNumbers { text: text.to_owned(), part: part.to_owned() };
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
    version.parse::<Version>().map_err(|reason| RequirementError::Version {
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

/// A version's numbers, before anything else.
fn core(version: &str) -> &str {
    &version[..version.find(['-', '~', '+']).unwrap_or(version.len())]
}

/// Up to three numbers without leading zeros; missing ones are zero.
fn numbers(core: &str) -> Option<[u64; 3]> {
    let mut fields = [0; 3];
    for (index, field) in core.split('.').enumerate() {
        if !is_number(field) || (field.len() > 1 && field.starts_with('0')) {
            return None;
        }
        *fields.get_mut(index)? = field.parse().ok()?;
    }
    Some(fields)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text without `-N` at its end.
fn without_revision(text: &str) -> &str {
    match text.rsplit_once('-') {
        Some((before, revision)) if is_number(revision) && !before.is_empty() => before,
        _ => text,
    }
}

/// A version without the `v` that stands before its first number.
fn strip_v(version: &str) -> &str {
    match version.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_semver() {
        let table = [
            ("1.32.1", "1.32.1"),
            ("v1.32.1", "1.32.1"),
            ("V1.32", "1.32.0"),
            ("7", "7.0.0"),
            ("1.32.1-2", "1.32.1"),
            ("v1.32.1+k3s1", "1.32.1+k3s1"),
            ("v1.32.1+k3s1-2", "1.32.1+k3s1"),
            ("1.33.0~rc.1", "1.33.0-rc.1"),
            ("1.33.0~rc.1-2", "1.33.0-rc.1"),
            ("1.33.0-rc.1", "1.33.0-rc.1"),
            ("1.33.0-beta", "1.33.0-beta"),
            ("0.0.1", "0.0.1"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).map(|version| version.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["1.2.3.4", "2024.01.02", "r5", "v", "", "1.2^post", "1.", "1.2-", "1_2", "99999999999999999999"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

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
            let parsed: Requirement = requirement.parse().unwrap();
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
            let parsed: Requirement = requirement.parse().unwrap();
            assert_eq!(parsed.matches(version), expected, "{version} for {requirement}");
        }
    }

    #[test]
    fn streams_are_major_and_minor() {
        let table = [
            ("v1.32.4", Some("1.32")),
            ("1.32", Some("1.32")),
            ("1.32.1-2", Some("1.32")),
            ("1.33~rc.1", Some("1.33")),
            ("v1.32.1+k3s1", Some("1.32")),
            ("7", None),
            ("r5.1", None),
            ("", None),
        ];
        for (version, expected) in table {
            assert_eq!(stream(version).as_deref(), expected, "{version}");
        }
    }

    #[test]
    fn what_is_no_requirement_says_why() {
        let message = |text: &str| text.parse::<Requirement>().unwrap_err().to_string();
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
        assert!("".parse::<Requirement>().unwrap_err().hint().unwrap().contains("1.32.*"));
    }
}
