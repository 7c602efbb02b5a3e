//! Lists, read strictly and leniently, and written.

use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str) -> Checksums {
    let (checksums, warnings) = Checksums::parse(text.as_bytes()).unwrap();
    assert_eq!(warnings, []);
    checksums
}

fn message(text: &str) -> String {
    Checksums::parse(text.as_bytes()).unwrap_err().to_string()
}

fn names(checksums: &Checksums) -> Vec<&str> {
    checksums.entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn reads_names_and_digests() {
    let other = Sha256::of(b"x");
    let text = format!("{EMPTY}  k-1.raw\n{other} *sub/k 2.raw\n{}  é\n", EMPTY.to_uppercase());
    let checksums = parse(&text);
    assert_eq!(names(&checksums), ["k-1.raw", "sub/k 2.raw", "é"]);
    assert_eq!(checksums.find("sub/k 2.raw"), Some(other));
    assert_eq!(checksums.find("é"), Some(Sha256::of(b"")));
    assert_eq!(checksums.find("k"), None);
    assert_eq!(parse(""), Checksums::default());
}

#[test]
fn rejects_a_file_with_an_invalid_line_and_names_it() {
    let second = |line: &str| message(&format!("{EMPTY}  a\n{line}"));
    assert_eq!(second(&format!("{EMPTY}  b")), "line 2 has no newline at the end; the file may be truncated");
    assert_eq!(second("\n"), "line 2 is empty");
    assert_eq!(
        second(&format!("\\{EMPTY}  b\n")),
        "line 2 starts with a backslash; escaped file names are not accepted"
    );
    assert_eq!(
        second("# comment\n"),
        "line 2 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, not 9"
    );
    assert_eq!(
        second(&format!("x{}  b\n", &EMPTY[1..])),
        "line 2 does not start with a digest: byte 0 of the SHA-256 digest is not a hexadecimal digit"
    );
    assert_eq!(second(&format!("{EMPTY}\n")), "line 2 has no \"  \" or \" *\" after the digest");
    assert_eq!(second(&format!("{EMPTY}\tb\n")), "line 2 has no \"  \" or \" *\" after the digest");
    assert_eq!(second(&format!("{EMPTY} b\n")), "line 2 has no \"  \" or \" *\" after the digest");
    assert_eq!(second(&format!("{EMPTY}  \n")), "line 2 names no file");
    assert_eq!(
        second(&format!("{EMPTY}  b\r\n")),
        "line 2: the file name \"b\\r\" contains a control character"
    );
    assert_eq!(second(&format!("{EMPTY}  b\0\n")), "line 2 contains a NUL byte");
    assert_eq!(
        second(&format!("{}  a\n", Sha256::of(b"x"))),
        "line 2: \"a\" was listed before with another digest"
    );
    // A character that straddles the end of the digest
    assert!(second(&format!("{}é  b\n", &EMPTY[1..])).starts_with("line 2 does not start with a digest"));
}

#[test]
fn rejects_bytes_that_are_not_utf_8() {
    let mut bytes = format!("{EMPTY}  a\n{EMPTY}  ").into_bytes();
    bytes.extend([0xff, b'\n']);
    assert_eq!(Checksums::parse(&bytes), Err(ChecksumsError::NotText { line: 2 }));
}

#[test]
fn rejects_a_name_that_leads_elsewhere() {
    for name in ["/etc/passwd", "..", "../a", "a/../b", "a//b", "./a", "a/", "a%2fb", "."] {
        assert_eq!(
            message(&format!("{EMPTY}  {name}\n")),
            format!("line 1: {name:?} is not a file name or a normalized relative path")
        );
    }
}

#[test]
fn a_lenient_reading_skips_and_reports_invalid_lines() {
    let other = Sha256::of(b"x");
    let mut bytes = format!(
        "# made by hand\n{EMPTY}  a\n\n{EMPTY}  b\r\n{other}  twice\n{EMPTY}  ../c\n{EMPTY}  d\n{EMPTY}  \
         twice\n{other}  twice\n{EMPTY}  BEST-BEFORE-2026-12-04\n{EMPTY}  nul\0\n{EMPTY}  "
    )
    .into_bytes();
    bytes.extend(b"\xff\n");
    bytes.extend(format!("{EMPTY}  cut").as_bytes());
    let (checksums, warnings, skipped) = Checksums::parse_lenient(&bytes);
    assert_eq!((names(&checksums), warnings.len()), (vec!["a", "d"], 0));
    assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
    let told: Vec<_> = skipped.lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, not 14",
            "line 3 is empty",
            "line 4: the file name \"b\\r\" contains a control character",
            "line 6: \"../c\" is not a file name or a normalized relative path",
            "line 8: \"twice\" was listed before with another digest",
            "line 11 contains a NUL byte",
            "line 12 is not UTF-8",
            "line 13 has no newline at the end; the file may be truncated",
        ]
    );
    assert!(Checksums::parse(&bytes).is_err());
    // What is left is what nodes read
    let (again, _) = Checksums::parse(checksums.render().unwrap().as_bytes()).unwrap();
    assert_eq!((names(&again), again.best_before), (names(&checksums), checksums.best_before));
}

#[test]
fn a_lenient_reading_reports_a_limited_number_of_lines() {
    let (checksums, _, skipped) = Checksums::parse_lenient(&b"\n".repeat(10_000));
    assert_eq!(checksums, Checksums::default());
    assert_eq!((skipped.lines.len(), skipped.more), (SKIPPED_MAX, 10_000 - SKIPPED_MAX));
    let text = format!("{EMPTY}  a\n");
    let (checksums, warnings, skipped) = Checksums::parse_lenient(text.as_bytes());
    assert_eq!((checksums, warnings, skipped), (parse(&text), Vec::new(), Skipped::default()));
}

#[test]
fn hints_explain_what_happened_to_the_file() {
    let hint = |text: &str| Checksums::parse(text.as_bytes()).unwrap_err().hint();
    assert!(hint(&format!("{EMPTY}  b\r\n")).unwrap().contains("carriage return"));
    assert!(hint(&format!("{EMPTY}  b")).unwrap().contains("download it again"));
    assert_eq!(hint("\n"), None);
}

#[test]
fn accepts_a_repeated_line() {
    assert_eq!(names(&parse(&format!("{EMPTY}  a\n{EMPTY}  a\n"))), ["a", "a"]);
}

#[test]
fn expires_at_midnight_utc_of_the_earliest_date() {
    let text = format!("{EMPTY}  BEST-BEFORE-2026-12-04\n{EMPTY}  a\n{EMPTY}  BEST-BEFORE-2027-01-01\n");
    let checksums = parse(&text);
    assert_eq!(names(&checksums), ["a"]);
    assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
    let check = |now: &str| checksums.check_freshness(now.parse().unwrap());
    assert_eq!(check("2026-12-03T23:59:59Z"), Ok(()));
    assert_eq!(check("2026-12-04T00:00:00Z"), Ok(()));
    assert_eq!(
        check("2026-12-04T00:00:01Z").unwrap_err().to_string(),
        "SHA256SUMS expired on 2026-12-04 (it is 2026-12-04T00:00:01Z now)"
    );
    assert_eq!(parse("").check_freshness(Timestamp::MAX), Ok(()));
}

#[test]
fn warns_of_an_invalid_marker() {
    let other = Sha256::of(b"x");
    let text = format!(
        "{other}  BEST-BEFORE-2026-12-04\n{EMPTY}  BEST-BEFORE-2026-02-30\n{EMPTY}  BEST-BEFORE-20261204\n\
         {EMPTY}  sub/BEST-BEFORE-2020-01-01\n"
    );
    let (checksums, warnings) = Checksums::parse(text.as_bytes()).unwrap();
    assert_eq!(checksums.best_before, Some("2026-12-04".parse().unwrap()));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 1: \"BEST-BEFORE-2026-12-04\" should have the digest of an empty file; its date is used anyway",
            "line 2: \"BEST-BEFORE-2026-02-30\" has no valid date, ignored",
            "line 3: \"BEST-BEFORE-20261204\" has no valid date, ignored",
        ]
    );
}

#[test]
fn a_written_manifest_is_sorted_and_reads_back() {
    let entry = |name: &str| Entry { name: name.to_owned(), sha256: Sha256::of(name.as_bytes()) };
    let checksums = Checksums {
        entries: vec![entry("k-2.raw"), entry("k-10.raw")],
        best_before: Some("2026-12-04".parse().unwrap()),
    };
    let text = checksums.render().unwrap();
    let names: Vec<_> = text.lines().map(|line| &line[66..]).collect();
    assert_eq!(names, ["BEST-BEFORE-2026-12-04", "k-10.raw", "k-2.raw"]);
    assert!(text.ends_with('\n'));
    let read = parse(&text);
    assert_eq!(read.best_before, checksums.best_before);
    assert_eq!(read.find("k-2.raw"), checksums.find("k-2.raw"));
}

#[test]
fn does_not_write_a_name_that_would_not_read_back() {
    let entry = |name: &str, bytes: &[u8]| Entry { name: name.to_owned(), sha256: Sha256::of(bytes) };
    let render = |entries| Checksums { entries, best_before: None }.render().unwrap_err().to_string();
    assert_eq!(
        render(vec![entry("../a", b"")]),
        "line 1: \"../a\" is not a file name or a normalized relative path"
    );
    assert!(render(vec![entry("a\nb", b"")]).starts_with("line 2 does not start with a digest"));
    assert_eq!(
        render(vec![entry("a", b"1"), entry("a", b"2")]),
        "line 2: \"a\" was listed before with another digest"
    );
}
