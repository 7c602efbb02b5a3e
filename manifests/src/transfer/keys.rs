//! The sections and keys of transfer files, and suggestions for misspelt ones.

use super::problem::Meant;

/// Our own section.
pub(super) const OURS: &str = "X-Sysupdate";

const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "Transfer",
        &[
            "MinVersion",
            "ProtectVersion",
            "Verify",
            "ChangeLog",
            "AppStream",
            "Features",
            "RequisiteFeatures",
        ],
    ),
    ("Source", &["Type", "Path", "PathRelativeTo", "MatchPattern"]),
    (
        "Target",
        &[
            "Type",
            "Path",
            "PathRelativeTo",
            "MatchPattern",
            "Mode",
            "InstancesMax",
            "RemoveTemporary",
            "CurrentSymlink",
            "ReadOnly",
            "TriesLeft",
            "TriesDone",
            "MatchPartitionType",
            "PartitionUUID",
            "PartitionFlags",
            "PartitionNoAuto",
            "PartitionGrowFileSystem",
            "PartitionZeroFill",
        ],
    ),
    (
        OURS,
        &[
            "Repository",
            "Activate",
            "HealthCheck",
            "HealthTimeout",
            "Hold",
            "Mirror",
            "Version",
            "MaxVersion",
            "Channel",
            "Requires",
            "Bandwidth",
        ],
    ),
];

/// A section's name, if it is one of ours or systemd's.
pub(super) fn section(name: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|(section, _)| *section == name).map(|(section, _)| *section)
}

/// Whether a section has a key.
pub(super) fn has(section: &str, key: &str) -> bool {
    keys(section).contains(&key)
}

/// The section that an unknown one may have meant.
pub(super) fn meant_section(name: &str) -> Option<&'static str> {
    nearest(name, SECTIONS.iter().map(|(section, _)| *section))
}

/// What an unknown key may have meant: the same key in another section, or a similar key in this one.
pub(super) fn meant_key(section: &str, key: &str) -> Option<Meant> {
    let elsewhere = SECTIONS.iter().find(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name);
    match elsewhere {
        Some(section) => Some(Meant::Section(section)),
        None => nearest(key, keys(section).iter().copied()).map(Meant::Key),
    }
}

fn keys(section: &str) -> &'static [&'static str] {
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| *keys)
}

/// The most similar word, if a third of it or less was mistyped.
fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    // A long word is similar to no key, and would make the computation slow.
    if lower.len() > 64 {
        return None;
    }
    known
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be inserted, removed or replaced to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_key_for_a_misspelt_one() {
        assert_eq!(meant_key("Target", "InstanceMax"), Some(Meant::Key("InstancesMax")));
        assert_eq!(meant_key("Target", "currentsymlink"), Some(Meant::Key("CurrentSymlink")));
        assert_eq!(meant_key("Transfer", "MinVerison"), Some(Meant::Key("MinVersion")));
        assert_eq!(meant_key("Transfer", "Colour"), None);
        assert_eq!(meant_key("Transfer", &"x".repeat(10_000)), None);
    }

    #[test]
    fn suggests_the_right_section_for_a_key() {
        assert_eq!(meant_key("Transfer", "CurrentSymlink"), Some(Meant::Section("Target")));
        assert_eq!(meant_key("Target", "HealthCheck"), Some(Meant::Section("X-Sysupdate")));
    }

    #[test]
    fn suggests_a_section_for_a_misspelt_one() {
        assert_eq!(meant_section("Transfers"), Some("Transfer"));
        assert_eq!(meant_section("X-SysUpdate"), Some("X-Sysupdate"));
        assert_eq!(meant_section("X-Vendor"), None);
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
