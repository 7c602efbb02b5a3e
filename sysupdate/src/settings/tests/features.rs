//! Which transfers and components take part.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use sysext_manifests::feature::{ENABLED_FILE, enabled_text};

use super::super::*;
use crate::host::store::Files;

/// A transfer that writes a directory of its own.
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

fn load_all(root: &Path, choice: &Choice) -> Vec<(String, Result<Vec<String>, String>)> {
    let loaded = load(&Files::new(), &Paths::new(root), &Identity::fake(), choice, Disabled::Refuse).unwrap();
    let ids = |component: Component| component.transfers.into_iter().map(|transfer| transfer.id).collect();
    loaded
        .into_iter()
        .map(|(name, component)| (name.to_string(), component.map(ids).map_err(|error| error.to_string())))
        .collect()
}

fn load_one(root: &Path, disabled: Disabled) -> Result<Component, SettingsError> {
    let (paths, choice) = (Paths::new(root), Choice::Default);
    let mut loaded = load(&Files::new(), &paths, &Identity::fake(), &choice, disabled)?;
    loaded.remove(0).1
}

#[test]
fn where_all_is_off_there_is_nothing_but_tidying() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=off other")),
        (
            "etc/sysupdate.d/b.transfer",
            &transfer("Features=off").replace("Path=/srv", "Type=partition\nPath=/dev"),
        ),
    ]);
    for disabled in [Disabled::Show, Disabled::Refuse] {
        assert!(matches!(load_one(root.path(), disabled), Err(SettingsError::NoneEnabled { .. })));
    }
    let component = load_one(root.path(), Disabled::Tidy).unwrap();
    assert!(component.transfers.is_empty());
    assert_eq!(component.idle.len(), 1);
    assert_eq!(component.idle[0].because.to_string(), "its features off and other are off");
    let stays = "b.transfer: its feature off is off, and what it installed stays: this version does not \
                 execute [Target] Type=partition";
    assert_eq!(component.warnings, [stays]);
}

#[test]
fn transfers_take_part_with_their_features() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("")),
        ("etc/sysupdate.d/b.transfer", &transfer("Features=on off")),
        ("etc/sysupdate.d/c.transfer", &transfer("Features=off")),
        ("etc/sysupdate.d/d.transfer", &transfer("Features=on\nRequisiteFeatures=on late")),
        ("etc/sysupdate.d/e.transfer", &transfer("RequisiteFeatures=on off")),
        ("etc/sysupdate.d/f.transfer", &transfer("Features=unheard-of")),
        ("usr/lib/sysupdate.d/on.feature", "[Feature]\nEnabled=yes\n"),
        ("usr/lib/sysupdate.d/off.feature", "[Feature]\nDescription=off unless said\n"),
        ("usr/lib/sysupdate.d/late.feature", "[Feature]\nEnabled=no\n"),
        (
            &format!("etc/sysupdate.d/late.feature.d/{ENABLED_FILE}"),
            &enabled_text(Kind::Feature, "enable-feature", true),
        ),
    ]);
    let ids = ["a", "b", "d"].map(str::to_owned).to_vec();
    assert_eq!(load_all(root.path(), &Choice::Default), [("the default component".to_owned(), Ok(ids))]);
    let component = load_one(root.path(), Disabled::Show).unwrap();
    let idle = component.idle.iter().map(|idle| format!("{}: {}", idle.transfer.id, idle.because));
    assert_eq!(
        idle.collect::<Vec<_>>(),
        [
            "c: its feature off is off",
            "e: its required feature off is off",
            "f: its feature unheard-of is off"
        ]
    );
}

#[test]
fn a_masked_feature_is_none() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=f")),
        ("usr/lib/sysupdate.d/f.feature", "[Feature]\nEnabled=yes\n"),
        ("etc/sysupdate.d/f.feature", ""),
    ]);
    let none =
        "no transfer definitions for the default component take part: the features they need are disabled";
    assert_eq!(load_all(root.path(), &Choice::Default)[0].1, Err(none.to_owned()));
    // Of all components one may well have nothing to do.
    assert_eq!(load_all(root.path(), &Choice::All)[0].1, Ok(Vec::new()));
}

#[test]
fn older_endings_count_where_all_of_todays_are_masked() {
    let root = root(&[
        ("usr/lib/sysupdate.d/a.transfer", &transfer("")),
        ("etc/sysupdate.d/a.transfer", ""),
        ("etc/sysupdate.d/b.conf", &transfer("")),
    ]);
    let loaded = load_all(root.path(), &Choice::Default);
    assert_eq!(loaded[0].1, Ok(vec!["b".to_owned()]));
}

#[test]
fn disabled_components_are_skipped_and_refused_by_name() {
    let root = root(&[
        ("etc/sysupdate.a.d/x.transfer", &transfer("")),
        ("etc/sysupdate.b.d/x.transfer", &transfer("")),
        ("usr/lib/sysupdate.a.component", "[Component]\nDescription=A\n"),
        ("usr/lib/sysupdate.b.component", "[Component]\nDescription=B\n"),
        ("etc/sysupdate.b.component.d/50-x.conf", "[Component]\nEnabled=no\n"),
    ]);
    let ids = || Ok(vec!["x".to_owned()]);
    assert_eq!(load_all(root.path(), &Choice::All), [("a".to_owned(), ids())]);
    assert_eq!(load_all(root.path(), &Choice::Component("a".to_owned())), [("a".to_owned(), ids())]);
    let refused = load_all(root.path(), &Choice::Component("b".to_owned()));
    assert_eq!(refused, [("b".to_owned(), Err("Component is disabled: b".to_owned()))]);
    let choice = Choice::Component("b".to_owned());
    let shown =
        load(&Files::new(), &Paths::new(root.path()), &Identity::fake(), &choice, Disabled::Show).unwrap();
    let component = shown[0].1.as_ref().unwrap();
    assert_eq!(component.transfers.len(), 1);
    assert_eq!(component.warnings, ["b is disabled: `sysupdate update` does nothing with it"]);
}

#[test]
fn a_directory_makes_a_component_and_definitions_make_one_to_update() {
    let root = root(&[
        ("etc/sysupdate.d/x.feature", "[Feature]\n"),
        ("etc/sysupdate.a.d/x.transfer", &transfer("")),
        ("etc/sysupdate.b.d/x.feature.d/y.conf", "[Feature]\n"),
        ("etc/sysupdate.c.component", "[Component]\n"),
    ]);
    let found = |having| {
        let names = names(&Files::new(), &Paths::new(root.path()), having).unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(Having::Definitions), ["a"]);
    assert_eq!(found(Having::Directory), ["a", "b"]);
}

#[test]
fn what_is_not_executed_is_refused_unless_its_feature_is_off() {
    let partition = transfer("Features=disk").replace("Path=/srv/", "Path=/dev/");
    let files = [
        ("etc/sysupdate.d/a.transfer", transfer("")),
        ("etc/sysupdate.d/b.transfer", partition.clone()),
        ("etc/sysupdate.d/c.transfer", partition.replace("url-file", "url-tar").replace("/dev/", "/srv/")),
    ];
    let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(load_all(root(&files).path(), &Choice::Default)[0].1, Ok(vec!["a".to_owned()]));
    files.push(("etc/sysupdate.d/disk.feature", "[Feature]\nEnabled=yes\n"));
    assert_eq!(
        load_all(root(&files).path(), &Choice::Default)[0].1,
        Err("b.transfer: this version does not execute [Target] Type=partition; c.transfer: this version does not \
             execute [Source] Type=url-tar, [Target] Type=directory"
            .to_owned())
    );
}

#[test]
fn features_are_read_with_the_transfers_that_name_them() {
    let root = root(&[
        ("etc/sysupdate.d/a.transfer", &transfer("Features=f")),
        ("etc/sysupdate.d/f.feature", "[Feature]\nDescription=F\nColour=red\n"),
    ]);
    let all =
        definitions(&Files::new(), &Paths::new(root.path()), &Identity::fake(), &Choice::Default).unwrap();
    let definitions = all[0].1.as_ref().unwrap();
    assert_eq!(definitions.features["f"].description.as_deref(), Some("F"));
    assert_eq!(definitions.transfers.len(), 1);
    assert_eq!(definitions.warnings, ["f.feature:3:1: [Feature] Colour=: unknown key, ignored"]);
}
