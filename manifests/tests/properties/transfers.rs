//! Transfer files, repositories, and the texts in them.

use std::time::Duration;

use sysext_manifests::envelope::Role;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::repository::Repository;
use sysext_manifests::specifier::{Identity, escape, expand};
use sysext_manifests::transfer::{Activate, Transfer, TransferText, VerifyText, format_span, parse_span};

use super::random::{Random, cases};
use super::{ANYTHING, version};

const KEYS: [&str; 3] = [
    include_str!("../fixtures/keys/root-1.pub"),
    include_str!("../fixtures/keys/root-2.pub"),
    include_str!("../fixtures/keys/catalog.pub"),
];

fn path(random: &mut Random) -> String {
    (0..=random.below(3)).map(|_| format!("/{}", random.text("abc%-_", 1, 5))).collect()
}

#[test]
fn an_escaped_text_expands_to_itself() {
    cases(2_000, |random| {
        let text = random.text(ANYTHING, 0, 20);
        assert_eq!(expand(&escape(&text), &Identity::fake()), Ok(text));
    });
}

#[test]
fn a_written_span_reads_back_unchanged() {
    cases(2_000, |random| {
        let span = Duration::from_micros(random.next() >> (14 + random.below(50)));
        assert_eq!(parse_span(&format_span(span)), Ok(span), "{}", format_span(span));
    });
}

#[test]
fn a_written_transfer_reads_back() {
    let mut read = 0;
    cases(3_000, |random| {
        let url = format!("https://example.org{}/", path(random));
        let target = path(random);
        let pattern =
            format!("{}@v{}", random.text("k-_.@", 0, 4).replace('@', "@@"), random.text("-_.x", 0, 4));
        let verify = *random.pick(&[VerifyText::OpenPgp, VerifyText::Unsigned]);
        let mut text = TransferText::new(escape(&url), pattern.clone(), escape(&target), verify);
        text.comment = random.text(ANYTHING, 0, 20);
        text.min_version = random.maybe(version);
        let protected = random.some(3, version);
        text.protect_versions = protected.iter().map(|version| escape(version.as_str())).collect();
        let symlink = random.maybe(path);
        text.current_symlink = symlink.as_deref().map(escape);
        text.mode = random.maybe(|random| *random.pick(&[0o644, 0o755, 0o7777, 0]));
        text.instances_max = random.maybe(|random| 2 + random.next() % 100);
        text.repository = random.maybe(|random| random.text("ab-1", 1, 6)).filter(|id| !id.contains('-'));
        text.activate = random.maybe(|random| *random.pick(&[Activate::Refresh, Activate::None]));
        let health_checks: Vec<HealthCheck> = random.some(2, |random| {
            let arguments = random.some(3, |random| random.text("a \"'\\$%é", 0, 5));
            let quoted: String = arguments.iter().map(|argument| format!(" {}", quote(argument))).collect();
            format!("exec:/bin/check{quoted}").parse().expect("every argument can be quoted")
        });
        text.health_checks.clone_from(&health_checks);
        text.health_timeout = random.maybe(|random| Duration::from_secs(1 + random.next() % 10_000));

        let Ok(written) = text.render() else { return };
        let parsed = Transfer::parse("k.transfer", &written, &[], &Identity::fake())
            .unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert!(parsed.warnings.is_empty(), "{:?}\n{written}", parsed.warnings);
        let transfer = parsed.transfer;
        assert_eq!(transfer.verify, verify == VerifyText::OpenPgp);
        assert_eq!(spelling(&transfer.min_version), spelling(&text.min_version));
        assert_eq!(spelling(&transfer.protect_versions), spelling(&protected));
        assert_eq!(transfer.source.path, url, "{written}");
        assert_eq!(transfer.source.patterns.to_string(), pattern);
        assert_eq!(transfer.target.patterns.to_string(), pattern);
        assert_eq!(transfer.target.path, target);
        assert_eq!(transfer.target.current_symlink, symlink);
        assert_eq!(transfer.target.mode, text.mode);
        assert_eq!(transfer.target.instances_max, text.instances_max.unwrap_or(3));
        assert_eq!(transfer.repository, text.repository);
        assert!(text.activate.is_none_or(|activate| activate == transfer.activate));
        assert_eq!(transfer.health_checks, health_checks, "{written}");
        assert_eq!(transfer.health_timeout, text.health_timeout.unwrap_or(Duration::from_secs(60)));
        read += 1;
    });
    assert!(read > 2_000, "only {read} of the texts could be written");
}

/// As systemd splits words.
fn quote(argument: &str) -> String {
    format!("\"{}\"", argument.replace('\\', "\\\\").replace('"', "\\\""))
}

fn spelling<'a>(versions: impl IntoIterator<Item = &'a sysext_manifests::version::Version>) -> Vec<&'a str> {
    versions.into_iter().map(sysext_manifests::version::Version::as_str).collect()
}

#[test]
fn a_written_repository_reads_back() {
    cases(500, |random| {
        let mut keys: Vec<String> =
            KEYS.iter().filter_map(|file| file.lines().nth(1)).map(str::to_owned).collect();
        keys.truncate(1 + random.below(3));
        let threshold = 1 + random.below(keys.len());
        let url = |random: &mut Random| {
            let scheme = random.pick(&["http", "https", "file"]);
            format!("{scheme}://{}/", random.text("ab.'\"\\é ", 1, 6))
        };
        let written = Repository {
            id: "example".to_owned(),
            url: url(random),
            mirrors: random.some(3, url),
            root: Role { threshold, keys },
        };
        let mut table = toml::Table::new();
        table.insert("url".to_owned(), written.url.clone().into());
        table.insert("mirrors".to_owned(), written.mirrors.clone().into());
        table.insert("keys".to_owned(), written.root.keys.clone().into());
        table.insert("threshold".to_owned(), i64::try_from(threshold).expect("it is small").into());
        let read = Repository::parse("example", "example.toml", &table.to_string());
        assert_eq!(read.expect("it is valid"), written, "{table}");
    });
}
