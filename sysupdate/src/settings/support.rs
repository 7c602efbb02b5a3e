//! Which settings of a transfer file this version supports. It reads all of them: it refuses those without
//! which the result would be a different one, and warns of the others.

use sysext_manifests::transfer::{Activate, RelativeTo, SourceType, TargetType, Transfer};

/// The settings of a transfer that this version does not support and cannot ignore.
pub(super) fn unsupported(transfer: &Transfer) -> Vec<String> {
    let mut unsupported = Vec::new();
    let (source, target) = (&transfer.source, &transfer.target);
    match source.kind {
        SourceType::UrlFile | SourceType::RegularFile => {}
        kind => unsupported.push(format!("[Source] Type={kind}")),
    }
    match target.kind {
        TargetType::RegularFile => {}
        kind => unsupported.push(format!("[Target] Type={kind}")),
    }
    for (section, relative_to) in [("Source", source.relative_to), ("Target", target.relative_to)] {
        if relative_to != RelativeTo::Root {
            unsupported.push(format!("[{section}] PathRelativeTo={relative_to}"));
        }
    }
    match transfer.activate {
        Activate::Refresh | Activate::None => {}
        activate => unsupported.push(format!("[X-Sysupdate] Activate={activate}")),
    }
    for check in &transfer.health_checks {
        if check.runnable().is_err() {
            unsupported.push(format!("[X-Sysupdate] HealthCheck={check}"));
        }
    }
    unsupported
}

/// The keys of a transfer that this version does not support yet and ignores.
pub(super) fn ignored(transfer: &Transfer) -> Vec<&'static str> {
    let keys = [
        ("Mirror", !transfer.mirrors.is_empty()),
        ("Channel", transfer.channel.is_some()),
        ("Bandwidth", transfer.bandwidth.is_some()),
    ];
    keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use sysext_manifests::specifier::Identity;

    use super::*;

    fn transfer(more: &str) -> Transfer {
        let plain = "[Source]\nType=url-file\nPath=https://x/\nMatchPattern=@v\n[Target]\nPath=/srv\n";
        Transfer::parse("x.transfer", &format!("{plain}{more}"), &[], &Identity::fake()).unwrap().transfer
    }

    #[test]
    fn names_only_unsupported_settings() {
        let table = [
            ("", ""),
            ("Path=/dev/sda\n", "[Target] Type=partition"),
            ("[Source]\nType=url-tar\n", "[Source] Type=url-tar; [Target] Type=directory"),
            ("PathRelativeTo=boot\n", "[Target] PathRelativeTo=boot"),
            ("[X-Sysupdate]\nActivate=reboot\n", "[X-Sysupdate] Activate=reboot"),
            ("[X-Sysupdate]\nHealthCheck=unit:a.service\n", "[X-Sysupdate] HealthCheck=unit:a.service"),
            ("[X-Sysupdate]\nHealthCheck=exec:/bin/true\nMirror=https://m/\nBandwidth=1K\n", ""),
        ];
        for (more, expected) in table {
            assert_eq!(unsupported(&transfer(more)).join("; "), expected, "{more}");
        }
    }

    #[test]
    fn names_ignored_keys() {
        assert_eq!(ignored(&transfer("")), [""; 0]);
        let all = "[X-Sysupdate]\nMirror=https://m/\nVersion=1\nMaxVersion=2\nChannel=beta\nRequires=a\nBandwidth=1K\n";
        assert_eq!(ignored(&transfer(all)), ["Mirror", "Channel", "Bandwidth"]);
    }
}
