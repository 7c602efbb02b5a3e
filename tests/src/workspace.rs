//! The checkout as cargo sees it: its path, its members, and all dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The directory of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a member below the workspace")
}

/// A TOML file of the checkout.
pub fn read_toml(path: &Path) -> Result<toml::Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not TOML", path.display()))
}

/// One package of the resolved graph.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence expression, if it names one.
    pub licence: Option<String>,
    /// Its `Cargo.toml`.
    pub manifest: PathBuf,
    /// The registry; `None` for members.
    pub source: Option<String>,
    /// The members on which it depends, including development dependencies.
    pub members: BTreeSet<String>,
}

/// The targets that are built for, from `deny.toml`.
pub fn targets() -> Result<Vec<String>> {
    let policy = read_toml(&root().join("deny.toml"))?;
    let targets = policy["graph"]["targets"].as_array().context("deny.toml has no list graph.targets")?;
    let text = |target: &toml::Value| Some(target.as_str()?.to_owned());
    targets.iter().map(|target| text(target).context("a target is not text")).collect()
}

/// Every package that a build of all members for that target uses, including tests.
pub fn packages(target: &str) -> Result<Vec<Package>> {
    let metadata = metadata(target)?;
    let mut packages = by_id(&metadata)?;
    let nodes = list(&metadata["resolve"], "nodes")?;
    nodes
        .iter()
        .map(|node| packages.remove(&text(node, "id")?).context("a node without its package"))
        .collect()
}

/// The packages from elsewhere whose code is in these members' programs, for that target. Procedural macros and
/// what build scripts use are not; what only tests ask a crate for may be.
pub fn linked(target: &str, members: &[&str]) -> Result<Vec<Package>> {
    let metadata = metadata(target)?;
    let mut macros = BTreeSet::new();
    for package in list(&metadata, "packages")? {
        let kinds = list(package, "targets")?.iter().map(|target| &target["kind"][0]);
        if kinds.into_iter().any(|kind| kind == "proc-macro") {
            macros.insert(text(package, "id")?);
        }
    }
    let mut packages = by_id(&metadata)?;
    let is_wanted = |package: &Package| members.contains(&package.name.as_str());
    let mut ahead: Vec<String> =
        packages.iter().filter(|(_, package)| is_wanted(package)).map(|(id, _)| id.clone()).collect();
    ensure!(ahead.len() == members.len(), "not all of {members:?} are members");
    let mut edges = BTreeMap::new();
    for node in list(&metadata["resolve"], "nodes")? {
        edges.insert(text(node, "id")?, list(node, "deps")?);
    }
    let mut found = Vec::new();
    while let Some(id) = ahead.pop() {
        let Some(package) = packages.remove(&id).filter(|_| !macros.contains(&id)) else { continue };
        for edge in edges.get(&id).context("a package without its node")?.iter() {
            if list(edge, "dep_kinds")?.iter().any(|kind| kind["kind"].is_null()) {
                ahead.push(text(edge, "pkg")?);
            }
        }
        found.push(package);
    }
    found.retain(|package| package.source.is_some());
    Ok(found)
}

fn metadata(target: &str) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}

fn by_id(metadata: &Value) -> Result<BTreeMap<String, Package>> {
    let packages = list(metadata, "packages")?.iter();
    packages.map(|package| Ok((text(package, "id")?, read(package)?))).collect()
}

fn read(package: &Value) -> Result<Package> {
    let dependencies = list(package, "dependencies")?;
    let inside = dependencies.iter().filter(|dependency| dependency["path"].is_string());
    Ok(Package {
        name: text(package, "name")?,
        version: text(package, "version")?,
        licence: package["license"].as_str().map(str::to_owned),
        manifest: text(package, "manifest_path")?.into(),
        source: package["source"].as_str().map(str::to_owned),
        members: inside.map(|dependency| text(dependency, "name")).collect::<Result<_>>()?,
    })
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("cargo metadata has no list {key}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("cargo metadata has no text {key}"))?.to_owned())
}
