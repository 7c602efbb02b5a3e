//! Which transfers and components are enabled.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use sysext_manifests::feature::{ENABLED_FILE, Kind, enabled_text};

use super::super::*;
use crate::host::store::Files;

/// A transfer with a target directory of its own.
fn transfer(head: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!(
        "[Transfer]\nVerify=no\n{head}\n[Source]\nType=url-file\nPath=https://x/\nMatchPattern=@v\n\
         [Target]\nPath=/srv/{number}\n"
    )
}

/// A root with these files.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn load_all(root: &Path, chosen: &Chosen) -> Vec<(String, Result<Vec<String>, String>)> {
    let loaded = load(&Files::new(), &Paths::new(root), &Identity::fake(), chosen, OnDisabled::Fail).unwrap();
    let ids = |component: Component| component.transfers.into_iter().map(|transfer| transfer.id).collect();
    loaded
        .into_iter()
        .map(|(name, component)| (name.to_string(), component.map(ids).map_err(|error| error.to_string())))
        .collect()
}

fn load_one(root: &Path, on_disabled: OnDisabled) -> Result<Component, SettingsError> {
    let (paths, chosen) = (Paths::new(root), Chosen::Default);
    let mut loaded = load(&Files::new(), &paths, &Identity::fake(), &chosen, on_disabled)?;
    loaded.remove(0).1
}

#[test]
fn without_an_enabled_transfer_only_removing_files_is_allowed() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=off other")),
        (
            "etc/sysupdate.d/b.transfer",
            &transfer("Features=off").replace("Path=/srv", "Type=partition\nPath=/dev"),
        ),
    ]);
    for on_disabled in [OnDisabled::Warn, OnDisabled::Fail] {
        assert!(matches!(load_one(root.path(), on_disabled), Err(SettingsError::NoneEnabled { .. })));
    }
    let component = load_one(root.path(), OnDisabled::Allow).unwrap();
    assert!(component.transfers.is_empty());
    assert_eq!(component.disabled.len(), 1);
    assert_eq!(component.disabled[0].reason.to_string(), "its features \"off\" and \"other\" are disabled");
    let kept = format!(
        "{}: its feature \"off\" is disabled, but its files are kept: [Target] Type=partition is not supported \
         by this version",
        root.path().join("etc/sysupdate.d/b.transfer").display()
    );
    assert_eq!(component.warnings, [kept]);
}

#[test]
fn features_enable_transfers() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("")),
        ("etc/sysupdate.d/b.transfer", &transfer("Features=on off")),
        ("etc/sysupdate.d/c.transfer", &transfer("Features=off")),
        ("etc/sysupdate.d/d.transfer", &transfer("Features=on\nRequisiteFeatures=on late")),
        ("etc/sysupdate.d/e.transfer", &transfer("RequisiteFeatures=on off")),
        ("etc/sysupdate.d/f.transfer", &transfer("Features=unheard-of")),
        ("usr/lib/sysupdate.d/on.feature", "[Feature]\nEnabled=yes\n"),
        ("usr/lib/sysupdate.d/off.feature", "[Feature]\nDescription=disabled by default\n"),
        ("usr/lib/sysupdate.d/late.feature", "[Feature]\nEnabled=no\n"),
        (
            &format!("etc/sysupdate.d/late.feature.d/{ENABLED_FILE}"),
            &enabled_text(Kind::Feature, "enable-feature", true),
        ),
    ]);
    let ids = ["a", "b", "d"].map(str::to_owned).to_vec();
    assert_eq!(load_all(root.path(), &Chosen::Default), [("the default component".to_owned(), Ok(ids))]);
    let component = load_one(root.path(), OnDisabled::Warn).unwrap();
    let disabled = component.disabled.iter().map(|each| format!("{}: {}", each.transfer.id, each.reason));
    assert_eq!(
        disabled.collect::<Vec<_>>(),
        [
            "c: its feature \"off\" is disabled",
            "e: its required feature \"off\" is disabled",
            "f: its feature \"unheard-of\" is disabled"
        ]
    );
}

#[test]
fn a_masked_feature_is_disabled() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=f")),
        ("usr/lib/sysupdate.d/f.feature", "[Feature]\nEnabled=yes\n"),
        ("etc/sysupdate.d/f.feature", ""),
    ]);
    let none = "every transfer is disabled: the features that they need are disabled";
    assert_eq!(load_all(root.path(), &Chosen::Default)[0].1, Err(none.to_owned()));
    // Among all components, one without an enabled transfer is not an error.
    assert_eq!(load_all(root.path(), &Chosen::All)[0].1, Ok(Vec::new()));
}

#[test]
fn older_suffix_counts_where_every_newer_file_is_masked() {
    let root = root(&[
        ("usr/lib/sysupdate.d/a.transfer", &transfer("")),
        ("etc/sysupdate.d/a.transfer", ""),
        ("etc/sysupdate.d/b.conf", &transfer("")),
    ]);
    let loaded = load_all(root.path(), &Chosen::Default);
    assert_eq!(loaded[0].1, Ok(vec!["b".to_owned()]));
}

#[test]
fn disabled_components_are_skipped_and_fail_by_name() {
    let root = root(&[
        ("etc/sysupdate.a.d/x.transfer", &transfer("")),
        ("etc/sysupdate.b.d/x.transfer", &transfer("")),
        ("usr/lib/sysupdate.a.component", "[Component]\nDescription=A\n"),
        ("usr/lib/sysupdate.b.component", "[Component]\nDescription=B\n"),
        ("etc/sysupdate.b.component.d/50-x.conf", "[Component]\nEnabled=no\n"),
    ]);
    let ids = || Ok(vec!["x".to_owned()]);
    assert_eq!(load_all(root.path(), &Chosen::All), [("a".to_owned(), ids())]);
    assert_eq!(load_all(root.path(), &Chosen::Component("a".to_owned())), [("a".to_owned(), ids())]);
    let failed = load_all(root.path(), &Chosen::Component("b".to_owned()));
    assert_eq!(failed, [("b".to_owned(), Err("Component is disabled: b".to_owned()))]);
    let chosen = Chosen::Component("b".to_owned());
    let shown =
        load(&Files::new(), &Paths::new(root.path()), &Identity::fake(), &chosen, OnDisabled::Warn).unwrap();
    let component = shown[0].1.as_ref().unwrap();
    assert_eq!(component.transfers.len(), 1);
    assert_eq!(component.warnings, ["component b is disabled: `sysupdate update` skips it"]);
}

#[test]
fn finds_components_by_directory_or_by_definitions() {
    let root = root(&[
        ("etc/sysupdate.d/x.feature", "[Feature]\n"),
        ("etc/sysupdate.a.d/x.transfer", &transfer("")),
        ("etc/sysupdate.b.d/x.feature.d/y.conf", "[Feature]\n"),
        ("etc/sysupdate.c.component", "[Component]\n"),
    ]);
    let found = |with| {
        let names = names(&Files::new(), &Paths::new(root.path()), with).unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(ComponentsWith::Definitions), ["a"]);
    assert_eq!(found(ComponentsWith::Directory), ["a", "b"]);
}

#[test]
fn unsupported_settings_fail_unless_their_transfer_is_disabled() {
    let partition = transfer("Features=disk").replace("Path=/srv/", "Path=/dev/");
    let files = [
        ("etc/sysupdate.d/a.transfer", transfer("")),
        ("etc/sysupdate.d/b.transfer", partition.clone()),
        ("etc/sysupdate.d/c.transfer", partition.replace("url-file", "url-tar").replace("/dev/", "/srv/")),
    ];
    let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(load_all(root(&files).path(), &Chosen::Default)[0].1, Ok(vec!["a".to_owned()]));
    files.push(("etc/sysupdate.d/disk.feature", "[Feature]\nEnabled=yes\n"));
    let root = root(&files);
    let directory = root.path().join("etc/sysupdate.d");
    assert_eq!(
        load_all(root.path(), &Chosen::Default)[0].1,
        Err(format!(
            "{0}/b.transfer: [Target] Type=partition is not supported by this version; {0}/c.transfer: [Source] \
             Type=url-tar, [Target] Type=directory is not supported by this version",
            directory.display()
        ))
    );
}

#[test]
fn reads_features_with_their_transfers() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=f")),
        ("etc/sysupdate.d/f.feature", "[Feature]\nDescription=F\nColour=red\n"),
    ]);
    let all =
        definitions(&Files::new(), &Paths::new(root.path()), &Identity::fake(), &Chosen::Default).unwrap();
    let definitions = all[0].1.as_ref().unwrap();
    assert_eq!(definitions.features["f"].description.as_deref(), Some("F"));
    assert_eq!(definitions.transfers.len(), 1);
    let file = root.path().join("etc/sysupdate.d/f.feature");
    assert_eq!(
        definitions.warnings,
        [format!("{}:3:1: [Feature] Colour=: unknown key, ignored", file.display())]
    );
}
