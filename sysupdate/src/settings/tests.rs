//! Definitions that conflict with each other.

mod features;

use std::path::{Path, PathBuf};

use super::*;
use crate::host::fake::FakeStore;

/// Loads components, each with one transfer of that name: a target directory and a link.
fn load_all(components: &[(&str, &str, &str)]) -> Loaded {
    let pattern = |_: &str| "x-@v.raw".to_owned();
    load_with(components, &pattern)
}

/// The same with patterns that depend on the name of the transfer.
fn load_with(components: &[(&str, &str, &str)], pattern: &dyn Fn(&str) -> String) -> Loaded {
    let (store, paths) = (FakeStore::default(), Paths::new(Path::new("/")));
    for (name, directory, link) in components {
        let pattern = pattern(name);
        let text = format!(
            "[Source]\nType=url-file\nPath=https://example.org/\nMatchPattern={pattern}\n\
             [Target]\nType=regular-file\nPath={directory}\nMatchPattern={pattern}\nCurrentSymlink={link}\n"
        );
        let (component, file) = name.split_once('/').unwrap();
        let definitions = PathBuf::from(format!("/etc/sysupdate.{component}.d"));
        store.make_directory(&definitions).unwrap();
        store.save(&definitions.join(format!("{file}.transfer")), text.as_bytes()).unwrap();
    }
    let identity = crate::node::identity::identify(&store, &paths).unwrap();
    load(&store, &paths, &identity, &Chosen::All, OnDisabled::Fail).unwrap()
}

fn errors(components: &[(&str, &str, &str)]) -> Vec<String> {
    let loaded = load_all(components);
    let errors = loaded.iter().filter_map(|(name, component)| {
        let error = component.as_ref().err()?;
        Some(format!("{name}: {error}"))
    });
    errors.collect()
}

#[test]
fn components_that_write_the_same_link_fail_and_others_do_not() {
    let found = errors(&[
        ("a/a", "/images/a", "/extensions/x.raw"),
        ("b/b", "/images/b", "/extensions//x.raw"),
        ("c/c", "/images/c", "/extensions/c.raw"),
    ]);
    let message = "a/a and b/b both write /extensions/x.raw";
    assert_eq!(found, [format!("a: {message}"), format!("b: {message}")]);
}

#[test]
fn transfers_with_the_same_target_fail() {
    let found =
        errors(&[("a/a", "/images/a", "/extensions/a.raw"), ("a/z", "/images/a/", "/extensions/z.raw")]);
    assert_eq!(found, ["a: a/a and a/z both write /images/a/x-@v.raw"]);
}

#[test]
fn transfers_with_different_links_and_targets_do_not_conflict() {
    let found =
        errors(&[("a/a", "/images/a", "/extensions/a.raw"), ("a/z", "/images/z", "/extensions/z.raw")]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn warns_of_transfers_that_match_files_of_others() {
    let warnings = |components: &[(&str, &str, &str)]| -> Vec<String> {
        let pattern = |name: &str| match name {
            "a/any" => "@v.raw".to_owned(),
            "a/two" => "two-@v.raw two_@v.raw".to_owned(),
            "a/older" | "b/older" => "older-@v.raw two-@v.raw".to_owned(),
            name => format!("{}-@v-@u-@f-@a-@g-@r-@t-@m-@s-@d-@l-@h.raw", name.replace('/', "-")),
        };
        let loaded = load_with(components, &pattern);
        let warnings = loaded.into_iter().flat_map(|(_, component)| component.unwrap().warnings);
        warnings.map(|warning| warning.split(", and may").next().unwrap().to_owned()).collect()
    };
    let any = ("a/any", "/images", "/extensions/any.raw");
    let two = ("a/two", "/images", "/extensions/two.raw");
    let matches = "a/any also matches files that a/two installs into /images, such as two-1.raw";
    assert_eq!(warnings(&[any, two]), [matches]);
    assert_eq!(warnings(&[any, ("a/two", "/elsewhere", "/extensions/two.raw")]), [""; 0]);
    let full = ("a/full", "/images/", "/extensions/full.raw");
    assert_eq!(warnings(&[any, full]).len(), 1, "a pattern with every wildcard");
    assert_eq!(warnings(&[two, full]), [""; 0]);
    for older in ["a/older", "b/older"] {
        let matches =
            format!("{older} also matches files that a/two installs into /images, such as two-1.raw");
        assert_eq!(warnings(&[(older, "/images", "/extensions/older.raw"), two]), [matches]);
    }
}

#[test]
fn thousands_of_components_are_compared_quickly() {
    let names: Vec<String> = (0..4000).map(|number| format!("c{number}/x")).collect();
    let pattern = |name: &str| format!("{}-@v.raw {0}_@v.raw", name.replace('/', "-"));
    let mut loaded = Loaded::new();
    for name in &names {
        let link = format!("/extensions/{}.raw", name.replace('/', "-"));
        loaded.extend(load_with(&[(name, "/images", &link)], &pattern));
    }
    let start = std::time::Instant::now();
    let settled = conflicts::check(loaded);
    // 16 million pairs took more than a minute
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(settled.len(), names.len());
    assert!(settled.iter().all(|(_, component)| component.as_ref().unwrap().warnings.is_empty()));
}
