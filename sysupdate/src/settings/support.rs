//! What this version executes of all that a transfer file can say. Files are read whole; here stands what
//! is refused, because leaving it out would do something else than was asked for, and what is only told.

use sysext_manifests::transfer::{Activate, RelativeTo, SourceType, TargetType, Transfer};

/// What a transfer asks for and this version does not execute; empty if it executes all of it.
pub(super) fn refused(transfer: &Transfer) -> Vec<String> {
    let mut refused = Vec::new();
    let (source, target) = (&transfer.source, &transfer.target);
    match source.kind {
        SourceType::UrlFile | SourceType::RegularFile => {}
        kind => refused.push(format!("[Source] Type={kind}")),
    }
    match target.kind {
        TargetType::RegularFile => {}
        kind => refused.push(format!("[Target] Type={kind}")),
    }
    for (section, relative_to) in [("Source", source.relative_to), ("Target", target.relative_to)] {
        if relative_to != RelativeTo::Root {
            refused.push(format!("[{section}] PathRelativeTo={relative_to}"));
        }
    }
    match transfer.activate {
        Activate::Refresh | Activate::None => {}
        activate => refused.push(format!("[X-Sysupdate] Activate={activate}")),
    }
    for check in &transfer.health_checks {
        if check.runnable().is_err() {
            refused.push(format!("[X-Sysupdate] HealthCheck={check}"));
        }
    }
    refused
}

/// The keys of a transfer that this version reads and does not act on.
pub(super) fn not_acted_on(transfer: &Transfer) -> Vec<&'static str> {
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
    fn what_is_not_executed_is_named_and_nothing_else() {
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
            assert_eq!(refused(&transfer(more)).join("; "), expected, "{more}");
        }
    }

    #[test]
    fn what_is_not_acted_on_is_told() {
        assert_eq!(not_acted_on(&transfer("")), [""; 0]);
        let all = "[X-Sysupdate]\nMirror=https://m/\nVersion=1\nMaxVersion=2\nChannel=beta\nRequires=a\nBandwidth=1K\n";
        assert_eq!(not_acted_on(&transfer(all)), ["Mirror", "Channel", "Bandwidth"]);
    }
}
