//! `docs/schemas`: what `sysupdate --json` prints, generated from its source. With `BLESS=1` in the environment the
//! files are written instead of compared.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::needs::Suite;
use tests::node::{Node, Publisher, image};
use tests::{schema, workspace};

const SYSUPDATE: &str = env!("CARGO_BIN_EXE_interrupted");

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("cli_stored_schemas_are_the_generated_ones", &[], stored);
    suite.trial("cli_results_match_their_schemas", &[], results);
    suite.run()
}

fn schemas() -> BTreeMap<String, Value> {
    let schemas = sysupdate::cli::schemas().into_iter();
    schemas.map(|(name, schema)| (format!("sysupdate-{name}"), schema.to_value())).collect()
}

fn path(name: &str) -> PathBuf {
    workspace::root().join(format!("docs/schemas/{name}.schema.json"))
}

fn stored() -> Result<()> {
    let mut names = Vec::new();
    for (name, schema) in schemas() {
        let (path, text) = (path(&name), format!("{schema:#}\n"));
        if env::var_os("BLESS").is_some() {
            fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
            fs::write(&path, &text)?;
        }
        let found = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(found == text, "{} is out of date: run this test with BLESS=1", path.display());
        names.push(path);
    }
    for entry in fs::read_dir(workspace::root().join("docs/schemas"))? {
        let path = entry?.path();
        let of_sysupdate =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sysupdate-"));
        ensure!(!of_sysupdate || names.contains(&path), "{} belongs to no verb", path.display());
    }
    Ok(())
}

fn results() -> Result<()> {
    let mut publisher = Publisher::new("example")?;
    publisher.offer("demo", "1.9", image::data("demo", "1.9")?)?;
    publisher.offer("demo", "1.10", image::data("demo", "1.10")?)?;
    publisher.issue()?;
    let node = Node::new(SYSUPDATE)?;
    node.trust(&publisher)?;
    node.define("demo", &publisher.transfer("demo", "Activate=none\n"))?;
    node.write("etc/sysupdate.demo.d/more.feature", "[Feature]\nDescription=More\n")?;

    let schemas = schemas();
    let mut checked = Vec::new();
    let mut check = |name: &str, arguments: &[&str]| -> Result<()> {
        let seen = node.run(&[arguments, &["--json=short"]].concat())?;
        let value: Value =
            serde_json::from_str(&seen.stdout).with_context(|| format!("{arguments:?}: {seen}"))?;
        let name = format!("sysupdate-{name}");
        let schema = schemas.get(&name).with_context(|| format!("{name} has no schema"))?;
        schema::check(schema, &value).with_context(|| format!("{arguments:?} printed {value}"))?;
        checked.push(name);
        Ok(())
    };
    check("list", &["list", "-C", "demo"])?;
    check("list-version", &["list", "-C", "demo", "1.10"])?;
    check("check-new", &["check-new", "-C", "demo"])?;
    check("plan", &["plan", "-C", "demo"])?;
    check("update", &["update", "-C", "demo", "1.9"])?;
    check("update", &["acquire", "-C", "demo"])?;
    check("update", &["update", "-C", "demo"])?;
    check("update", &["update", "-C", "demo", "7"])?;
    check("plan", &["plan", "-C", "demo", "7"])?;
    check("plan", &["plan", "-A"])?;
    check("list", &["list", "-C", "demo"])?;
    check("list-all", &["list", "-A"])?;
    check("list-version", &["list", "-C", "demo", "1.9"])?;
    check("check-new", &["check-new", "-C", "demo"])?;
    check("vacuum", &["vacuum", "-C", "demo", "-m", "1"])?;
    check("retry", &["retry", "demo"])?;
    check("sysext-status", &["sysext"])?;
    check("trust-show", &["trust"])?;
    check("trust-reset", &["trust", "reset", "example"])?;
    check("trust-show", &["trust", "show", "example"])?;
    check("features", &["features", "-C", "demo"])?;
    check("features-details", &["features", "-C", "demo", "more"])?;
    check("enable", &["enable-feature", "-C", "demo", "more"])?;
    check("components", &["components"])?;
    check("enable", &["disable-component", "demo"])?;
    fs::remove_dir_all(node.path("etc/sysupdate.demo.d"))?;
    check("remove", &["remove", "demo"])?;
    check("compare-versions", &["compare-versions", "1", "2"])?;
    check("compare-versions-operator", &["compare-versions", "1", "lt", "2"])?;
    // Merging needs privileges.
    let unchecked: Vec<_> = schemas.keys().filter(|name| !checked.contains(name)).collect();
    ensure!(unchecked == ["sysupdate-sysext"], "{unchecked:?} were not printed");
    Ok(())
}
