//! How long a node takes to read what a large repository publishes: `cargo bench -p sysext-manifests`.
//!
//! The sizes are those of the largest bakeries, rounded up. Figures and their targets stand in
//! `docs/performance.md`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use minisign::KeyPair;
use rustix::time::{ClockId, clock_gettime};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Catalog, CatalogFile, Extension, FORMAT, Instance, Resource, Root, Units};
use sysext_manifests::checksums::{Checksums, Entry};
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::{Envelope, Role, Signature};
use sysext_manifests::health::HealthCheck;
use sysext_manifests::pattern::Patterns;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock};

/// Lines of the manifest.
const LINES: usize = 20_000;
/// Transfer files that look into it, each with a pattern of its own.
const PATTERNS: usize = 50;
/// Extensions in the catalog.
const EXTENSIONS: usize = 35;
/// Versions of each, for each of two architectures.
const VERSIONS: usize = 20;

fn manifest(criterion: &mut Criterion<CpuTime>) {
    let checksums = Checksums {
        entries: (0..LINES)
            .map(|line| {
                let (extension, patch) = (line % PATTERNS, line / PATTERNS);
                let name = format!("extension-{extension:02}-v1.{}.{}-x86-64.raw", patch / 20, patch % 20);
                Entry { sha256: Sha256::of(name.as_bytes()), name }
            })
            .collect(),
        best_before: None,
    };
    let text = checksums.render().expect("the names are plain");
    let patterns: Vec<Patterns> = (0..PATTERNS)
        .map(|n| format!("extension-{n:02}-@v-x86-64.raw").parse().expect("the pattern is valid"))
        .collect();

    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("20000 lines parsed", |bencher| {
        bencher.iter(|| Checksums::parse(black_box(text.as_bytes())).expect("it was just written"));
    });
    group.bench_function("20000 lines parsed and matched against 50 patterns", |bencher| {
        bencher.iter(|| {
            let (checksums, _) = Checksums::parse(black_box(text.as_bytes())).expect("it was just written");
            let mut found = 0;
            for patterns in &patterns {
                found += checksums.entries.iter().filter_map(|entry| patterns.matches(&entry.name)).count();
            }
            assert_eq!(found, LINES, "each line belongs to one pattern");
        });
    });
    group.finish();
}

fn catalog(criterion: &mut Criterion<CpuTime>) {
    let (document, repository) = published();
    let clock = Clock { shows: time("2026-11-20T00:00:00Z"), released: time("2026-11-01T00:00:00Z") };
    let mut group = criterion.benchmark_group("catalog");
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("35 extensions x 20 versions x 2 architectures verified and parsed", |bencher| {
        bencher.iter(|| {
            let admitted = trust::admit(black_box(&document), &repository, None, clock).expect("it is good");
            assert_eq!(admitted.catalog.get().extensions.len(), EXTENSIONS);
        });
    });
    group.finish();
}

/// A signed catalog whose every field is filled, and the repository as a node knows it.
fn published() -> (Vec<u8>, Repository) {
    let (root_key, catalog_key) = (key(), key());
    let expires = time("2026-12-04T00:00:00Z");
    let root = Root {
        repository: "example".to_owned(),
        number: 1,
        threshold: 1,
        keys: vec![root_key.pk.to_base64()],
        catalog: Role { threshold: 1, keys: vec![catalog_key.pk.to_base64()] },
        catalog_lifetime_max_days: 30,
        expires,
    };
    let catalog = Catalog {
        version: FORMAT,
        repository: "example".to_owned(),
        root: 1,
        serial: 42,
        issued: time("2026-11-20T00:00:00Z"),
        expires,
        extensions: (0..EXTENSIONS).map(|n| (format!("extension-{n:02}"), extension(n))).collect(),
    };
    let file = CatalogFile {
        version: FORMAT,
        roots: vec![sign(&root, &root_key)],
        catalog: sign(&catalog, &catalog_key),
    };
    let repository = Repository {
        id: "example".to_owned(),
        url: "https://example.org/".to_owned(),
        mirrors: Vec::new(),
        root: root.role(),
    };
    (serde_json::to_vec(&file).expect("it is plain data"), repository)
}

fn extension(number: usize) -> Extension {
    let digest = |text: String| Sha256::of(text.as_bytes());
    let resource = |url: String| Resource { size: 74_788_864, sha256: digest(url.clone()), url };
    let name = format!("extension-{number:02}");
    let instance = |patch: usize, arch: Architecture| {
        let file = format!("{name}/{name}-v1.32.{patch}-{arch}");
        Instance {
            version: format!("v1.32.{patch}").parse().expect("the version is valid"),
            upstream: format!("1.32.{patch}"),
            revision: 1,
            stream: Some("1.32".to_owned()),
            channel: "stable".to_owned(),
            arch,
            image: resource(format!("{file}.raw")),
            format: "erofs".to_owned(),
            codec: "lz4hc".to_owned(),
            kernel: "5.15".to_owned(),
            writer: "erofs-1/lz4hc:12/lz4-1.10.0".to_owned(),
            verity: Some(digest(format!("{file}.verity")).to_string()),
            transport: vec![resource(format!("{file}.zst"))],
            deltas: Vec::new(),
            release: BTreeMap::from([
                ("ID".to_owned(), "_any".to_owned()),
                ("ARCHITECTURE".to_owned(), arch.to_string()),
            ]),
            requires: vec!["containerd >=1.7".parse().expect("a requirement")],
            conflicts: ["k3s", "rke2"].map(|name| name.parse().expect("a name")).into(),
            units: Units { restart: vec![format!("{name}.service")] },
            health: vec![HealthCheck::Unit { name: format!("{name}.service") }],
            waves: Vec::new(),
            withdrawn: None,
        }
    };
    let architectures = [Architecture::X86_64, Architecture::Arm64];
    Extension {
        description: format!("What {name} is for, in a sentence"),
        homepage: Some(format!("https://{name}.example.org/")),
        license: Some("Apache-2.0".to_owned()),
        manifests: BTreeMap::from([(format!("{name}.transfer"), digest(name.clone()))]),
        instances: (0..VERSIONS)
            .flat_map(|patch| architectures.map(|architecture| instance(patch, architecture)))
            .collect(),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("the time is valid")
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().expect("there is randomness")
}

fn sign<T: serde::Serialize>(document: &T, pair: &KeyPair) -> Envelope {
    let packed = Envelope::pack(document).expect("it is plain data");
    let minisig = minisign::sign(None, &pair.sk, packed.as_slice(), None, None).expect("the key is whole");
    Envelope::seal(&packed, vec![Signature { key: pair.pk.to_base64(), minisig: minisig.into_string() }])
}

/// The time this thread had a processor. All that is measured happens in one thread and waits for
/// nothing, so on an idle machine it is the time on the clock; on a busy one it stays the same.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.try_into().unwrap_or(0))
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = manifest, catalog
}
criterion_main!(benches);
