//! Definitions that do not fit together.

mod features;

use super::*;
use crate::host::fake::FakeStore;

/// Loads components, each with one transfer of that name: a target directory and a link.
fn load_all(components: &[(&str, &str, &str)]) -> Loaded {
    let pattern = |_: &str| "x-@v.raw".to_owned();
    load_with(components, &pattern)
}

/// The same with other patterns, by the name of the transfer.
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
    load(&store, &paths, &identity, &Choice::All, Disabled::Refuse).unwrap()
}

fn faults(components: &[(&str, &str, &str)]) -> Vec<String> {
    let loaded = load_all(components);
    let errors = loaded.iter().filter_map(|(name, component)| {
        let error = component.as_ref().err()?;
        Some(format!("{name}: {error}"))
    });
    errors.collect()
}

#[test]
fn two_components_with_one_link_are_both_left_out_and_a_third_is_not() {
    let found = faults(&[
        ("a/a", "/images/a", "/extensions/x.raw"),
        ("b/b", "/images/b", "/extensions//x.raw"),
        ("c/c", "/images/c", "/extensions/c.raw"),
    ]);
    let message = "/extensions/x.raw is what a/a and b/b write";
    assert_eq!(found, [format!("a: {message}"), format!("b: {message}")]);
}

#[test]
fn two_transfers_with_one_target_are_left_out() {
    let found =
        faults(&[("a/a", "/images/a", "/extensions/a.raw"), ("a/z", "/images/a/", "/extensions/z.raw")]);
    assert_eq!(found, ["a: /images/a/x-@v.raw is what a/a and a/z write"]);
}

#[test]
fn what_differs_in_link_and_target_gets_along() {
    let found =
        faults(&[("a/a", "/images/a", "/extensions/a.raw"), ("a/z", "/images/z", "/extensions/z.raw")]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn transfers_that_take_each_others_files_are_told() {
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
    let takes = "a/any takes what a/two brings to /images for its own, as two-1.raw";
    assert_eq!(warnings(&[any, two]), [takes]);
    assert_eq!(warnings(&[any, ("a/two", "/elsewhere", "/extensions/two.raw")]), [""; 0]);
    let full = ("a/full", "/images/", "/extensions/full.raw");
    assert_eq!(warnings(&[any, full]).len(), 1, "whatever a name shows");
    assert_eq!(warnings(&[two, full]), [""; 0]);
    for older in ["a/older", "b/older"] {
        let takes = format!("{older} takes what a/two brings to /images for its own, as two-1.raw");
        assert_eq!(warnings(&[(older, "/images", "/extensions/older.raw"), two]), [takes]);
    }
}
