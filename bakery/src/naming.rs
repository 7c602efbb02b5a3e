//! The names of extensions, versions, and files.

use sysext_manifests::architecture::Architecture;
use sysext_manifests::pattern::Pattern;
use sysext_manifests::version::{Version, VersionError};

use crate::failure::Hint;

/// The directory of the signed catalog in every store and repository.
pub(crate) const CATALOG: &str = "catalog";

/// The longest name of an extension or repository, in bytes: `extension-release.NAME` and
/// `NAME-VERSION-ARCH.raw` have to fit into a file name.
const NAME_MAX: usize = 128;

/// Words that upstreams use for pre-releases. After anything but `~` they sort above the release.
const PRE_RELEASES: [&str; 10] =
    ["alpha", "beta", "canary", "dev", "nightly", "pre", "preview", "rc", "snapshot", "unstable"];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NamingError {
    #[error("invalid {what} name {name:?}: {reason}")]
    Name { name: String, what: &'static str, reason: &'static str },
    #[error(transparent)]
    Version(VersionError),
    #[error("version {version:?} contains {character:?}; allowed are digits, ASCII letters and . ~ ^ + -")]
    Character { version: String, character: char },
    #[error("version {version:?} is a pre-release that would sort above the release itself")]
    PreRelease { version: String, instead: String },
    #[error("invalid revision 0: revisions start at 1")]
    Revision,
    #[error("version {version:?} would sort {} {other}: only one of them starts with \"v\"", if has_v(.version) { "below" } else { "above" })]
    Prefix { version: String, other: Version, instead: String },
    #[error("the file name {file:?} is ambiguous: it parses as a version other than {version}")]
    Ambiguous { file: String, version: Version },
    #[error("the file name {file:?} has {length} bytes, more than 255")]
    TooLong { file: String, length: usize },
}

impl Hint for NamingError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("use lower-case letters, digits, '-', '_' and '.', a letter or digit first".to_owned())
            }
            Self::PreRelease { instead, .. } => Some(format!("write it as {instead}")),
            Self::Revision => Some("the first bake of a version has revision 1".to_owned()),
            Self::Prefix { instead, .. } => Some(format!("bake it as {instead}")),
            Self::Ambiguous { .. } => Some(
                "the version must not contain the suffix of its file name (such as -x86-64.raw)".to_owned(),
            ),
            Self::Version(_) | Self::Character { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// Checks the name of an extension.
pub(crate) fn check_extension(name: &str) -> Result<(), NamingError> {
    let refuse = |reason| NamingError::Name { name: name.to_owned(), what: "extension", reason };
    check(name).map_err(refuse)?;
    if name == CATALOG {
        return Err(refuse("\"catalog\" is reserved"));
    }
    Ok(())
}

/// Checks the name of a repository, which is a file name on every node.
pub(crate) fn check_repository(name: &str) -> Result<(), NamingError> {
    check(name).map_err(|reason| NamingError::Name { name: name.to_owned(), what: "repository", reason })
}

fn check(name: &str) -> Result<(), &'static str> {
    let Some(first) = name.bytes().next() else { return Err("must not be empty") };
    if name.len() > NAME_MAX {
        return Err("longer than 128 bytes");
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !is_plain(first) {
        return Err("must start with a lower-case letter or digit");
    }
    if !name.bytes().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'_' | b'.')) {
        return Err("may contain only lower-case letters, digits, '-', '_' and '.'");
    }
    // `x.raw` as a name would make `x.raw.raw`, which extends the image of `x`.
    if name.ends_with(".raw") || name.ends_with('.') {
        return Err("must not end in '.raw' or '.'");
    }
    Ok(())
}

/// The full version of a bake: upstream's, with `-N` from the second revision on.
pub(crate) fn full_version(upstream: &str, revision: u32) -> Result<Version, NamingError> {
    upstream.parse::<Version>().map_err(NamingError::Version)?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '~' | '^' | '+' | '-');
    if let Some(character) = upstream.chars().find(|character| !is_allowed(*character)) {
        return Err(NamingError::Character { version: upstream.to_owned(), character });
    }
    if let Some(instead) = with_tilde(upstream) {
        return Err(NamingError::PreRelease { version: upstream.to_owned(), instead });
    }
    let full = match revision {
        0 => return Err(NamingError::Revision),
        1 => upstream.to_owned(),
        _ => format!("{upstream}-{revision}"),
    };
    full.parse().map_err(NamingError::Version)
}

/// The correct spelling of a pre-release that lacks a `~`; nothing if the version is fine.
fn with_tilde(version: &str) -> Option<String> {
    let mut start = 0;
    while let Some(offset) = version[start..].find(|c: char| c.is_ascii_alphabetic()) {
        let begin = start + offset;
        let length = version[begin..].find(|c: char| !c.is_ascii_alphabetic());
        let end = length.map_or(version.len(), |length| begin + length);
        let is_pre_release = PRE_RELEASES.contains(&version[begin..end].to_ascii_lowercase().as_str());
        // What follows a tilde sorts below what precedes it.
        if is_pre_release && begin > 0 && !version[..begin].contains('~') {
            let core = version[..begin].trim_end_matches(['-', '.', '+', '^']);
            return Some(format!("{core}~{}", &version[begin..]));
        }
        start = end;
    }
    None
}

/// Checks that a version starts with "v" only if the others do: versions with a letter in front sort below those
/// without, whatever follows.
pub(crate) fn check_prefix<'a>(
    version: &Version,
    others: impl IntoIterator<Item = &'a Version>,
) -> Result<(), NamingError> {
    let text = version.as_str();
    let mut others = others.into_iter();
    let Some(other) = others.find(|other| has_v(other.as_str()) != has_v(text)) else { return Ok(()) };
    let instead = if has_v(text) { text[1..].to_owned() } else { format!("v{text}") };
    Err(NamingError::Prefix { version: text.to_owned(), other: other.clone(), instead })
}

fn has_v(version: &str) -> bool {
    let mut characters = version.chars();
    matches!(characters.next(), Some('v' | 'V')) && characters.next().is_some_and(|c| c.is_ascii_digit())
}

/// The image's file name without `.raw`, checked to give the version back.
pub(crate) fn stem(name: &str, version: &Version, architecture: Architecture) -> Result<String, NamingError> {
    let stem = format!("{name}-{version}-{architecture}");
    // The longest derived file name is the temporary `.STEM.json.partial`.
    let length = stem.len() + ".".len() + ".json".len() + ".partial".len();
    if length > 255 {
        return Err(NamingError::TooLong { file: format!(".{stem}.json.partial"), length });
    }
    let file = format!("{stem}.raw");
    let ambiguous = || NamingError::Ambiguous { file: file.clone(), version: version.clone() };
    let pattern: Pattern = match_pattern(name, architecture.as_str()).parse().map_err(|_| ambiguous())?;
    match pattern.matches(&file) {
        Some(captures) if captures.version.as_str() == version.as_str() => Ok(stem),
        _ => Err(ambiguous()),
    }
}

/// The pattern that recognises an extension's images; `%a` as architecture makes it the node's own.
pub(crate) fn match_pattern(name: &str, architecture: &str) -> String {
    format!("{name}-@v-{architecture}.raw")
}

/// The first pair of names of which one extends the other: systemd 257 matches prefixes, and would
/// install the longer one's bytes under the shorter one's name.
pub(crate) fn extended<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let mut sorted: Vec<&str> = names.into_iter().collect();
    sorted.sort_unstable();
    sorted
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .find(|(shorter, longer)| longer.len() > shorter.len() && longer.starts_with(shorter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_names_are_checked() {
        for name in ["kubernetes", "k3s-1.32", "a", "0ad", "x_y"] {
            assert_eq!(check_extension(name), Ok(()), "{name}");
        }
        for name in ["", "catalog", "Kubernetes", "a b", "../x", ".hidden", "-x", "a@v", "x.raw", "é", "a."]
        {
            assert!(check_extension(name).is_err(), "{name}");
        }
        assert!(check_repository("catalog").is_ok());
    }

    #[test]
    fn revisions_from_two_on_become_a_suffix() {
        assert_eq!(full_version("1.32.1", 1).unwrap().as_str(), "1.32.1");
        assert_eq!(full_version("1.32.1", 2).unwrap().as_str(), "1.32.1-2");
        assert_eq!(full_version("v1.32.1+k3s1", 1).unwrap().as_str(), "v1.32.1+k3s1");
        assert_eq!(full_version("1", 0), Err(NamingError::Revision));
        assert!(matches!(full_version("1_2", 1), Err(NamingError::Character { character: '_', .. })));
        assert!(matches!(full_version("1/2", 1), Err(NamingError::Version(_))));
    }

    #[test]
    fn pre_release_without_tilde_is_refused_with_its_spelling() {
        for (upstream, instead) in [
            ("1.33.0-rc.1", "1.33.0~rc.1"),
            ("v1.33.0-beta2", "v1.33.0~beta2"),
            ("1.33.0rc1", "1.33.0~rc1"),
            ("2.0.alpha", "2.0~alpha"),
            ("2.0-RC1", "2.0~RC1"),
        ] {
            let error = full_version(upstream, 1).unwrap_err();
            assert_eq!(error.hint(), Some(format!("write it as {instead}")), "{upstream}");
            let release: Version = upstream.split(['-', 'r', 'a']).next().unwrap().parse().unwrap();
            assert!(full_version(instead, 1).unwrap() < release, "{instead}");
        }
        for fine in ["1.33.0~rc.1", "1.33.0~rc.1+dev", "1.2.3-alpine", "8.2p1", "nightly", "1.0+arch"] {
            assert!(full_version(fine, 1).is_ok(), "{fine}");
        }
    }

    #[test]
    fn file_name_must_parse_back_to_its_version() {
        let stem = |version: &str| stem("x", &version.parse().unwrap(), Architecture::X86_64);
        assert_eq!(stem("1.0").unwrap(), "x-1.0-x86-64");
        assert!(matches!(stem("1-x86-64.raw"), Err(NamingError::Ambiguous { .. })));
        assert!(matches!(stem(&"1".repeat(240)), Err(NamingError::TooLong { .. })));
    }

    #[test]
    fn v_prefix_must_be_the_same_in_all_versions() {
        let parse = |text: &str| text.parse::<Version>().unwrap();
        let old = [parse("1.32.0"), parse("1.32.1")];
        assert!(parse("v1.33.0") < old[0], "the reason for the check");
        let error = check_prefix(&parse("v1.33.0"), &old).unwrap_err();
        assert_eq!(
            error.to_string(),
            "version \"v1.33.0\" would sort below 1.32.0: only one of them starts with \"v\""
        );
        assert_eq!(error.hint().unwrap(), "bake it as 1.33.0");
        let error = check_prefix(&parse("1.33.0"), &[parse("v1.32.0")]).unwrap_err();
        assert_eq!(error.hint().unwrap(), "bake it as v1.33.0");
        assert_eq!(check_prefix(&parse("1.33.0"), &old), Ok(()));
        assert_eq!(check_prefix(&parse("very"), &old), Ok(()));
    }

    #[test]
    fn name_that_extends_another_is_found() {
        assert_eq!(extended(["b", "a.raw.zst", "a.raw"]), Some(("a.raw", "a.raw.zst")));
        assert_eq!(extended(["a-1-x86-64.raw", "a-1-2-x86-64.raw", "a-10-x86-64.raw"]), None);
    }
}
