use super::*;
use crate::merge::examine::{ImageEntry, ReleaseFile};
use crate::merge::quarantine::Unsupported;

const USUAL: Access = Access { mode: 0o755, owner: (0, 0) };
const FOR_ALL: &str = "ID=_any\n";

/// Paths with a final slash are directories; all directories above are added.
fn content(paths: &[&str]) -> ImageContent {
    let mut entries: Vec<ImageEntry> = Vec::new();
    for text in paths {
        let above: Vec<&Path> = Path::new(text).ancestors().skip(1).collect();
        for directory in above.into_iter().rev().filter(|path| !path.as_os_str().is_empty()) {
            let kind = ImageEntryKind::Directory;
            let entry = ImageEntry { path: directory.to_owned(), kind, access: Some(USUAL) };
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let kind = if text.ends_with('/') { ImageEntryKind::Directory } else { ImageEntryKind::File };
        let access = text.ends_with('/').then_some(USUAL);
        entries.push(ImageEntry { path: PathBuf::from(text.trim_end_matches('/')), kind, access });
    }
    ImageContent { releases: Vec::new(), entries }
}

fn image(name: &str, paths: &[&str]) -> Examined {
    let mut content = content(paths);
    content.releases =
        vec![ReleaseFile { name: name.into(), naming: ReleaseNaming::Strict, text: FOR_ALL.into() }];
    Examined {
        name: name.into(),
        path: format!("/var/lib/extensions/{name}.raw").into(),
        outcome: Ok(content),
    }
}

fn with_releases(name: &str, releases: &[(&str, ReleaseNaming, &str)]) -> Examined {
    let mut examined = image(name, &["usr/bin/x"]);
    if let Ok(content) = &mut examined.outcome {
        let file = |(name, naming, text): &(&str, ReleaseNaming, &str)| ReleaseFile {
            name: (*name).into(),
            naming: *naming,
            text: (*text).into(),
        };
        content.releases = releases.iter().map(file).collect();
    }
    examined
}

fn host(entries: &[(&str, HostKind)]) -> HostFacts {
    let entries =
        entries.iter().map(|(path, kind)| (PathBuf::from(path), HostEntry { kind: *kind, access: USUAL }));
    let entries = entries.collect();
    let (os_release, _) = OsRelease::parse("ID=flatcar\nVERSION_ID=1\n").unwrap();
    HostFacts { os_release, architecture: Architecture::X86_64, scope: Scope::System, entries }
}

fn decide(examined: &[Examined], host: &HostFacts) -> (Vec<String>, Vec<(String, QuarantineReason)>) {
    let (layers, quarantined) = admit(examined, host);
    let left_out = quarantined.into_iter().map(|one| (one.name, one.reason)).collect();
    (layers.into_iter().map(|layer| layer.name).collect(), left_out)
}

#[test]
fn each_defect_leaves_out_one_image_and_no_other() {
    let not_read_yet = QuarantineReason::NotSupported { what: Unsupported::BlockDevice };
    let collides = |path: &str| QuarantineReason::Collides { path: path.into(), with: "good".into() };
    let hides = |path: &str, host| QuarantineReason::HidesHost { path: path.into(), host };
    let table: Vec<(&str, Examined, QuarantineReason)> = vec![
        (
            "what could not be read stays left out",
            Examined { name: "bad".into(), path: "/x".into(), outcome: Err(not_read_yet.clone()) },
            not_read_yet,
        ),
        ("no extension-release", with_releases("bad", &[]), QuarantineReason::ReleaseMissing),
        (
            "an extension-release of another name",
            with_releases("bad", &[("other", ReleaseNaming::Strict, FOR_ALL)]),
            QuarantineReason::ReleaseName { found: vec!["other".into()] },
        ),
        (
            "two that could be meant",
            with_releases(
                "bad",
                &[("one", ReleaseNaming::Free, FOR_ALL), ("two", ReleaseNaming::Free, FOR_ALL)],
            ),
            QuarantineReason::ReleaseName { found: vec!["one".into(), "two".into()] },
        ),
        (
            "an extension-release for another system",
            with_releases("bad", &[("bad", ReleaseNaming::Strict, "ID=fedora\n")]),
            QuarantineReason::Incompatible {
                reason: "it is for the distribution \"fedora\", this host is flatcar".into(),
            },
        ),
        ("an os-release", image("bad", &["usr/lib/os-release"]), QuarantineReason::CarriesOsRelease),
        ("a directory over a link", image("bad", &["usr/sbin/x"]), hides("/usr/sbin", HostKind::Link)),
        ("a link over a directory", image("bad", &["usr/lib64"]), hides("/usr/lib64", HostKind::Directory)),
        (
            "a directory over a file",
            image("bad", &["usr/lib/file/x"]),
            hides("/usr/lib/file", HostKind::File),
        ),
        ("a file another extension has", image("bad", &["usr/bin/tool"]), collides("/usr/bin/tool")),
        ("a file where another has a directory", image("bad", &["opt/good"]), collides("/opt/good")),
        (
            "a directory where another has a file",
            image("bad", &["usr/bin/tool/x"]),
            collides("/usr/bin/tool"),
        ),
    ];
    let host = host(&[
        ("usr/sbin", HostKind::Link),
        ("usr/lib64", HostKind::Directory),
        ("usr/lib/file", HostKind::File),
        ("usr/bin", HostKind::Directory),
    ]);
    let good = image("good", &["usr/bin/tool", "opt/good/x"]);
    let last = image("last", &["usr/bin/last"]);
    for (defect, bad, reason) in table {
        let (layers, left_out) = decide(&[good.clone(), bad.clone(), last.clone()], &host);
        assert_eq!(layers, ["good", "last"], "{defect}");
        assert_eq!(left_out, [("bad".to_owned(), reason)], "{defect}");
    }
}

#[test]
fn what_may_be_shared_is_shared() {
    let host = host(&[("usr/bin/tool", HostKind::File), ("usr/bin", HostKind::Directory)]);
    let a =
        image("a", &["usr/bin/a", "usr/lib/extension-release.d/extension-release.same", "usr/share/empty/"]);
    let b =
        image("b", &["usr/bin/b", "usr/lib/extension-release.d/extension-release.same", "usr/share/empty/"]);
    let replaces_a_file_of_the_host = image("c", &["usr/bin/tool"]);
    let (layers, left_out) = decide(&[a, b, replaces_a_file_of_the_host], &host);
    assert_eq!((layers.len(), left_out), (3, Vec::new()));
}

#[test]
fn what_is_left_out_claims_no_file() {
    let host = host(&[]);
    let a = image("a", &["usr/bin/x"]);
    let b = image("b", &["usr/bin/x", "usr/bin/y"]);
    let c = image("c", &["usr/bin/y"]);
    let (layers, left_out) = decide(&[a, b, c], &host);
    assert_eq!(layers, ["a", "c"]);
    assert_eq!(left_out.len(), 1);
}

#[test]
fn a_name_may_differ_where_the_image_says_so_or_it_is_a_version() {
    let host = host(&[]);
    for (name, releases) in [
        ("a", vec![("renamed", ReleaseNaming::Free, FOR_ALL)]),
        ("a", vec![("a", ReleaseNaming::Strict, FOR_ALL), ("b", ReleaseNaming::Free, FOR_ALL)]),
        ("a_1.2", vec![("a", ReleaseNaming::Strict, FOR_ALL)]),
    ] {
        let (layers, left_out) = decide(&[with_releases(name, &releases)], &host);
        assert_eq!((layers.as_slice(), left_out.as_slice()), (&[name.to_owned()][..], &[][..]));
    }
}

#[test]
fn a_layer_says_where_it_has_something() {
    let examined = [
        image("both", &["usr/bin/x", "opt/x"]),
        image("usr", &["usr/bin/y", "opt/"]),
        image("similar", &["usr/optional", "opt/y"]),
    ];
    let (layers, _) = admit(&examined, &host(&[]));
    let hierarchies: Vec<_> = layers.iter().map(|layer| layer.hierarchies.join(" ")).collect();
    assert_eq!(hierarchies, ["usr opt", "usr", "usr opt"]);
}

#[test]
fn a_directory_may_not_take_a_right_away_and_other_differences_are_reported() {
    let with = |mode, owner| {
        let mut examined = image("x", &["usr/lib/x"]);
        for entry in &mut examined.outcome.as_mut().unwrap().entries {
            if entry.path == Path::new("usr/lib") {
                entry.access = Some(Access { mode, owner });
            }
        }
        examined
    };
    let host = host(&[("usr", HostKind::Directory), ("usr/lib", HostKind::Directory)]);
    for mode in [0o700, 0o750, 0o711, 0o744] {
        let reason = QuarantineReason::TakesRight { path: "/usr/lib".into(), mode, host: 0o755 };
        assert_eq!(decide(&[with(mode, (0, 0))], &host), (vec![], vec![("x".into(), reason)]));
    }
    for (mode, owner) in [(0o555, (0, 0)), (0o2775, (0, 50)), (0o755, (1000, 1000))] {
        let examined = with(mode, owner);
        assert_eq!(decide(std::slice::from_ref(&examined), &host), (vec!["x".into()], vec![]));
        let Some(Warning::Directory { path, others: 0, .. }) = differences(&examined, &host) else {
            panic!("{mode:o} {owner:?} is not reported")
        };
        assert_eq!(path, Path::new("/usr/lib"));
    }
    assert_eq!(differences(&with(0o755, (0, 0)), &host), None);
}
