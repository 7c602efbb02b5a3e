//! What makes a transfer unusable, with the place and what would be accepted.

use super::*;
use crate::hint::Hint as _;

#[test]
fn names_a_missing_key() {
    let without = |key: &str| {
        let lines = PLAIN.lines().filter(|line| !line.starts_with(key));
        error(&lines.collect::<Vec<_>>().join("\n")).to_string()
    };
    assert_eq!(without("Type="), "k.transfer: [Source] Type= is missing");
    assert_eq!(without("Path=https"), "k.transfer: [Source] Path= is missing");
    assert_eq!(without("MatchPattern="), "k.transfer: [Source] MatchPattern= is missing");
    assert_eq!(without("Path=/var"), "k.transfer: [Target] Path= is missing");
    assert!(error("").hint().unwrap().starts_with("expected one of url-file, url-tar"));
}

#[test]
fn rejects_unknown_types_and_lists_the_known_ones() {
    assert_eq!(
        message("[Source]\nType=url-tgz\n"),
        "k.transfer:10:1: [Source] Type=: \"url-tgz\" is an unknown source type; expected one of url-file, url-tar, tar, \
         regular-file, directory, subvolume"
    );
    assert_eq!(
        message("Type=disk\n"),
        "k.transfer:9:1: [Target] Type=: \"disk\" is an unknown target type; expected one of partition, regular-file, \
         directory, subvolume"
    );
    assert_eq!(
        message("PathRelativeTo=home\n"),
        "k.transfer:9:1: [Target] PathRelativeTo=: \"home\" is unknown; expected one of root, esp, xbootldr, boot, explicit"
    );
    assert_eq!(
        message("Type=directory\n"),
        "k.transfer:9:1: [Target] Type=: a source of type url-file cannot fill a target of type directory"
    );
    assert_eq!(
        error(&format!("{PLAIN}Type=directory")).hint().unwrap(),
        "Type= may be partition or regular-file there"
    );
}

#[test]
fn rejects_bases_that_a_type_does_not_allow() {
    assert_eq!(
        message("[Source]\nPathRelativeTo=esp\n"),
        "k.transfer:10:1: [Source] PathRelativeTo=: a path of type url-file cannot be relative to esp"
    );
    assert_eq!(
        message("PathRelativeTo=explicit\n"),
        "k.transfer:9:1: [Target] PathRelativeTo=: a path of type regular-file cannot be relative to explicit"
    );
    assert_eq!(
        message("Type=partition\nPath=auto\nPathRelativeTo=boot\n"),
        "k.transfer:11:1: [Target] PathRelativeTo=: a path of type partition cannot be relative to boot"
    );
    assert_eq!(quiet("PathRelativeTo=boot\n").target.relative_to, RelativeTo::Boot);
    let explicit = quiet("[Source]\nType=regular-file\nPath=/srv\nPathRelativeTo=explicit\n");
    assert_eq!(explicit.source.relative_to, RelativeTo::Explicit);
}

#[test]
fn rejects_invalid_paths() {
    for path in ["relative", "/a/../b", "/a/./b", "/a//b", "auto", "//", "/dev/../b"] {
        assert_eq!(
            message(&format!("Path={path}\n")),
            format!("k.transfer:9:1: [Target] Path=: {path:?} is not an absolute, normalized path")
        );
    }
    for url in
        ["ftp://example.org/", "https://", "/srv", "https://exa mple.org/", "file://host", "https:///x"]
    {
        assert_eq!(
            message(&format!("[Source]\nPath={url}\n")),
            format!("k.transfer:10:1: [Source] Path=: {url:?} is not a valid http, https or file URL")
        );
    }
    assert_eq!(
        message("Path=/srv/%Z\n"),
        "k.transfer:9:1: [Target] Path=: unknown specifier %Z in \"/srv/%Z\""
    );
    assert!(error(&format!("{PLAIN}Path=/%Z")).hint().unwrap().contains("%%"));
}

#[test]
fn rejects_invalid_patterns() {
    assert_eq!(
        message("MatchPattern=k-@v.raw k.raw\n"),
        "k.transfer:9:1: [Target] MatchPattern=: pattern \"k.raw\" lacks @v, the version"
    );
    assert_eq!(
        message("MatchPattern=k-%m-@v\n"),
        "k.transfer:9:1: [Target] MatchPattern=: %m in \"k-%m-@v\" needs the machine id, which this host does not have"
    );
    assert_eq!(
        message("MatchPattern=\"@v\\x00\"\n"),
        "k.transfer:9:1: [Target] MatchPattern=: invalid escapes in \"\\\"@v\\0\\\"\""
    );
    assert!(error(&format!("{PLAIN}MatchPattern=k*@v")).hint().unwrap().contains("reserved"));
    let transfer = quiet("MatchPattern=k\\x20@v.raw\n");
    let captures = Captures::of("1".parse().unwrap());
    assert_eq!(transfer.target.patterns.format(&captures).unwrap(), "k 1.raw");
}

#[test]
fn rejects_mistakes_in_our_section() {
    let ours = |line: &str| message(&format!("[X-Sysupdate]\n{line}\n"));
    assert_eq!(
        ours("Repository=../x"),
        "k.transfer:10:1: [X-Sysupdate] Repository=: \"../x\" is not a repository's identifier"
    );
    assert_eq!(
        ours("Activate=later"),
        "k.transfer:10:1: [X-Sysupdate] Activate=: \"later\" is unknown; expected one of refresh, restart, soft-reboot, reboot, none"
    );
    assert_eq!(
        ours("Channel=nightly"),
        "k.transfer:10:1: [X-Sysupdate] Channel=: \"nightly\" is unknown; expected one of alpha, beta, stable"
    );
    assert_eq!(
        ours("Mirror=ftp://x/"),
        "k.transfer:10:1: [X-Sysupdate] Mirror=: \"ftp://x/\" is not a valid http, https or file URL"
    );
    assert_eq!(
        ours("Version=^r5"),
        "k.transfer:10:1: [X-Sysupdate] Version=: \"^r5\" in the requirement \"^r5\" needs numbers separated by dots"
    );
    assert!(ours("MaxVersion=1 2").starts_with("k.transfer:10:1: [X-Sysupdate] MaxVersion=: character 2"));
    assert_eq!(
        ours("Requires=>=1.7"),
        "k.transfer:10:1: [X-Sysupdate] Requires=: \">=1.7\" is not the name of an extension"
    );
    assert!(ours("Requires=containerd >=").contains("has no valid version"));
    for value in ["fast", "0", "-1", "+1", "17179869184G", "1KM"] {
        assert_eq!(
            ours(&format!("Bandwidth={value}")),
            format!(
                "k.transfer:10:1: [X-Sysupdate] Bandwidth=: {value:?} is not a number of bytes per second"
            )
        );
    }
    assert_eq!(ours("Hold=yse"), "k.transfer:10:1: [X-Sysupdate] Hold=: \"yse\" is not a boolean");
    assert_eq!(
        ours("HealthCheck=exec:true"),
        "k.transfer:10:1: [X-Sysupdate] HealthCheck=: health check \"exec:true\" runs \"true\", which is not an \
         absolute path"
    );
}

#[test]
fn rejects_an_invalid_ini_file() {
    assert_eq!(message("[Source\n"), "k.transfer:9:1: invalid section header \"[Source\"");
}
