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
    assert_eq!(error("").hint().unwrap(), "this version reads url-file and regular-file");
}

#[test]
fn types_that_are_not_read_are_refused_by_name() {
    assert_eq!(
        message("[Source]\nType=url-tar\n"),
        "k.transfer:10: [Source] Type=: source type \"url-tar\" is none of those this version reads: \
         url-file, regular-file"
    );
    assert_eq!(
        message("Type=partition\n"),
        "k.transfer:9: [Target] Type=: target type \"partition\" is none of those this version writes: \
         regular-file"
    );
    assert_eq!(
        message("Path=/dev/sda\n"),
        "k.transfer:9: [Target] Path=: \"/dev/sda\" makes the target a partition, and this version writes only \
         regular-file"
    );
    assert_eq!(
        message("PathRelativeTo=boot\n"),
        "k.transfer:9: [Target] PathRelativeTo=: \"boot\" is not supported, this version knows only root"
    );
}

#[test]
fn bad_paths_are_refused() {
    for path in ["relative", "/a/../b", "/a/./b", "/a//b", "auto", "//"] {
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
        ours("Activate=reboot"),
        "k.transfer:10: [X-Sysupdate] Activate=: \"reboot\" is none of those this version knows: refresh, none"
    );
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
fn keys_of_later_versions_are_told() {
    for (section, key) in [
        ("Target", "MatchPartitionType"),
        ("Target", "PartitionUUID"),
        ("Transfer", "MaxVersion"),
        ("X-Sysupdate", "Channel"),
        ("X-Sysupdate", "Mirror"),
        ("X-Sysupdate", "Version"),
        ("X-Sysupdate", "MaxVersion"),
        ("X-Sysupdate", "Requires"),
        ("X-Sysupdate", "Bandwidth"),
    ] {
        assert_eq!(
            warning(&format!("[{section}]\n{key}=x\n")),
            format!("k.transfer:10: [{section}] {key}=: not supported by this version, ignored")
        );
    }
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
