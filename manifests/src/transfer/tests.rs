use super::*;
use crate::architecture::Architecture;
use crate::os_release::OsRelease;
use crate::pattern::Captures;

const PLAIN: &str = "\
[Source]
Type=url-file
Path=https://example.org/k/
MatchPattern=k-@v-%a.raw

[Target]
Path=/var/lib/sysupdate/images/k
CurrentSymlink=/var/lib/extensions/k.raw
";

fn identity() -> Identity {
    Identity {
        architecture: Architecture::Arm64,
        machine_id: None,
        boot_id: None,
        hostname: "node".to_owned(),
        kernel_release: "6.18".to_owned(),
        os_release: OsRelease::from_iter([("IMAGE_VERSION", "7"), ("VERSION_ID", "12")]),
        tmp: "/tmp".to_owned(),
        var_tmp: "/var/tmp".to_owned(),
    }
}

fn parse(text: &str) -> (Transfer, Vec<String>) {
    let parsed = Transfer::parse("k.transfer", text, &[], &identity()).unwrap();
    (parsed.transfer, parsed.warnings.iter().map(ToString::to_string).collect())
}

/// A transfer whose file ends in some more lines, which stand from line 9 on.
fn with(more: &str) -> (Transfer, Vec<String>) {
    parse(&format!("{PLAIN}{more}"))
}

fn quiet(more: &str) -> Transfer {
    let (transfer, warnings) = with(more);
    assert_eq!(warnings, [""; 0]);
    transfer
}

fn error(text: &str) -> TransferError {
    Transfer::parse("k.transfer", text, &[], &identity()).unwrap_err()
}

fn message(more: &str) -> String {
    error(&format!("{PLAIN}{more}")).to_string()
}

fn warning(more: &str) -> String {
    let (_, mut warnings) = with(more);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.remove(0)
}

#[test]
fn a_plain_file_has_systemds_defaults() {
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
fn an_extension_of_ours_is_refreshed_unless_told_otherwise() {
    assert_eq!(quiet("").activate, Activate::None, "stock files stay as stock leaves them");
    assert_eq!(quiet("[X-Sysupdate]\n").activate, Activate::Refresh);
    assert_eq!(quiet("CurrentSymlink=/etc/extensions/k.raw\n[X-Sysupdate]\n").activate, Activate::Refresh);
    assert_eq!(quiet("CurrentSymlink=/opt/k.raw\n[X-Sysupdate]\n").activate, Activate::None);
    assert_eq!(quiet("CurrentSymlink=\n[X-Sysupdate]\n").activate, Activate::None);
    let nested = "CurrentSymlink=/var/lib/extensions/a/k.raw\n[X-Sysupdate]\n";
    assert_eq!(quiet(nested).activate, Activate::None);
}

#[test]
fn a_relative_symlink_lies_in_the_targets_directory() {
    let transfer = quiet("Path=/var/lib/extensions/\nCurrentSymlink=./k.raw\n[X-Sysupdate]\n");
    assert_eq!(transfer.target.path, "/var/lib/extensions");
    assert_eq!(transfer.target.current_symlink.as_deref(), Some("/var/lib/extensions/k.raw"));
    assert_eq!(transfer.activate, Activate::Refresh);
}

#[test]
fn a_directory_can_be_the_source() {
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
        "20.conf:2: [Target] InstancesMax=: a target keeps at least 2 versions, raised from 1"
    );
    let broken = [("30.conf", "[Source]\n\nMatchPattern=x.raw\n")];
    let error = Transfer::parse("k.transfer", PLAIN, &broken, &identity()).unwrap_err();
    assert!(error.to_string().starts_with("30.conf:3: [Source] MatchPattern=: "), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let without = |key: &str| {
        let lines = PLAIN.lines().filter(|line| !line.starts_with(key));
        error(&lines.collect::<Vec<_>>().join("\n")).to_string()
    };
    assert_eq!(without("Type="), "k.transfer: [Source] Type= is missing");
    assert_eq!(without("Path=https"), "k.transfer: [Source] Path= is missing");
    assert_eq!(without("MatchPattern="), "k.transfer: [Source] MatchPattern= is missing");
    assert_eq!(without("Path=/var"), "k.transfer: [Target] Path= is missing");
    assert!(error("").hint().unwrap().starts_with("there are url-file, url-tar"));
}

#[test]
fn types_that_do_not_exist_are_refused_with_those_that_do() {
    assert_eq!(
        message("[Source]\nType=url-tgz\n"),
        "k.transfer:10: [Source] Type=: \"url-tgz\" is no type of sources; there are url-file, url-tar, tar, \
         regular-file, directory, subvolume"
    );
    assert_eq!(
        message("Type=disk\n"),
        "k.transfer:9: [Target] Type=: \"disk\" is no type of targets; there are partition, regular-file, \
         directory, subvolume"
    );
    assert_eq!(
        message("PathRelativeTo=home\n"),
        "k.transfer:9: [Target] PathRelativeTo=: \"home\" is none of root, esp, xbootldr, boot, explicit"
    );
    assert_eq!(
        message("Type=directory\n"),
        "k.transfer:9: [Target] Type=: a source of type url-file cannot fill a target of type directory"
    );
    assert_eq!(
        error(&format!("{PLAIN}Type=directory")).hint().unwrap(),
        "Type= may be partition or regular-file there"
    );
}

#[test]
fn paths_start_only_from_where_they_can() {
    assert_eq!(
        message("[Source]\nPathRelativeTo=esp\n"),
        "k.transfer:10: [Source] PathRelativeTo=: a path of type url-file cannot be relative to esp"
    );
    assert_eq!(
        message("PathRelativeTo=explicit\n"),
        "k.transfer:9: [Target] PathRelativeTo=: a path of type regular-file cannot be relative to explicit"
    );
    assert_eq!(
        message("Type=partition\nPath=auto\nPathRelativeTo=boot\n"),
        "k.transfer:11: [Target] PathRelativeTo=: a path of type partition cannot be relative to boot"
    );
    assert_eq!(quiet("PathRelativeTo=boot\n").target.relative_to, RelativeTo::Boot);
    let explicit = quiet("[Source]\nType=regular-file\nPath=/srv\nPathRelativeTo=explicit\n");
    assert_eq!(explicit.source.relative_to, RelativeTo::Explicit);
}

#[test]
fn a_targets_type_is_inferred_as_systemd_does() {
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
fn everything_said_of_partitions_is_read() {
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
        "k.transfer:10: [Target] CurrentSymlink=: \"k.raw\" is not an absolute, normalized path"
    );
    for (line, expected) in [
        ("PartitionUUID=x", "\"x\" is not a UUID"),
        ("PartitionFlags=x", "\"x\" is not a whole number"),
        ("MatchPartitionType=rot", "\"rot\" is neither a UUID nor the name of a partition type"),
    ] {
        let (key, _) = line.split_once('=').unwrap();
        assert_eq!(
            warning(&format!("{line}\n")),
            format!("k.transfer:9: [Target] {key}=: {expected}, ignored")
        );
    }
}

#[test]
fn bad_paths_are_refused() {
    for path in ["relative", "/a/../b", "/a/./b", "/a//b", "auto", "//", "/dev/../b"] {
        assert_eq!(
            message(&format!("Path={path}\n")),
            format!("k.transfer:9: [Target] Path=: {path:?} is not an absolute, normalized path")
        );
    }
    for url in
        ["ftp://example.org/", "https://", "/srv", "https://exa mple.org/", "file://host", "https:///x"]
    {
        assert_eq!(
            message(&format!("[Source]\nPath={url}\n")),
            format!("k.transfer:10: [Source] Path=: {url:?} is not a valid http, https or file URL")
        );
    }
    assert_eq!(
        message("Path=/srv/%Z\n"),
        "k.transfer:9: [Target] Path=: unknown specifier %Z in \"/srv/%Z\""
    );
    assert!(error(&format!("{PLAIN}Path=/%Z")).hint().unwrap().contains("%%"));
}

#[test]
fn bad_patterns_are_refused() {
    assert_eq!(
        message("MatchPattern=k-@v.raw k.raw\n"),
        "k.transfer:9: [Target] MatchPattern=: pattern \"k.raw\" lacks @v, the version"
    );
    assert_eq!(
        message("MatchPattern=k-%m-@v\n"),
        "k.transfer:9: [Target] MatchPattern=: %m in \"k-%m-@v\" needs the machine id, which this host does not have"
    );
    assert_eq!(
        message("MatchPattern=\"@v\\x00\"\n"),
        "k.transfer:9: [Target] MatchPattern=: the escapes in \"\\\"@v\\0\\\"\" make no text"
    );
    assert!(error(&format!("{PLAIN}MatchPattern=k*@v")).hint().unwrap().contains("reserved"));
    let transfer = quiet("MatchPattern=k\\x20@v.raw\n");
    let captures = Captures::of("1".parse().unwrap());
    assert_eq!(transfer.target.patterns.format(&captures).unwrap(), "k 1.raw");
}

#[test]
fn mistakes_in_our_section_stop_the_transfer() {
    let ours = |line: &str| message(&format!("[X-Sysupdate]\n{line}\n"));
    assert_eq!(
        ours("Repository=../x"),
        "k.transfer:10: [X-Sysupdate] Repository=: \"../x\" is not a repository's identifier"
    );
    assert_eq!(
        ours("Activate=later"),
        "k.transfer:10: [X-Sysupdate] Activate=: \"later\" is none of refresh, restart, soft-reboot, reboot, none"
    );
    assert_eq!(
        ours("Channel=nightly"),
        "k.transfer:10: [X-Sysupdate] Channel=: \"nightly\" is none of alpha, beta, stable"
    );
    assert_eq!(
        ours("Mirror=ftp://x/"),
        "k.transfer:10: [X-Sysupdate] Mirror=: \"ftp://x/\" is not a valid http, https or file URL"
    );
    assert_eq!(
        ours("Version=^r5"),
        "k.transfer:10: [X-Sysupdate] Version=: \"^r5\" in the requirement \"^r5\" needs numbers separated by dots"
    );
    assert!(ours("MaxVersion=1 2").starts_with("k.transfer:10: [X-Sysupdate] MaxVersion=: character 2"));
    assert_eq!(
        ours("Requires=>=1.7"),
        "k.transfer:10: [X-Sysupdate] Requires=: \">=1.7\" does not start with an extension's name"
    );
    assert!(ours("Requires=containerd >=").contains("has no valid version"));
    for value in ["fast", "0", "-1", "+1", "17179869184G", "1KM"] {
        assert_eq!(
            ours(&format!("Bandwidth={value}")),
            format!("k.transfer:10: [X-Sysupdate] Bandwidth=: {value:?} is no number of bytes a second")
        );
    }
    assert_eq!(ours("Hold=yse"), "k.transfer:10: [X-Sysupdate] Hold=: \"yse\" is neither yes nor no");
    assert_eq!(
        ours("HealthCheck=exec:true"),
        "k.transfer:10: [X-Sysupdate] HealthCheck=: health check \"exec:true\" runs \"true\", which is not an \
         absolute path"
    );
}

#[test]
fn a_broken_file_is_refused() {
    assert_eq!(message("[Source\n"), "k.transfer:9: invalid section header \"[Source\"");
}

#[test]
fn bad_values_are_ignored_as_systemd_does() {
    assert_eq!(
        warning("[Transfer]\nMinVersion=1 2\n"),
        "k.transfer:10: [Transfer] MinVersion=: character 2 of the version \"1 2\" is ' '; allowed are digits, \
         ASCII letters and . ~ ^ + _ , -, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nProtectVersion=%B\n"),
        "k.transfer:10: [Transfer] ProtectVersion=: the version is empty, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nVerify=maybe\n"),
        "k.transfer:10: [Transfer] Verify=: \"maybe\" is neither yes nor no, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nChangeLog=nowhere\n"),
        "k.transfer:10: [Transfer] ChangeLog=: \"nowhere\" is not a valid URL, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nFeatures='a\n"),
        "k.transfer:10: [Transfer] Features=: the ' is never closed, ignored"
    );
    assert_eq!(
        warning("InstancesMax=many\n"),
        "k.transfer:9: [Target] InstancesMax=: \"many\" is not a whole number, ignored"
    );
    assert_eq!(
        warning("Mode=rw\n"),
        "k.transfer:9: [Target] Mode=: \"rw\" is not an access mode in octal digits, ignored"
    );
    assert_eq!(warning("Mode=10000\n"), warning("Mode=rw\n").replace("rw", "10000"));
    assert_eq!(
        warning("CurrentSymlink=/a/../b\n"),
        "k.transfer:9: [Target] CurrentSymlink=: \"/a/../b\" is not a normalized path of a file, ignored"
    );
    assert_eq!(
        warning("CurrentSymlink=/%Z\n"),
        "k.transfer:9: [Target] CurrentSymlink=: unknown specifier %Z in \"/%Z\", ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthTimeout=soon\n"),
        "k.transfer:10: [X-Sysupdate] HealthTimeout=: a number is missing in the time span \"soon\", ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthTimeout=0\n"),
        "k.transfer:10: [X-Sysupdate] HealthTimeout=: checks cannot pass in no time, ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthCheck=exec:/bin/grep a\\.b\n"),
        "k.transfer:10: [X-Sysupdate] HealthCheck=: unknown escape \"\\\\.\", left as it is"
    );
}

#[test]
fn an_ignored_value_leaves_the_one_before() {
    let (transfer, _) = with("InstancesMax=7\nInstancesMax=many\n[Transfer]\nMinVersion=2\nMinVersion=/\n");
    assert_eq!(transfer.target.instances_max, 7);
    assert_eq!(transfer.min_version.unwrap().as_str(), "2");
    assert_eq!(with("InstancesMax=7\nInstancesMax=\n").0.target.instances_max, 3);
    assert_eq!(with("InstancesMax=0\n").0.target.instances_max, 3);
}

#[test]
fn counters_without_a_wildcard_are_told() {
    assert_eq!(
        warning("TriesLeft=3\n"),
        "k.transfer:9: [Target] TriesLeft=: without effect, the target's MatchPattern= has no @l"
    );
    assert_eq!(
        warning("TriesDone=0\n"),
        "k.transfer:9: [Target] TriesDone=: without effect, the target's MatchPattern= has no @d"
    );
}

#[test]
fn unknown_names_are_told_with_what_they_may_have_meant() {
    assert_eq!(
        warning("InstanceMax=3\n"),
        "k.transfer:9: [Target] InstanceMax=: unknown key, ignored (did you mean InstancesMax=?)"
    );
    assert_eq!(
        warning("Verify=no\n"),
        "k.transfer:9: [Target] Verify=: unknown key, ignored (did you mean the section [Transfer]?)"
    );
    assert_eq!(warning("Colour=red\n"), "k.transfer:9: [Target] Colour=: unknown key, ignored");
    assert_eq!(
        warning("[Transfers]\nMinVersion=1\n"),
        "k.transfer:9: unknown section [Transfers], ignored (did you mean [Transfer]?)"
    );
    assert_eq!(
        warning("[X-SysUpdate]\nHold=yes\n"),
        "k.transfer:9: unknown section [X-SysUpdate], ignored (did you mean [X-Sysupdate]?)"
    );
    assert_eq!(warning("nonsense\n"), "k.transfer:9: no '=' in \"nonsense\", line ignored");
}

#[test]
fn other_programs_sections_and_keys_are_theirs() {
    quiet("X-Note=1\n[X-Vendor]\nAnything=goes\n");
}

#[test]
fn everything_in_our_section_is_read() {
    let transfer = quiet(
        "[X-Sysupdate]\nMirror=https://a.example/\nMirror=file:///srv/k\nVersion=>=1.30, <1.33\nMaxVersion=v%A\n\
         Channel=beta\nRequires=containerd >=1.7\nRequires=cni\nActivate=soft-reboot\nBandwidth=10M\n\
         HealthCheck=unit:k.service\nHealthCheck=https://localhost/healthz\n",
    );
    assert_eq!(transfer.mirrors, ["https://a.example/", "file:///srv/k"]);
    assert!(transfer.version.as_ref().unwrap().matches("1.32.0"));
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

/// Lines of which any choice makes a file: what each key can say, and nothing.
const CHOICES: &[(&str, &[&str])] = &[
    ("Transfer", &["", "MinVersion=v1.2~rc1", "MinVersion=%A"]),
    ("Transfer", &["", "ProtectVersion=%A\nProtectVersion=1^2"]),
    ("Transfer", &["", "Verify=no"]),
    ("Transfer", &["", "ChangeLog=https://x/@v%20a\nChangeLog=https://x/%%a"]),
    ("Transfer", &["", "AppStream=https://x/a.xml"]),
    ("Transfer", &["", "Features=a 'b c' \"d\\\"e\"\nRequisiteFeatures=\\x41 '\\t'"]),
    ("Source", &["", "MatchPattern=**/k-@v.raw a/@v/b%%c\\x20d.raw 'x'@v"]),
    (
        "Source",
        &[
            "",
            "Type=regular-file\nPath=/srv/50%%\nPathRelativeTo=esp",
            "Type=url-tar",
            "Type=subvolume\nPath=/",
        ],
    ),
    ("Target", &["", "Path=/dev/sda", "PathRelativeTo=boot\nPath=/"]),
    ("Target", &["", "MatchPattern=k_@v+@l-@d.efi k_@v.efi"]),
    ("Target", &["", "Mode=0640\nReadOnly=yes", "ReadOnly=no"]),
    ("Target", &["", "InstancesMax=7\nRemoveTemporary=no"]),
    ("Target", &["", "CurrentSymlink=k.raw", "CurrentSymlink=/a/%%b"]),
    ("Target", &["", "TriesLeft=9\nTriesDone=1"]),
    (
        "Target",
        &[
            "",
            "MatchPartitionType=root-verity\nPartitionUUID=8484680c-9521-48c6-9c11-b0720656f69e\nPartitionFlags=12",
        ],
    ),
    ("Target", &["", "PartitionNoAuto=yes\nPartitionGrowFileSystem=no\nPartitionZeroFill=yes"]),
    ("X-Sysupdate", &["", "Repository=example\nMirror=https://m/%20\nChannel=alpha"]),
    ("X-Sysupdate", &["", "Version=>=1, <2\nMaxVersion=1.9", "Version=~1.32"]),
    ("X-Sysupdate", &["", "Hold=yes\nRequires=a\nRequires=b =1.2"]),
    ("X-Sysupdate", &["", "Activate=restart", "Activate=none"]),
    (
        "X-Sysupdate",
        &["", "HealthCheck=exec:/bin/test -e '/a b'\nHealthCheck=unit:k.service\nHealthCheck=http://x/"],
    ),
    ("X-Sysupdate", &["", "HealthTimeout=90s\nBandwidth=3K"]),
];

#[test]
fn what_was_read_is_written_and_read_again() {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut read = 0;
    for _ in 0..3000 {
        let mut text = PLAIN.to_owned();
        for (section, lines) in CHOICES {
            // xorshift
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let line = lines[usize::try_from(seed >> 33).unwrap() % lines.len()];
            text.push_str(&format!("[{section}]\n{line}\n"));
        }
        // Not all choices go together: a URL in a directory's place is refused, for one
        let Ok(parsed) = Transfer::parse("k.transfer", &text, &[], &identity()) else { continue };
        read += 1;
        let written = parsed.transfer.render().unwrap();
        let (again, _) = parse(&written);
        assert_eq!(again, parsed.transfer, "{text}\n----\n{written}");
        assert_eq!(again.render().unwrap(), written);
    }
    assert!(read > 500, "{read} of 3000 went together");
}

fn full_text() -> TransferText {
    TransferText {
        comment: "Kubernetes 1.32\n\nhttps://example.org".to_owned(),
        min_version: Some("v1.32.0".parse().unwrap()),
        protect_versions: vec!["%A".to_owned()],
        target_patterns: vec!["k-@v-%a.raw".to_owned(), "k-@v.raw".to_owned()],
        current_symlink: Some("/var/lib/extensions/k.raw".to_owned()),
        mode: Some(0o644),
        instances_max: Some(4),
        repository: Some("example".to_owned()),
        activate: Some(Activate::Refresh),
        health_checks: vec!["exec:/bin/test -e '/a b'".parse().unwrap()],
        health_timeout: Some(Duration::from_secs(90)),
        ..TransferText::new("https://example.org/k/", "k-@v-%a.raw", "/var/lib/k", VerifyText::Unsigned)
    }
}

#[test]
fn a_written_file_reads_as_people_expect() {
    let text = full_text().render().unwrap();
    let expected = "\
# Kubernetes 1.32
#
# https://example.org

[Transfer]
# No OpenPGP signature is published here. systemd-sysupdate then trusts the server and
# its TLS certificate; sysupdate with Repository= checks the signed catalog all the same.
Verify=no
MinVersion=v1.32.0
ProtectVersion=%A

[Source]
Type=url-file
Path=https://example.org/k/
MatchPattern=k-@v-%a.raw

[Target]
Type=regular-file
Path=/var/lib/k
MatchPattern=k-@v-%a.raw k-@v.raw
Mode=0644
InstancesMax=4
CurrentSymlink=/var/lib/extensions/k.raw

[X-Sysupdate]
Repository=example
Activate=refresh
HealthCheck=exec:/bin/test -e \"/a b\"
HealthTimeout=90s
";
    assert_eq!(text, expected);
}

#[test]
fn a_written_file_reads_back() {
    let (transfer, warnings) = parse(&full_text().render().unwrap());
    assert_eq!(warnings, [""; 0]);
    assert!(!transfer.verify);
    assert_eq!(transfer.min_version, full_text().min_version);
    assert!(transfer.protects(&"7".parse().unwrap()));
    assert_eq!(transfer.source.path, "https://example.org/k/");
    assert_eq!(transfer.target.patterns.to_string(), "k-@v-arm64.raw k-@v.raw");
    assert_eq!(transfer.target.mode, Some(0o644));
    assert_eq!(transfer.target.instances_max, 4);
    assert_eq!(transfer.target.current_symlink, full_text().current_symlink);
    assert_eq!(transfer.repository, full_text().repository);
    assert_eq!(transfer.activate, Activate::Refresh);
    assert_eq!(transfer.health_checks, full_text().health_checks);
    assert_eq!(transfer.health_timeout, Duration::from_secs(90));

    let small =
        TransferText::new("https://example.org/", "@v", "/srv", VerifyText::OpenPgp).render().unwrap();
    assert!(!small.contains("X-Sysupdate") && small.starts_with("[Transfer]\nVerify=yes\n"), "{small}");
    assert!(parse(&small).0.verify);
}

#[test]
fn a_value_that_would_not_read_back_is_not_written() {
    let error = |change: fn(&mut TransferText)| {
        let mut text = full_text();
        change(&mut text);
        text.render().unwrap_err().to_string()
    };
    assert_eq!(
        error(|text| text.url = "https://x/\n[Target]".to_owned()),
        "Path= cannot be written as \"https://x/\\n[Target]\": it has a control character"
    );
    assert!(error(|text| text.repository = Some(String::new())).contains("an empty value means none"));
    assert!(error(|text| text.url.push(' ')).contains("white space"));
    assert!(error(|text| text.target_path.push('\\')).contains("backslash"));
    assert_eq!(error(|text| text.source_patterns.clear()), "MatchPattern= is missing in [Source]");
}

#[test]
fn a_comment_cannot_become_a_key() {
    let text = TransferText { comment: "a\r[Target]\nPath=/evil\\\n".to_owned(), ..full_text() };
    let (transfer, _) = parse(&text.render().unwrap());
    assert_eq!(transfer.target.path, "/var/lib/k");
}
