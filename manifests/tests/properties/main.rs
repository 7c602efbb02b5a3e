//! What must hold of every value: what is written reads as the same, and versions have one order.

mod catalogs;
mod random;
mod transfers;

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::iter;

use random::{Random, cases};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::checksums::{Checksums, Entry};
use sysext_manifests::digest::Sha256;
use sysext_manifests::extension_release::ExtensionRelease;
use sysext_manifests::os_release::{OsRelease, quote};
use sysext_manifests::pattern::{Captures, PartitionUuid, Pattern};
use sysext_manifests::version::{Version, compare};

/// Few letters, so that texts are often nearly equal; each kind of separator.
const VERSION: &str = "0019ab.~-^+_,";
/// What os-release values may hold: everything but NUL.
const ANYTHING: &str = "ab01 \t\n\r\"'\\`$#;=%@~.é\u{a0}\u{1}\u{feff}";
/// What a file name in a manifest may hold.
const NAME: &str = "abc019 .-_~+@&=é\u{a0}";

fn version(random: &mut Random) -> Version {
    version_up_to(random, 8)
}

fn version_up_to(random: &mut Random, max: usize) -> Version {
    // `.` and `..` are none
    iter::repeat_with(|| random.text(VERSION, 1, max).parse()).find_map(Result::ok).expect("it goes on")
}

fn sha256(random: &mut Random) -> Sha256 {
    Sha256::of(&random.next().to_le_bytes())
}

#[test]
fn versions_have_one_order_that_agrees_with_equality() {
    let hash = |version: &Version| {
        let mut hasher = DefaultHasher::new();
        version.hash(&mut hasher);
        hasher.finish()
    };
    let mut equal = 0;
    cases(50_000, |random| {
        let [a, b, c] = [(); 3].map(|()| version_up_to(random, 3));
        assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "{a:?} {b:?}");
        assert_eq!(a.cmp(&b), compare(a.as_str(), b.as_str()));
        assert_eq!(a == b, a.cmp(&b).is_eq());
        assert!(a != b || hash(&a) == hash(&b), "{a:?} {b:?}");
        assert!(a > b || b > c || a <= c, "{a:?} {b:?} {c:?}");
        equal += usize::from(a == b && a.as_str() != b.as_str());
    });
    assert!(equal > 100, "only {equal} pairs were equal in other spellings");
}

#[test]
fn a_pattern_matches_the_names_it_makes() {
    let mut made = 0;
    cases(20_000, |random| {
        let mut letters: Vec<char> = "ufagrtmsdlh".chars().collect();
        letters.retain(|_| random.below(4) == 0);
        letters.insert(random.below(letters.len() + 1), 'v');
        let mut text = random.text("k-_.", 0, 2);
        for letter in letters {
            text.push_str(&format!("@{letter}{}", random.text("k-_.+ ", 1, 3)));
        }
        let Ok(pattern) = text.parse::<Pattern>() else { panic!("{text:?} is a pattern") };
        assert_eq!(pattern.to_string(), text);
        let captures = captures(random, &pattern);
        // A value may hold the text that ends it; then nothing must be made
        if let Ok(name) = pattern.format(&captures) {
            let found = pattern.matches(&name).unwrap_or_else(|| panic!("{text:?} {name:?}"));
            assert_eq!(found.version.as_str(), captures.version.as_str());
            assert_eq!(found, captures, "{text:?} {name:?}");
            made += 1;
        }
    });
    assert!(made > 5_000, "only {made} names were made");
}

/// A value for each of the pattern's wildcards.
fn captures(random: &mut Random, pattern: &Pattern) -> Captures {
    let uses = |letter: char| pattern.as_str().contains(&format!("@{letter}"));
    let mut captures = Captures::of(version(random));
    captures.partition_uuid = uses('u').then(|| PartitionUuid(u128::from(random.next()) << 7));
    captures.partition_flags = uses('f').then(|| random.next());
    captures.no_auto = uses('a').then(|| random.chance());
    captures.grow_file_system = uses('g').then(|| random.chance());
    captures.read_only = uses('r').then(|| random.chance());
    captures.mtime = uses('t').then(|| random.next() >> 8);
    captures.mode = uses('m').then(|| *random.pick(&[0o644, 0o755, 0o444, 0o5, 0]));
    captures.size = uses('s').then(|| random.next() >> random.below(63));
    captures.tries_done = uses('d').then(|| random.next() % 12);
    captures.tries_left = uses('l').then(|| random.next() % 12);
    captures.sha256 = uses('h').then(|| sha256(random));
    captures
}

#[test]
fn a_written_manifest_reads_back() {
    cases(2_000, |random| {
        let mut names = BTreeSet::new();
        for _ in 0..random.below(12) {
            let parts = (0..=random.below(3)).map(|_| random.text(NAME, 1, 6)).collect::<Vec<_>>();
            if parts.iter().all(|part| part != "." && part != "..") {
                names.insert(parts.join("/"));
            }
        }
        let entries = names.into_iter().map(|name| Entry { name, sha256: sha256(random) }).collect();
        let days: i32 = random.below(20_000).try_into().expect("it is small");
        let best_before = random.maybe(|_| jiff::civil::date(2000, 1, 1) + jiff::Span::new().days(days));
        let checksums = Checksums { entries, best_before };
        let text = checksums.render().expect("the names are valid");
        assert_eq!(Checksums::parse(text.as_bytes()), Ok((checksums, Vec::new())), "{text}");
    });
}

#[test]
fn a_quoted_os_release_reads_back() {
    cases(5_000, |random| {
        let fields: OsRelease = random
            .some(6, |random| (random.text("ABC_", 1, 4), random.text(ANYTHING, 0, 12)))
            .into_iter()
            .collect();
        let text: String = fields.iter().map(|(key, value)| format!("{key}={}\n", quote(value))).collect();
        assert_eq!(OsRelease::parse(&text), Ok((fields.clone(), Vec::new())), "{text:?}");
        let release: ExtensionRelease = fields.iter().collect();
        assert_eq!(ExtensionRelease::parse(&release.render()), Ok((release, Vec::new())));
    });
}

#[test]
fn printed_names_and_digests_read_back() {
    for architecture in Architecture::ALL {
        assert_eq!(architecture.to_string().parse(), Ok(*architecture));
    }
    cases(1_000, |random| {
        let digest = sha256(random);
        assert_eq!(Sha256::from_hex(&digest.to_string()), Ok(digest));
        let version = version(random);
        assert_eq!(
            version.to_string().parse::<Version>().as_ref().map(Version::as_str),
            Ok(version.as_str())
        );
    });
}
