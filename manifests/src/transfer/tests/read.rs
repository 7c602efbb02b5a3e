//! What each key says, and what is meant where nothing is said.

use super::*;

#[test]
fn uses_the_defaults_of_systemd() {
    let transfer = quiet("");
    assert_eq!(transfer.id, "k");
    assert!(transfer.verify);
    assert_eq!(transfer.source.kind, SourceType::UrlFile);
    assert_eq!(transfer.source.path, "https://example.org/k/");
    assert_eq!(transfer.source.patterns.to_string(), "k-@v-arm64.raw");
    assert_eq!(transfer.target.patterns, transfer.source.patterns);
    assert_eq!(transfer.target.kind, TargetType::RegularFile);
    assert_eq!(transfer.target.path, "/var/lib/sysupdate/images/k");
    assert_eq!(transfer.target.instances_max, 3);
    assert!(transfer.target.remove_temporary);
    assert_eq!(transfer.target.mode, None);
    assert_eq!(transfer.target.current_symlink.as_deref(), Some("/var/lib/extensions/k.raw"));
    assert_eq!(transfer.health_timeout, Duration::from_secs(60));
    assert!(!transfer.hold);
    assert_eq!(transfer.named_features().count(), 0);
}

#[test]
fn every_key_of_the_transfer_section_is_read() {
    let transfer = quiet(
        "[Transfer]\nMinVersion=1.2\nProtectVersion=%A\nProtectVersion=5\nVerify=no\nFeatures=a \"b\"\n\
         RequisiteFeatures=c\nChangeLog=https://example.org/@v.html\nAppStream=https://example.org/%w.xml\n",
    );
    assert_eq!(transfer.min_version.as_ref().unwrap().as_str(), "1.2");
    assert!(transfer.is_obsolete(&"1.1".parse().unwrap()) && !transfer.is_obsolete(&"1.2".parse().unwrap()));
    assert!(transfer.protects(&"7".parse().unwrap()) && transfer.protects(&"5".parse().unwrap()));
    assert!(!transfer.protects(&"05".parse().unwrap()));
    assert!(!transfer.verify);
    assert_eq!(transfer.named_features().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(transfer.changelog, ["https://example.org/@v.html"]);
    assert_eq!(transfer.appstream, ["https://example.org/12.xml"]);
}

#[test]
fn every_key_of_the_target_section_is_read() {
    let transfer = quiet(
        "MatchPattern=k_@v+@l-@d.raw k_@v.raw\nMode=0640\nInstancesMax=5\nRemoveTemporary=no\nReadOnly=yes\n\
         TriesLeft=2\nTriesDone=1\nType=regular-file\nPathRelativeTo=root\n",
    );
    let target = &transfer.target;
    assert_eq!(target.patterns.iter().count(), 2);
    assert_eq!((target.mode, target.instances_max), (Some(0o640), 5));
    assert_eq!((target.remove_temporary, target.read_only), (false, Some(true)));
    assert_eq!((target.tries_left, target.tries_done), (Some(2), Some(1)));
}

#[test]
fn every_key_of_our_section_is_read() {
    let transfer = quiet(
        "[X-Sysupdate]\nRepository=example\nActivate=none\nHealthCheck=exec:/bin/false\nHealthCheck=\n\
         HealthCheck=exec:/bin/test -e '/a b'\nHealthCheck=exec:/bin/true\nHealthTimeout=1min 30s\nHold=yes\n",
    );
    assert_eq!(transfer.repository.as_deref(), Some("example"));
    assert_eq!(transfer.activate, Activate::None);
    let argv = ["/bin/test", "-e", "/a b"].map(str::to_owned).to_vec();
    assert_eq!(transfer.health_checks[0], HealthCheck::Exec { argv });
    assert_eq!(transfer.health_checks.len(), 2);
    assert_eq!(transfer.health_timeout, Duration::from_secs(90));
    assert!(transfer.hold);
}

#[test]
fn an_extension_is_refreshed_by_default() {
    assert_eq!(quiet("").activate, Activate::None, "stock files stay as stock leaves them");
    assert_eq!(quiet("[X-Sysupdate]\n").activate, Activate::Refresh);
    assert_eq!(quiet("CurrentSymlink=/etc/extensions/k.raw\n[X-Sysupdate]\n").activate, Activate::Refresh);
    assert_eq!(quiet("CurrentSymlink=/opt/k.raw\n[X-Sysupdate]\n").activate, Activate::None);
    assert_eq!(quiet("CurrentSymlink=\n[X-Sysupdate]\n").activate, Activate::None);
    let nested = "CurrentSymlink=/var/lib/extensions/a/k.raw\n[X-Sysupdate]\n";
    assert_eq!(quiet(nested).activate, Activate::None);
}

#[test]
fn a_relative_symlink_is_in_the_targets_directory() {
    let transfer = quiet("Path=/var/lib/extensions/\nCurrentSymlink=./k.raw\n[X-Sysupdate]\n");
    assert_eq!(transfer.target.path, "/var/lib/extensions");
    assert_eq!(transfer.target.current_symlink.as_deref(), Some("/var/lib/extensions/k.raw"));
    assert_eq!(transfer.activate, Activate::Refresh);
}

#[test]
fn reads_a_directory_as_the_source() {
    let transfer = quiet("[Source]\nType=regular-file\nPath=/srv/k\n");
    assert_eq!(transfer.source.kind, SourceType::RegularFile);
    assert_eq!(transfer.source.path, "/srv/k");
}

#[test]
fn drop_ins_override_extend_and_reset() {
    let drop_ins = [
        ("10.conf", "[Source]\nPath=file:///srv/k\nMatchPattern=k-@v.raw\n"),
        ("20.conf", "[Target]\nInstancesMax=1\n[Source]\nMatchPattern=\nMatchPattern=x-@v.raw\n"),
    ];
    let parsed = Transfer::parse("/etc/sysupdate.d/k.conf", PLAIN, &drop_ins, &identity()).unwrap();
    assert_eq!(parsed.transfer.id, "k");
    assert_eq!(parsed.transfer.source.path, "file:///srv/k");
    assert_eq!(parsed.transfer.source.patterns.to_string(), "x-@v.raw");
    assert_eq!(parsed.transfer.target.instances_max, 2);
    assert_eq!(
        parsed.warnings[0].to_string(),
        "20.conf:2:1: [Target] InstancesMax=: a target keeps at least 2 versions, raised from 1"
    );
    let broken = [("30.conf", "[Source]\n\nMatchPattern=x.raw\n")];
    let error = Transfer::parse("k.transfer", PLAIN, &broken, &identity()).unwrap_err();
    assert!(error.to_string().starts_with("30.conf:3:1: [Source] MatchPattern=: "), "{error}");
}

#[test]
fn infers_the_targets_type_as_systemd() {
    let inferred = |source: &str, path: &str| {
        let url = if source.starts_with("url") { "https://example.org/" } else { "/srv" };
        let text = format!("Path={path}\n[Source]\nType={source}\nPath={url}\n");
        quiet(&text).target.kind
    };
    let table = [
        ("url-file", "/var/lib/k", TargetType::RegularFile),
        ("url-file", "/dev/sda", TargetType::Partition),
        ("regular-file", "/dev/disk/by-id/x", TargetType::Partition),
        ("regular-file", "/develop", TargetType::RegularFile),
        ("url-tar", "/var/lib/k", TargetType::Directory),
        ("tar", "/var/lib/k", TargetType::Directory),
        ("directory", "/dev/shm", TargetType::Directory),
        ("subvolume", "/var/lib/k", TargetType::Subvolume),
    ];
    for (source, path, kind) in table {
        assert_eq!(inferred(source, path), kind, "{source} to {path}");
    }
}

#[test]
fn reads_all_keys_of_partitions() {
    let transfer = quiet(
        "Type=partition\nPath=auto\nMatchPartitionType=usr-verity-sig\nPartitionFlags=0x10\n\
         PartitionUUID=8484680c-9521-48c6-9c11-b0720656f69e\nPartitionNoAuto=yes\n\
         PartitionGrowFileSystem=no\n",
    );
    assert_eq!(transfer.target.kind, TargetType::Partition);
    assert_eq!(transfer.target.path, AUTO);
    assert_eq!(transfer.target.instances_max, INSTANCES_MAX_SLOTS);
    let partition = &transfer.target.partition;
    assert_eq!(partition.kind.to_string(), "usr-verity-sig");
    assert_eq!(partition.uuid.unwrap().to_string(), "8484680c952148c69c11b0720656f69e");
    assert_eq!(
        (partition.flags, partition.no_auto, partition.grow_file_system),
        (Some(16), Some(true), Some(false))
    );
    assert!(partition.zero_fill.is_none() && partition.fills_with_zeros());
    assert!(!quiet("Path=/dev/sda\n").target.partition.fills_with_zeros());
    assert_eq!(quiet("").target.partition.kind.to_string(), "linux-generic");
    assert_eq!(
        message("Type=partition\nCurrentSymlink=k.raw\n"),
        "k.transfer:10:1: [Target] CurrentSymlink=: \"k.raw\" is not an absolute, normalized path"
    );
    for (line, expected) in [
        ("PartitionUUID=x", "\"x\" is not a UUID"),
        ("PartitionFlags=x", "\"x\" is not a whole number"),
        ("MatchPartitionType=rot", "\"rot\" is neither a UUID nor the name of a partition type"),
    ] {
        let (key, _) = line.split_once('=').unwrap();
        assert_eq!(
            warning(&format!("{line}\n")),
            format!("k.transfer:9:1: [Target] {key}=: {expected}, ignored")
        );
    }
}

#[test]
fn reads_all_keys_of_our_section() {
    let transfer = quiet(
        "[X-Sysupdate]\nMirror=https://a.example/\nMirror=file:///srv/k\nVersion=>=1.30, <1.33\nMaxVersion=v%A\n\
         Channel=beta\nRequires=containerd >=1.7\nRequires=cni\nActivate=soft-reboot\nBandwidth=10M\n\
         HealthCheck=unit:k.service\nHealthCheck=https://localhost/healthz\n",
    );
    assert_eq!(transfer.mirrors, ["https://a.example/", "file:///srv/k"]);
    assert!(transfer.version.as_ref().unwrap().matches("1.32.0", None));
    assert_eq!(transfer.max_version.as_ref().unwrap().as_str(), "v7");
    assert_eq!(transfer.channel, Some(Channel::Beta));
    assert_eq!(transfer.requires[0].versions.as_ref().unwrap().as_str(), ">=1.7");
    assert_eq!((transfer.requires[1].name.as_str(), &transfer.requires[1].versions), ("cni", &None));
    assert_eq!(transfer.activate, Activate::SoftReboot);
    assert_eq!(transfer.bandwidth, Some(10 << 20));
    assert_eq!(transfer.health_checks.len(), 2);
    let reset = quiet(
        "[X-Sysupdate]\nMirror=https://a/\nMirror=\nVersion=1\nVersion=\nMaxVersion=1\nMaxVersion=\nChannel=beta\n\
         Channel=\nRequires=a\nRequires=\nBandwidth=1\nBandwidth=\n",
    );
    assert_eq!(reset, quiet("[X-Sysupdate]\n"), "an empty value forgets");
}

#[test]
fn boot_attempts_have_defaults_where_names_show_them() {
    let target = quiet("MatchPattern=k_@v+@l-@d.efi\n").target;
    assert_eq!((target.tries_left, target.tries_done), (Some(3), Some(0)));
    let target = quiet("MatchPattern=k_@v.efi\n").target;
    assert_eq!((target.tries_left, target.tries_done), (None, None));
}
