//! Reading the version of a file as a semantic version.

use semver::{BuildMetadata, Prerelease};

/// A version as a semantic version: without `v` and the `-N` of a revision, missing numbers as zero. `None` if it
/// is not one.
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
    // In UAPI order `1.32.1-2` is newer than `1.32.1`: a number alone is a revision, not a pre-release.
    let pre =
        if text[core.len()..].starts_with('-') && is_number(rest) { "" } else { without_revision(rest) };
    if core.len() < text.len() && rest.is_empty() {
        return None;
    }
    let [major, minor, patch] = numbers(core)?;
    // A revision may follow the build, too.
    let build = without_revision(build);
    Some(semver::Version {
        major,
        minor,
        patch,
        pre: Prerelease::new(pre).ok()?,
        build: BuildMetadata::new(build).ok()?,
    })
}

/// The stream of a version: `1.32` of `v1.32.4`. `None` without a minor number.
pub fn stream(version: &str) -> Option<String> {
    let version = strip_v(version);
    let core = &version[..version.find(['-', '~', '+', '^', '_', ',']).unwrap_or(version.len())];
    let mut fields = core.split('.');
    let (major, minor) = (fields.next()?, fields.next()?);
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

/// The numbers at the start of a version.
pub(super) fn core(version: &str) -> &str {
    &version[..version.find(['-', '~', '+']).unwrap_or(version.len())]
}

/// Up to three numbers without leading zeros; missing ones are zero.
pub(super) fn numbers(core: &str) -> Option<[u64; 3]> {
    let mut fields = [0; 3];
    for (index, field) in core.split('.').enumerate() {
        if !is_number(field) || (field.len() > 1 && field.starts_with('0')) {
            return None;
        }
        *fields.get_mut(index)? = field.parse().ok()?;
    }
    Some(fields)
}

/// All numbers of a version, which may have leading zeros.
pub(super) fn fields(core: &str) -> Option<Vec<u64>> {
    core.split('.').map(|field| field.parse().ok().filter(|_| is_number(field))).collect()
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a version ends in the `-N` of a revision.
pub(super) fn has_revision(version: &str) -> bool {
    without_revision(version).len() < version.len()
}

/// A text without `-N` at its end.
pub(super) fn without_revision(text: &str) -> &str {
    match text.rsplit_once('-') {
        Some((before, revision)) if is_number(revision) && !before.is_empty() => before,
        _ => text,
    }
}

/// A version without the `v` before its first number.
pub(super) fn strip_v(version: &str) -> &str {
    match version.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_as_semantic_versions() {
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
    fn a_stream_is_major_and_minor() {
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
}
