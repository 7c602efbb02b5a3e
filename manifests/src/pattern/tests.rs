use super::*;

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

fn version_in(pattern_text: &str, name: &str) -> Option<String> {
    pattern(pattern_text).matches(name).map(|captures| captures.version.to_string())
}

fn message(text: &str) -> String {
    text.parse::<Pattern>().unwrap_err().to_string()
}

fn captures(version: &str) -> Captures {
    Captures::of(version.parse().unwrap())
}

#[test]
fn finds_a_version_between_literals() {
    assert_eq!(version_in("k-@v-x86-64.raw", "k-v1.32.1-2-x86-64.raw").as_deref(), Some("v1.32.1-2"));
    assert_eq!(version_in("k-@v.raw", "k-1.raw").as_deref(), Some("1"));
    assert_eq!(version_in("@v", "1.2").as_deref(), Some("1.2"));
    assert_eq!(version_in("a@@b-@v", "a@b-1").as_deref(), Some("1"));
    assert_eq!(version_in("k-@v.raw", "K-1.raw"), None);
    assert_eq!(version_in("k-@v.raw", "k-.raw"), None);
    assert_eq!(version_in("k-@v.raw", "k-1 2.raw"), None);
    assert_eq!(version_in("k-@v.raw", "k-é.raw"), None);
    assert_eq!(version_in("k-@v.raw", ""), None);
}

#[test]
fn the_whole_name_must_match() {
    assert_eq!(version_in("x-@v-arm64.raw", "x-1-arm64.raw.zst"), None);
    assert_eq!(version_in("x-@v.raw", "yx-1.raw"), None);
}

#[test]
fn a_wildcard_ends_at_the_first_occurrence_without_backtracking() {
    // The first "-x86" ends the version, something is left over, and no second try is made
    assert_eq!(version_in("k-@v-x86", "k-1-x86-x86"), None);
    // The whole literal run counts, not its first character
    assert_eq!(version_in("k-@v-x86.raw", "k-1-x87-x86.raw").as_deref(), Some("1-x87"));
    assert_eq!(version_in("k-@v.raw", "k-1.raw.raw"), None);
}

#[test]
fn every_wildcard_is_typed() {
    let digest = Sha256::of(b"");
    let text = "x_@v_@u_@f_@a_@g_@r_@t_@m_@s_@d_@l_@h.raw".replace('_', " ");
    let name = format!("x 1 {} 0x1f yes no 1 1700000000000000 644 4096 2 3 {digest}.raw", "ab".repeat(16));
    let found = pattern(&text).matches(&name).unwrap();
    let expected = Captures {
        partition_uuid: Some(PartitionUuid(0xabab_abab_abab_abab_abab_abab_abab_abab)),
        partition_flags: Some(0x1f),
        no_auto: Some(true),
        grow_file_system: Some(false),
        read_only: Some(true),
        mtime: Some(1_700_000_000_000_000),
        mode: Some(0o644),
        size: Some(4096),
        tries_done: Some(2),
        tries_left: Some(3),
        sha256: Some(digest),
        ..captures("1")
    };
    assert_eq!(found, expected);
    let spelt = format!("x 1 {} 1f 1 0 1 1700000000000000 644 4096 2 3 {digest}.raw", "ab".repeat(16));
    assert_eq!(pattern(&text).format(&expected).unwrap(), spelt);
}

#[test]
fn does_not_match_an_invalid_value() {
    for (wildcard, value) in [
        ("@m", "0777"),
        ("@m", "4755"),
        ("@m", "+644"),
        ("@m", ""),
        ("@t", "18446744073709551615"),
        ("@t", "-1"),
        ("@s", "1k"),
        ("@s", "++1"),
        ("@s", "08"),
        ("@s", "0x"),
        ("@s", ""),
        ("@f", "xyz"),
        ("@f", "-1"),
        ("@a", "maybe"),
        ("@u", "abcd"),
        ("@u", "0000000000000000000000000000000000é0"),
        ("@h", "abcd"),
        ("@l", ""),
    ] {
        let pattern = pattern(&format!("@v {wildcard}.raw"));
        assert_eq!(pattern.matches(&format!("1 {value}.raw")), None, "{wildcard} as {value:?}");
    }
}

#[test]
fn numbers_have_the_bases_that_systemd_gives_them() {
    for (text, size) in
        [("0", 0), ("10", 10), ("+10", 10), ("010", 8), ("0x1f", 31), ("0o17", 15), ("0b11", 3)]
    {
        assert_eq!(pattern("@v_@s").matches(&format!("1_{text}")).unwrap().size, Some(size), "{text}");
    }
}

#[test]
fn accepts_dashes_in_a_partition_uuid() {
    let found = pattern("@v_@u").matches("1_00112233-4455-6677-8899-aabbccddeeff").unwrap();
    assert_eq!(found.partition_uuid.unwrap().to_string(), "00112233445566778899aabbccddeeff");
}

#[test]
fn boot_counters_match_in_every_state() {
    let patterns: Patterns = "x_@v+@l-@d.efi x_@v+@l.efi x_@v.efi".parse().unwrap();
    let counters = |name| patterns.matches(name).map(|found| (found.tries_left, found.tries_done));
    assert_eq!(counters("x_1+3-0.efi"), Some((Some(3), Some(0))));
    assert_eq!(counters("x_1+3.efi"), Some((Some(3), None)));
    assert_eq!(counters("x_1.efi"), Some((None, None)));
    assert_eq!(counters("x_1.raw"), None);
    assert!(patterns.uses(Wildcard::TriesLeft) && !patterns.uses(Wildcard::Sha256));
}

#[test]
fn the_first_pattern_names_and_duplicates_are_removed() {
    let patterns: Patterns = "a-@v b-@v a-@v b-@v".parse().unwrap();
    assert_eq!(patterns.iter().count(), 2);
    assert_eq!(patterns.format(&captures("1")).unwrap(), "a-1");
    assert_eq!(patterns.to_string(), "a-@v b-@v");
    assert_eq!("  ".parse::<Patterns>().unwrap_err().to_string(), "no pattern given");
}

#[test]
fn naming_needs_every_value() {
    assert_eq!(
        pattern("x-@v_@h").format(&captures("7")).unwrap_err().to_string(),
        "pattern \"x-@v_@h\" needs @h (the SHA-256 digest), which is unknown for version 7"
    );
}

#[test]
fn does_not_make_a_name_that_would_not_match() {
    let error = pattern("x-@v-y").format(&captures("1-y")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pattern \"x-@v-y\" turns version 1-y into \"x-1-y-y\", which it would not match"
    );
    let suid = Captures { mode: Some(0o4755), ..captures("1") };
    assert!(matches!(pattern("@v_@m").format(&suid), Err(FormatError::Ambiguous { .. })));
}

#[test]
fn does_not_make_a_name_that_is_too_long() {
    let error = pattern("x-@v").format(&captures(&"1".repeat(255))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pattern \"x-@v\" results in a name of 257 bytes, but a file name has at most 255"
    );
}

#[test]
fn explains_invalid_patterns() {
    assert_eq!(message("x.raw"), "pattern \"x.raw\" lacks @v, the version");
    assert_eq!(message(""), "pattern \"\" lacks @v, the version");
    assert_eq!(message("x-@v-@z"), "unknown wildcard @z in pattern \"x-@v-@z\"");
    assert_eq!(message("x-@v-@v"), "wildcard @v is used twice in pattern \"x-@v-@v\"");
    assert_eq!(message("@v@m"), "wildcards @v and @m need text between them in pattern \"@v@m\"");
    assert_eq!(message("@v@"), "pattern \"@v@\" ends in a single @");
    assert_eq!(message("x*-@v"), "character 2 of pattern \"x*-@v\" is '*', which is not allowed in patterns");
    assert_eq!(message("é@v"), "character 1 of pattern \"é@v\" is 'é', which is not allowed in patterns");
    assert_eq!(
        message("@v\t"),
        "character 3 of pattern \"@v\\t\" is '\\t', which is not allowed in patterns"
    );
    assert_eq!(
        message("**/x*@v"),
        "character 5 of pattern \"**/x*@v\" is '*', which is not allowed in patterns"
    );
    assert_eq!(
        message("a/**/@v"),
        "character 3 of pattern \"a/**/@v\" is '*', which is not allowed in patterns"
    );
    for (text, part) in
        [("/@v", ""), ("@v/", ""), ("a//@v", ""), ("../@v", ".."), ("@v/..", ".."), ("a/./@v", ".")]
    {
        let expected = format!("{part:?} in pattern {text:?} cannot be the name of a directory or file");
        assert_eq!(message(text), expected);
    }
    assert_eq!(
        message("**/a/@v"),
        "pattern \"**/a/@v\" has a '/' after **/, which already matches all directories"
    );
    assert_eq!(message("**/"), "pattern \"**/\" lacks @v, the version");
    assert_eq!(message(&"a".repeat(300)), "the pattern has 300 bytes, but a file name has at most 255");
}

#[test]
fn hints_say_what_to_write() {
    let hint = |text: &str| text.parse::<Pattern>().unwrap_err().hint();
    assert!(hint("@v-@z").unwrap().contains("@v @u @f @a @g @r @t @m @s @d @l @h; write @@"));
    assert!(hint("x*@v").unwrap().contains("reserved"));
    assert!(hint("x").unwrap().contains("@v"));
    assert!(hint("../@v").unwrap().contains("relative to Path="));
    assert!(hint("**/a/@v").unwrap().contains("omit **/"));
    assert_eq!(hint("@v@m"), None);
}

/// How a look at a path is told in a table.
fn told(patterns: &str, path: &str) -> String {
    let patterns: Patterns = patterns.parse().unwrap();
    match patterns.look(path) {
        Match::Nothing => "no".to_owned(),
        Match::Instance(captures) => format!("yes {}", captures.version),
        Match::Leads => "retry".to_owned(),
        Match::InstanceAndLeads(captures) => format!("yes {} and retry", captures.version),
    }
}

#[test]
fn searches_only_subdirectories_that_can_match() {
    let table = [
        ("a/@v/b.raw", "a", "retry"),
        ("a/@v/b.raw", "b", "no"),
        ("a/@v/b.raw", "a/1", "retry"),
        ("a/@v/b.raw", "a/1 2", "no"),
        ("a/@v/b.raw", "a/1/b.raw", "yes 1"),
        ("a/@v/b.raw", "a/1/c.raw", "no"),
        ("a/@v/b.raw", "a/1/b.raw/c", "no"),
        ("a/@v/b.raw", "ab/1/b.raw", "no"),
        ("x_@v/b.raw", "x", "no"),
        ("x_@v/b.raw", "x_7", "retry"),
        ("x_@v/b.raw", "x_7/b.raw", "yes 7"),
        ("@v-k/@s.raw", "1-k", "retry"),
        ("@v-k/@s.raw", "1-k/4096.raw", "yes 1"),
        ("@s/@v.raw", "big", "no"),
        ("@s/@v.raw", "4096", "retry"),
        ("@v", "a/1", "no"),
        ("@v-k.raw", "a/1-k.raw", "no"),
    ];
    for (patterns, path, expected) in table {
        assert_eq!(told(patterns, path), expected, "{patterns} at {path}");
    }
}

#[test]
fn any_depth_compares_the_last_part_only() {
    let table = [
        ("k-1.raw", "yes 1 and retry"),
        ("a/b/k-1.raw", "yes 1 and retry"),
        ("a", "retry"),
        ("k-1.raw/a", "retry"),
        ("", "retry"),
    ];
    for (path, expected) in table {
        assert_eq!(told("**/k-@v.raw", path), expected, "{path}");
    }
}

#[test]
fn the_order_of_patterns_does_not_matter() {
    let table = [
        ("@v", "@v/b.raw", "1", "yes 1 and retry"),
        ("@v", "x@v/b.raw", "1", "yes 1"),
        ("a@v", "@v/b.raw", "1", "retry"),
        ("a@v", "b@v/c", "1", "no"),
        ("@v/b.raw", "@v/c.raw", "1", "retry"),
        ("@v/b.raw", "@v/c.raw", "1/c.raw", "yes 1"),
        ("**/k@v", "@v", "1", "yes 1 and retry"),
    ];
    for (one, other, path, expected) in table {
        assert_eq!(told(&format!("{one} {other}"), path), expected);
        assert_eq!(told(&format!("{other} {one}"), path), expected);
    }
}

#[test]
fn a_pattern_matches_the_names_it_makes_in_subdirectories() {
    for text in ["a/@v/b.raw", "x_@v/b", "@v/k.raw", "k/@v"] {
        let name = pattern(text).format(&captures("1.2~rc1")).unwrap();
        assert_eq!(pattern(text).matches(&name).unwrap().version.as_str(), "1.2~rc1", "{name}");
        // And every directory on the way leads there
        for (end, _) in name.match_indices('/') {
            assert_eq!(pattern(text).look(&name[..end]), Match::Leads, "{name}");
        }
    }
    let error = pattern("a/@v").format(&captures(&"1".repeat(255))).map(|name| name.len());
    assert_eq!(error, Ok(257), "each part may be as long as a name");
    assert!(pattern("a/@v.raw").format(&captures(&"1".repeat(255))).is_err());
}

#[test]
fn targets_are_not_searched_at_any_depth() {
    let patterns: Patterns = "**/k-@v.raw k-@v.raw a/@v".parse().unwrap();
    assert_eq!(patterns.to_string(), "**/k-@v.raw k-@v.raw a/@v");
    let target = patterns.of_target();
    assert_eq!(target.to_string(), "k-@v.raw a/@v");
    assert_eq!(target.look("b/k-1.raw"), Match::Nothing);
    assert_eq!(patterns.format(&captures("1")).unwrap(), "k-1.raw");
}
