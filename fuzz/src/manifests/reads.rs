//! Each parser, and what must hold of whatever it accepts.

use sysext_manifests::architecture::Architecture;
use sysext_manifests::checksums::Checksums;
use sysext_manifests::condition::{Condition, Facts, Subject, Virtualization};
use sysext_manifests::extension_release::{ExtensionRelease, Scope};
use sysext_manifests::feature::{Feature, Kind};
use sysext_manifests::hint::Hint as _;
use sysext_manifests::ini;
use sysext_manifests::os_release::{OsRelease, quote};
use sysext_manifests::pattern::{Pattern, Patterns};
use sysext_manifests::repository::Repository;
use sysext_manifests::requirement::{self, Requirement, VersionRequirement};
use sysext_manifests::specifier::{self, Identity};
use sysext_manifests::transfer::Transfer;
use sysext_manifests::version::{self, Version};

/// Two texts, separated by a space.
pub(super) fn version(text: &str) {
    let (a, b) = text.split_once(' ').unwrap_or((text, text));
    assert_eq!(version::compare(a, b), version::compare(b, a).reverse());
    assert!(version::compare(a, a).is_eq());
    for text in [a, b] {
        match text.parse::<Version>() {
            Ok(version) => assert_eq!(version.as_str(), text),
            Err(error) => assert!(error.to_string().len() < 1024, "a message is no copy of the input"),
        }
    }
}

/// A requirement with or without a name and, after a newline, a version.
pub(super) fn requirement(text: &str) {
    let (requirement, version) = text.split_once('\n').unwrap_or((text, "1.32.1-2"));
    match requirement.parse::<Requirement>() {
        Ok(requirement) => assert_eq!(requirement.to_string().parse(), Ok(requirement)),
        Err(error) => drop((error.to_string(), error.hint())),
    }
    match requirement.parse::<VersionRequirement>() {
        Ok(requirement) => {
            let again: VersionRequirement =
                requirement.to_string().parse().expect("it is printed as it was written");
            for upstream in [None, Some(version)] {
                assert_eq!(requirement.matches(version, upstream), again.matches(version, upstream));
            }
            let _ = requirement::stream(version);
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// Patterns and, after a newline, a name.
pub(super) fn pattern(text: &str) {
    let (patterns, name) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(pattern) = patterns.parse::<Pattern>()
        && let Some(captures) = pattern.matches(name)
        && let Ok(again) = pattern.format(&captures)
    {
        assert_eq!(pattern.matches(&again), Some(captures), "{again:?}");
    }
    match patterns.parse::<Patterns>() {
        Ok(patterns) => {
            assert_eq!(patterns.to_string().parse(), Ok(patterns.clone()));
            let _ = patterns.matches(name);
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

pub(super) fn ini(text: &str) {
    match ini::parse("x.transfer", text) {
        Ok(ini) => assert!(ini.entries.iter().all(|entry| !entry.key.is_empty() && entry.at.line > 0)),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

pub(super) fn transfer(text: &str) {
    match Transfer::parse("x.transfer", text, &[("x.transfer.d/10.conf", text)], &identity()) {
        Ok(parsed) => {
            assert!(parsed.transfer.target.path.starts_with('/'));
            parsed.warnings.iter().for_each(|warning| drop(warning.to_string()));
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

pub(super) fn checksums(data: &[u8]) {
    let (lenient, warnings, skipped) = Checksums::parse_lenient(data);
    skipped.lines.iter().for_each(|error| drop(error.to_string()));
    let text = lenient.render().expect("what is left is good");
    let (again, _) = Checksums::parse(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.best_before, lenient.best_before);
    match Checksums::parse(data) {
        Ok((mut checksums, strict)) => {
            assert_eq!((&lenient, &warnings, skipped.lines.len()), (&checksums, &strict, 0));
            let text = checksums.render().expect("what was read can be written");
            let (again, _) = Checksums::parse(text.as_bytes()).expect("what was written can be read");
            checksums.entries.sort_by(|a, b| a.name.cmp(&b.name));
            checksums.entries.dedup();
            assert_eq!(again, checksums);
        }
        Err(error) => {
            assert!(!skipped.lines.is_empty());
            drop((error.to_string(), error.hint()));
        }
    }
}

pub(super) fn feature(text: &str) {
    described(Kind::Feature, text);
}

pub(super) fn component(text: &str) {
    described(Kind::Component, text);
}

/// A file and a drop-in that says the same.
fn described(kind: Kind, text: &str) {
    match Feature::parse(kind, &[("x", text), ("x.d/10.conf", text)], &identity()) {
        Ok((feature, warnings)) => {
            warnings.iter().for_each(|warning| drop(warning.to_string()));
            drop(feature.is_suggested(&facts()));
            // What has a character that no value may have was read from an escape, and has no file
            let Ok(written) = feature.render() else { return };
            let (again, warnings) =
                Feature::parse(kind, &[("x", &written)], &identity()).expect("what was written can be read");
            assert_eq!((again, warnings.len()), (feature, 0), "{written:?}");
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// A subject's key and, after a space, a value.
pub(super) fn condition(text: &str) {
    let (key, value) = text.split_once(' ').unwrap_or(("Host", text));
    let Some(subject) = Subject::ALL.into_iter().find(|subject| subject.key() == key) else { return };
    let condition = Condition::parse(subject, value);
    let holds = condition.holds(&facts());
    let again = Condition::parse(subject, &condition.to_string());
    assert_eq!(again, condition);
    assert_eq!(again.holds(&facts()), holds);
    if let Err(error) = holds {
        drop(error.to_string());
    }
}

/// A host of which everything is known.
fn facts() -> Facts {
    let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let Identity { architecture, machine_id, hostname, kernel_release, os_release, .. } = identity();
    Facts {
        architecture,
        firmware: some(&["uefi"]),
        virtualization: Some(Virtualization::Machine("kvm".to_owned())),
        hostname,
        machine_id,
        command_line: Some("root=/dev/sda \"a b\" quiet".to_owned()),
        kernel: kernel_release,
        credentials: some(&["sysupdate.x"]),
        security: some(&["selinux"]),
        os_release,
        tags: some(&["a", "b"]),
    }
}

pub(super) fn os_release(text: &str) {
    let Ok((fields, warnings)) = OsRelease::parse(text) else { return };
    warnings.iter().for_each(|warning| drop(warning.to_string()));
    for (key, value) in fields.iter() {
        let written = format!("{key}={}\n", quote(value));
        let (again, warnings) = OsRelease::parse(&written).expect("a value that was read has no NUL");
        assert_eq!((again.get(key), warnings.len()), (Some(value), 0), "{written:?}");
    }
}

pub(super) fn extension_release(text: &str) {
    let Ok((release, _)) = ExtensionRelease::parse(text) else { return };
    let (again, warnings) = ExtensionRelease::parse(&release.render()).expect("ours has no NUL");
    assert_eq!((again, warnings.len()), (release.clone(), 0));
    if let Err(mismatch) = release.matches(&identity().os_release, Architecture::X86_64, Scope::System) {
        drop(mismatch.to_string());
    }
}

pub(super) fn repository(text: &str) {
    match Repository::parse("example", "example.toml", text) {
        Ok(repository) => {
            repository.root.check().expect("it was checked");
            assert!(repository.urls("x").iter().all(|url| url.ends_with("/x")));
        }
        Err(error) => drop(error.to_string()),
    }
}

pub(super) fn specifiers(text: &str) {
    let identity = identity();
    assert_eq!(specifier::expand(&specifier::escape(text), &identity).as_deref(), Ok(text));
    if let Err(error) = specifier::expand(text, &identity) {
        drop((error.to_string(), error.hint()));
    }
}

fn identity() -> Identity {
    Identity {
        architecture: Architecture::X86_64,
        machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        boot_id: None,
        hostname: "node7.example.org".to_owned(),
        kernel_release: "6.18".to_owned(),
        os_release: OsRelease::from_iter([
            ("ID", "flatcar"),
            ("VERSION_ID", "4081.2.0"),
            ("SYSEXT_LEVEL", "1.0"),
        ]),
        tmp: "/tmp".to_owned(),
        var_tmp: "/var/tmp".to_owned(),
    }
}
