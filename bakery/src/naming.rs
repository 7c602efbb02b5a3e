//! What things are called: extensions, versions, and the files that carry both.

use sysext_manifests::architecture::Architecture;
use sysext_manifests::pattern::Pattern;
use sysext_manifests::version::{Version, VersionError};

/// The directory of the signed catalog in every store and repository.
pub(crate) const CATALOG: &str = "catalog";

/// The longest name of an extension or repository, in bytes: `extension-release.NAME` and
/// `NAME-VERSION-ARCH.raw` have to fit into a file name.
const NAME_MAX: usize = 128;

/// Words that upstreams use for what comes before a release. After anything but `~` they sort above it.
const PRE_RELEASES: [&str; 10] =
    ["alpha", "beta", "canary", "dev", "nightly", "pre", "preview", "rc", "snapshot", "unstable"];

/// Why something cannot be called so.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NamingError {
    #[error("{name:?} cannot name {what}: {reason}")]
    Name { name: String, what: &'static str, reason: &'static str },
    #[error(transparent)]
    Version(VersionError),
    #[error("version {version:?} has a {character:?}; allowed are digits, ASCII letters and . ~ ^ + -")]
    Character { version: String, character: char },
    #[error("version {version:?} is a pre-release that would sort above the release itself")]
    PreRelease { version: String, instead: String },
    #[error("revision 0 does not exist, revisions count from 1")]
    Revision,
    #[error("the file name {file:?} would be read as another version than {version}")]
    Ambiguous { file: String, version: Version },
    #[error("the file name {file:?} has {length} bytes, more than 255")]
    TooLong { file: String, length: usize },
}

impl NamingError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("use lower-case letters, digits, '-', '_' and '.', a letter or digit first".to_owned())
            }
            Self::PreRelease { instead, .. } => Some(format!("write it as {instead}")),
            Self::Revision => Some("the first bake of a version has revision 1".to_owned()),
            Self::Ambiguous { .. } => Some("a version may not contain its own file name's ending".to_owned()),
            Self::Version(_) | Self::Character { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// Checks the name of an extension.
pub(crate) fn check_extension(name: &str) -> Result<(), NamingError> {
    let refuse = |reason| NamingError::Name { name: name.to_owned(), what: "an extension", reason };
    check(name).map_err(refuse)?;
    if name == CATALOG {
        return Err(refuse("the signed catalog has that directory"));
    }
    Ok(())
}

/// Checks the name of a repository, which is a file name and an identifier on every node.
pub(crate) fn check_repository(name: &str) -> Result<(), NamingError> {
    check(name).map_err(|reason| NamingError::Name { name: name.to_owned(), what: "a repository", reason })
}

fn check(name: &str) -> Result<(), &'static str> {
    let Some(first) = name.bytes().next() else { return Err("it is empty") };
    if name.len() > NAME_MAX {
        return Err("it has more than 128 bytes");
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !is_plain(first) {
        return Err("it does not begin with a lower-case letter or digit");
    }
    if !name.bytes().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'_' | b'.')) {
        return Err("it has other characters than lower-case letters, digits, '-', '_' and '.'");
    }
    // `x.raw` as a name would make `x.raw.raw`, which extends the image of `x`.
    if name.ends_with(".raw") || name.ends_with('.') {
        return Err("it ends in '.raw' or '.'");
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

/// How to write a version that names a pre-release without a `~` before it; nothing if it is fine.
fn with_tilde(version: &str) -> Option<String> {
    let mut start = 0;
    while let Some(offset) = version[start..].find(|c: char| c.is_ascii_alphabetic()) {
        let begin = start + offset;
        let length = version[begin..].find(|c: char| !c.is_ascii_alphabetic());
        let end = length.map_or(version.len(), |length| begin + length);
        let is_pre_release = PRE_RELEASES.contains(&version[begin..end].to_ascii_lowercase().as_str());
        // Whatever follows a tilde is older than what stands before it.
        if is_pre_release && begin > 0 && !version[..begin].contains('~') {
            let core = version[..begin].trim_end_matches(['-', '.', '+', '^']);
            return Some(format!("{core}~{}", &version[begin..]));
        }
        start = end;
    }
    None
}

/// The image's file name without `.raw`, checked to give the version back.
pub(crate) fn stem(name: &str, version: &Version, architecture: Architecture) -> Result<String, NamingError> {
    let stem = format!("{name}-{version}-{architecture}");
    // The longest file made of it is its temporary form, `.STEM.json.partial`
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
    fn names_of_extensions() {
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
    fn a_revision_is_a_suffix_from_the_second_on() {
        assert_eq!(full_version("1.32.1", 1).unwrap().as_str(), "1.32.1");
        assert_eq!(full_version("1.32.1", 2).unwrap().as_str(), "1.32.1-2");
        assert_eq!(full_version("v1.32.1+k3s1", 1).unwrap().as_str(), "v1.32.1+k3s1");
        assert_eq!(full_version("1", 0), Err(NamingError::Revision));
        assert!(matches!(full_version("1_2", 1), Err(NamingError::Character { character: '_', .. })));
        assert!(matches!(full_version("1/2", 1), Err(NamingError::Version(_))));
    }

    #[test]
    fn a_pre_release_is_refused_with_the_spelling_that_sorts_right() {
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
    fn a_file_name_gives_its_version_back() {
        let stem = |version: &str| stem("x", &version.parse().unwrap(), Architecture::X86_64);
        assert_eq!(stem("1.0").unwrap(), "x-1.0-x86-64");
        assert!(matches!(stem("1-x86-64.raw"), Err(NamingError::Ambiguous { .. })));
        assert!(matches!(stem(&"1".repeat(240)), Err(NamingError::TooLong { .. })));
    }

    #[test]
    fn a_name_that_extends_another_is_found() {
        assert_eq!(extended(["b", "a.raw.zst", "a.raw"]), Some(("a.raw", "a.raw.zst")));
        assert_eq!(extended(["a-1-x86-64.raw", "a-1-2-x86-64.raw", "a-10-x86-64.raw"]), None);
    }
}
