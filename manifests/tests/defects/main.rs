//! Bad inputs: each directory of `fixtures/defects` is named after a defect and holds files that have it.
//!
//! The name of a file says what reads it, and `expected` has a line `FILE: message` for each. With `BLESS=1` in
//! the environment the signed files are made anew (`published.rs`) and `expected` is written instead of
//! compared; `git diff` shows what changed then.

mod published;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use jiff::Timestamp;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::Catalog;
use sysext_manifests::checksums::Checksums;
use sysext_manifests::envelope::{Envelope, EnvelopeError, UNPACKED_LIMIT};
use sysext_manifests::extension_release::ExtensionRelease;
use sysext_manifests::os_release::OsRelease;
use sysext_manifests::pattern::Patterns;
use sysext_manifests::repository::{Marks, Repository};
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Transfer;
use sysext_manifests::trust::{Admitted, Clock, TrustError, admit};
use sysext_manifests::version::Version;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

#[test]
fn each_defect_has_its_message() {
    let bless = env::var_os("BLESS").is_some();
    if bless {
        published::write_all();
    }
    let mut messages = BTreeSet::new();
    for directory in list(&Path::new(FIXTURES).join("defects")) {
        let mut found = String::new();
        for file in list(&directory).iter().filter(|file| is_input(file)) {
            let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
            let message = message(file, &name);
            let message = message.unwrap_or_else(|| panic!("{} was accepted", file.display()));
            found.push_str(&format!("{name}: {message}\n"));
        }
        assert!(!found.is_empty(), "{} has no input", directory.display());
        let expected = directory.join("expected");
        if bless {
            fs::write(&expected, &found).expect("the fixtures can be written");
        }
        let expected = fs::read_to_string(&expected).expect("the directory has an `expected`");
        assert_eq!(found, expected, "{}", directory.display());
        messages.insert(found);
    }
    assert!(messages.len() > 40, "only {} defects were found", messages.len());
}

/// Small when stored and large when accepted, so it is not stored.
#[test]
fn rejects_a_decompression_bomb_before_it_fills_the_memory() {
    let zeros = vec![b' '; usize::try_from(UNPACKED_LIMIT).expect("it is small") + 1];
    let packed = zstd::bulk::compress(&zeros, 3).expect("memory compresses");
    assert!(packed.len() < 8192, "{} bytes are no bomb", packed.len());
    let key = published::key("catalog");
    let role = published::role(1, &[&key]);
    let sealed: Envelope = published::seal(&packed, &[&key]);
    let error = sealed.verify(&role).expect("it is signed").unpack::<Catalog>().expect_err("it is a bomb");
    assert!(matches!(error, EnvelopeError::TooLarge), "{error}");
    assert_eq!(error.to_string(), "the signed part unpacks to more than 33554432 bytes");
}

/// What the judge says of files without a defect, made by the same generator; or the defects prove nothing.
#[test]
fn accepts_the_same_files_without_a_defect() {
    let (file, repository) = published::good();
    let clock = clock(published::NOW);
    let admitted = admit(&file, &repository, None, clock).expect("it is good");
    assert_eq!((admitted.marks.serial, admitted.marks.root.number), (5, 1));
}

/// The way out of `fixtures/defects/serial-after-2-63`.
#[test]
fn a_new_root_undoes_the_effects_of_a_stolen_catalog_key() {
    let (_, repository) = published::good();
    let (marks, file) = published::healed();
    let admitted = admit(&file, &repository, Some(&marks), clock(published::NOW)).expect("the root is new");
    assert_eq!((admitted.marks.serial, admitted.marks.root.number), (1, 2));
}

/// Published by 0.1.0, signed by the keys in `fixtures/keys`. Never to be made anew: every later reader has to
/// read it, as nodes and repositories are not updated together.
#[test]
fn reads_a_catalog_of_an_earlier_release() {
    let directory = Path::new(FIXTURES).join("catalog-2");
    let admitted = judge(&directory.join("catalog.json"), "2026-11-20T12:00:00Z").expect("it was good then");
    let catalog = admitted.catalog.get();
    assert_eq!((catalog.repository.as_str(), catalog.root, catalog.serial), ("example", 2, 42));
    let kubernetes = &catalog.extensions["kubernetes"];
    let [instance] = kubernetes.instances.as_slice() else { panic!("it has one instance") };
    assert_eq!((instance.version.as_str(), instance.arch), ("v1.32.1-2", Architecture::X86_64));
    assert_eq!((instance.image.size, instance.deltas.len(), instance.waves.len()), (74_788_864, 1, 2));
    assert_eq!(instance.units.restart, ["kubelet.service"]);
    // A field that only a later release knows is passed over
    assert_eq!(catalog.extensions["later"].instances.len(), 1);
}

fn message(file: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(file).expect("a fixture can be read");
    let text = String::from_utf8_lossy(&bytes);
    fn told<T, E: ToString>(result: Result<T, E>) -> Option<String> {
        result.err().map(|error| error.to_string())
    }
    match name {
        "SHA256SUMS" => told(Checksums::parse(&bytes)),
        "k.transfer" => told(Transfer::parse(name, &text, &[], &Identity::fake())),
        "os-release" => told(OsRelease::parse(&text)),
        "extension-release" => told(ExtensionRelease::parse(&text)),
        "example.toml" => told(Repository::parse("example", name, &text)),
        "version" => told(text.parse::<Version>()),
        "pattern" => told(text.parse::<Patterns>()),
        "catalog.json" => {
            let now = fs::read_to_string(file.with_file_name("now"));
            told(judge(file, now.as_deref().unwrap_or(published::NOW).trim()))
        }
        _ => panic!("nothing reads {}", file.display()),
    }
}

/// Judges a catalog as a node does that has the `example.toml` beside it, and the `marks.json` if there are any.
fn judge(catalog: &Path, now: &str) -> Result<Admitted, TrustError> {
    let text =
        fs::read_to_string(catalog.with_file_name("example.toml")).expect("a catalog has its repository");
    let repository = Repository::parse("example", "example.toml", &text).expect("the repository is valid");
    let marks: Option<Marks> = fs::read(catalog.with_file_name("marks.json"))
        .ok()
        .map(|bytes| serde_json::from_slice(&bytes).expect("the marks are valid"));
    admit(&fs::read(catalog).expect("a fixture can be read"), &repository, marks.as_ref(), clock(now))
}

/// Beside a catalog lie the repository as the node knows it, what it remembers, and its time.
fn is_input(file: &Path) -> bool {
    let beside = file.with_file_name("catalog.json").exists();
    match file.file_name().and_then(|name| name.to_str()) {
        Some("expected") => false,
        Some("example.toml" | "marks.json" | "now") => !beside,
        _ => true,
    }
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the fixtures can be listed");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed on").path()).collect();
    paths.sort();
    paths
}

fn clock(shows: &str) -> Clock {
    let time = |text: &str| text.parse::<Timestamp>().expect("the time is valid");
    Clock { shows: time(shows), released: time("2026-11-01T00:00:00Z") }
}
