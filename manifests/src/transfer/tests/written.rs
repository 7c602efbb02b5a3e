//! What is written reads as it was meant.

use super::*;

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
fn a_transfer_can_be_written_and_read_back() {
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
fn writes_a_readable_file() {
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
fn does_not_write_a_value_that_would_not_read_back() {
    let error = |change: fn(&mut TransferText)| {
        let mut text = full_text();
        change(&mut text);
        text.render().unwrap_err().to_string()
    };
    assert_eq!(
        error(|text| text.url = "https://x/\n[Target]".to_owned()),
        "Path= cannot be written as \"https://x/\\n[Target]\": it contains a control character"
    );
    assert!(
        error(|text| text.repository = Some(String::new()))
            .contains("an empty value would remove the setting")
    );
    assert!(error(|text| text.url.push(' ')).contains("white space"));
    assert!(error(|text| text.target_path.push('\\')).contains("backslash"));
    assert_eq!(error(|text| text.source_patterns.clear()), "MatchPattern= is missing in [Source]");
}

#[test]
fn comments_cannot_become_keys() {
    let text = TransferText { comment: "a\r[Target]\nPath=/evil\\\n".to_owned(), ..full_text() };
    let (transfer, _) = parse(&text.render().unwrap());
    assert_eq!(transfer.target.path, "/var/lib/k");
}
