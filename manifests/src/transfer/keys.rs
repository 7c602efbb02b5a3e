//! The sections and keys of transfer files, and suggestions for misspelt ones.

use super::problem::Meant;
use crate::similar::nearest;

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
}
