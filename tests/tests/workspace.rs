//! Rules that the compiler does not check: which member may depend on which, where versions and lints are
//! written, and which crates of others are allowed (`deny.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tests::workspace::{self, Package};
use tests::{licences, third_party};

/// The members that each member depends on. Only `tests` depends on the programs.
const MEMBER_DEPENDENCIES: [(&str, &[&str]); 5] = [
    ("bakery", &["sysext-image", "sysext-manifests"]),
    ("sysext-image", &[]),
    ("sysext-manifests", &[]),
    ("sysupdate", &["sysext-image", "sysext-manifests"]),
    ("tests", &["bakery", "sysext-image", "sysext-manifests", "sysupdate"]),
];

/// The only module, with its submodules, that may make system calls itself.
const UNSAFE_MAY_BE_IN: &str = "sysupdate/src/host/sys";

/// The one module of the updater, with what is below it, that may touch the machine.
const EFFECTS_MAY_BE_IN: &str = "sysupdate/src/host";

/// What touches files, processes, mounts or the network. `ExitCode` is how `main` returns.
const EFFECTS: [&str; 15] = [
    "std::fs",
    "std::process",
    "std::net",
    "std::os::unix::net",
    "rustix::fs",
    "rustix::mount",
    "rustix::net",
    "rustix::process",
    "nix::",
    "reqwest::",
    ".is_dir()",
    ".is_file()",
    ".exists()",
    ".canonicalize()",
    ".symlink_metadata()",
];

#[test]
fn members_depend_only_on_allowed_members() -> Result<()> {
    let seen: BTreeMap<_, _> = members()?.into_iter().map(|member| (member.name, member.members)).collect();
    let allowed = MEMBER_DEPENDENCIES
        .map(|(name, to)| (name.to_owned(), to.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(seen, BTreeMap::from(allowed));
    Ok(())
}

#[test]
fn members_inherit_the_lints() -> Result<()> {
    for member in members()? {
        let manifest = workspace::read_toml(&member.manifest)?;
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(inherits, Some(&true.into()), "{}: [lints] workspace = true", member.manifest.display());
    }
    Ok(())
}

#[test]
fn members_inherit_the_versions() -> Result<()> {
    for member in members()? {
        let manifest = workspace::read_toml(&member.manifest)?;
        for (name, dependency) in dependencies(&manifest) {
            let inherits = dependency.get("workspace");
            assert_eq!(inherits, Some(&true.into()), "{}: {name}", member.manifest.display());
        }
    }
    Ok(())
}

#[test]
fn every_crate_comes_from_an_allowed_registry() -> Result<()> {
    let policy = policy()?;
    let registries = strings(&policy, &["sources", "allow-registry"])?;
    let lock = workspace::read_toml(&workspace::root().join("Cargo.lock"))?;
    let packages = lock["package"].as_array().context("Cargo.lock lists no package")?;
    for source in packages.iter().filter_map(|package| package.get("source")?.as_str()) {
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        assert!(registries.contains(&registry), "{source} is not allowed");
    }
    Ok(())
}

#[test]
fn licences_are_allowed() -> Result<()> {
    let policy = policy()?;
    let allowed = strings(&policy, &["licenses", "allow"])?;
    for package in graph(&policy)? {
        let licence = package.licence.with_context(|| format!("{} names no licence", package.name))?;
        assert!(licences::is_met(&licence, &allowed)?, "{} {}: {licence}", package.name, package.version);
    }
    Ok(())
}

#[test]
fn texts_of_licences_are_up_to_date() -> Result<()> {
    let stored = fs::read_to_string(workspace::root().join(third_party::FILE))?;
    let current = third_party::text(&workspace::targets()?)?;
    assert!(stored == current, "{} is outdated: cargo run -p tests --bin third-party", third_party::FILE);
    Ok(())
}

#[test]
fn banned_crates_are_absent() -> Result<()> {
    let policy = policy()?;
    let banned = reasons(&policy, "deny")?;
    for package in graph(&policy)? {
        let reason = banned.get(package.name.as_str());
        assert_eq!(reason, None, "{} is banned", package.name);
    }
    Ok(())
}

#[test]
fn duplicate_versions_have_a_reason() -> Result<()> {
    let policy = policy()?;
    let skipped = reasons(&policy, "skip")?;
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in graph(&policy)? {
        versions.entry(package.name).or_default().insert(package.version);
    }
    for spec in skipped.keys() {
        let (name, version) = spec.split_once('@').with_context(|| format!("{spec} is not NAME@VERSION"))?;
        let others = versions.get_mut(name).with_context(|| format!("{name} is not used"))?;
        ensure!(
            others.len() > 1 && others.remove(version),
            "{spec} is not a duplicate version, remove it from the list"
        );
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert_eq!(versions, BTreeMap::new(), "use one version, or add a reason to deny.toml");
    Ok(())
}

/// `cargo deny` in the workflow asks the database. This test checks that each exception has a reason, and that
/// `cargo deny` fails when an exception is not needed any more.
#[test]
fn ignored_advisories_have_a_reason() -> Result<()> {
    let policy = policy()?;
    assert_eq!(policy["advisories"]["unused-ignored-advisory"].as_str(), Some("deny"));
    let ignored =
        policy["advisories"]["ignore"].as_array().context("deny.toml has no list advisories.ignore")?;
    for entry in ignored {
        let text = |name: &str| entry.get(name).and_then(toml::Value::as_str).unwrap_or_default();
        ensure!(
            text("id").starts_with("RUSTSEC-") && text("reason").len() > 20,
            "{entry} lacks id or reason"
        );
    }
    Ok(())
}

/// The lint denies `unsafe` unless an attribute allows it, and every member inherits the lint. So it is enough to
/// check where the lint is named.
#[test]
fn unsafe_stays_in_one_module() -> Result<()> {
    let lint = concat!("unsafe", "_code");
    let mut sources = Vec::new();
    for member in members()? {
        rust_files(member.manifest.parent().context("a manifest is in a directory")?, &mut sources)?;
    }
    ensure!(sources.len() > 10, "the walk found only {sources:?}");
    let may = |path: &&PathBuf| {
        path.with_extension("").ancestors().take(2).any(|part| part.ends_with(UNSAFE_MAY_BE_IN))
    };
    for path in sources.iter().filter(|path| !may(path)) {
        for line in fs::read_to_string(path)?.lines().filter(|line| line.contains(lint)) {
            let stricter = ["#![forbid(", "#![deny("].map(|level| format!("{level}{lint})]"));
            assert!(stricter.iter().any(|level| level == line.trim()), "{}: {line}", path.display());
        }
    }
    let level =
        &workspace::read_toml(&workspace::root().join("Cargo.toml"))?["workspace"]["lints"]["rust"][lint];
    assert_eq!(level.as_str(), Some("deny"));
    Ok(())
}

#[test]
fn readme_lists_where_its_crates_are_used() -> Result<()> {
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let section = readme.split("\n## Crates\n").nth(1).context("no section about crates")?;
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut listed = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _purpose, directories] = cells[..] else { bail!("{row}: not three cells") };
        let directories = directories.split(", ").map(|directory| directory.trim_matches('`').to_owned());
        listed.insert(name.trim_matches('`').to_owned(), directories.collect::<BTreeSet<_>>());
    }
    assert_eq!(listed.len(), 10);

    let mut manifests = vec!["tests/libsquashfs".to_owned()];
    for member in members()? {
        let directory = member.manifest.parent().context("a manifest is in a directory")?;
        manifests.push(directory.strip_prefix(workspace::root())?.display().to_string());
    }
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for directory in manifests {
        let manifest = workspace::read_toml(&workspace::root().join(&directory).join("Cargo.toml"))?;
        for (name, _) in dependencies(&manifest).into_iter().filter(|(name, _)| listed.contains_key(name)) {
            used.entry(name).or_default().insert(directory.clone());
        }
    }
    assert_eq!(listed, used);
    Ok(())
}

/// A dependency that no source uses should not be in the list above.
#[test]
fn members_use_each_other() -> Result<()> {
    for (name, to) in MEMBER_DEPENDENCIES {
        let manifest = members()?.into_iter().find(|member| member.name == name);
        let manifest = manifest.with_context(|| format!("no member {name}"))?.manifest;
        let mut sources = Vec::new();
        rust_files(manifest.parent().context("a manifest is in a directory")?, &mut sources)?;
        let sources = sources.iter().map(fs::read_to_string).collect::<std::io::Result<Vec<_>>>()?;
        for dependency in to {
            let library = format!("{}::", dependency.replace('-', "_"));
            assert!(sources.iter().any(|text| text.contains(&library)), "{name} does not use {dependency}");
        }
    }
    Ok(())
}

/// Outside of `host`, the updater reaches the machine through traits alone, so that a test can replace it. Unit tests
/// may prepare files.
#[test]
fn effects_of_the_updater_stay_in_one_module() -> Result<()> {
    let mut sources = Vec::new();
    rust_files(&workspace::root().join("sysupdate/src"), &mut sources)?;
    let host = workspace::root().join(EFFECTS_MAY_BE_IN);
    let is_test =
        |path: &Path| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
    let (inside, outside): (Vec<_>, Vec<_>) = sources
        .into_iter()
        .filter(|path| !is_test(path.strip_prefix(workspace::root().join("sysupdate")).unwrap_or(path)))
        .partition(|path| path.starts_with(&host) || path.with_extension("") == host);
    let found = |path: &PathBuf| -> Result<Vec<String>> {
        let text = fs::read_to_string(path)?;
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = code.replace("std::process::ExitCode", "");
        Ok(EFFECTS
            .iter()
            .filter(|effect| code.contains(**effect))
            .map(|effect| (*effect).to_owned())
            .collect())
    };
    let mut seen = BTreeSet::new();
    for path in &inside {
        seen.extend(found(path)?);
    }
    ensure!(seen.len() > EFFECTS.len() / 2, "the test recognises only {seen:?} in {EFFECTS_MAY_BE_IN}");
    for path in &outside {
        let effects = found(path)?;
        assert!(effects.is_empty(), "{}: {effects:?} belong into {EFFECTS_MAY_BE_IN}", path.display());
    }
    Ok(())
}

fn policy() -> Result<toml::Table> {
    workspace::read_toml(&workspace::root().join("deny.toml"))
}

/// The packages that a build for any target of the policy uses.
fn graph(policy: &toml::Table) -> Result<Vec<Package>> {
    let mut all = Vec::new();
    for target in strings(policy, &["graph", "targets"])? {
        all.extend(workspace::packages(target)?);
    }
    Ok(all)
}

fn members() -> Result<Vec<Package>> {
    let packages = graph(&policy()?)?;
    let members: BTreeMap<_, _> = packages
        .into_iter()
        .filter(|package| package.source.is_none())
        .map(|package| (package.name.clone(), package))
        .collect();
    Ok(members.into_values().collect())
}

/// The entries of all dependency tables, including those for one platform.
fn dependencies(manifest: &toml::Table) -> Vec<(String, toml::Value)> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let tables = platforms.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables
        .chain([manifest])
        .flat_map(|table| kinds.map(|kind| table.get(kind).and_then(toml::Value::as_table)))
        .flatten()
        .flatten()
        .map(|(name, dependency)| (name.clone(), dependency.clone()))
        .collect()
}

fn strings<'a>(policy: &'a toml::Table, [table, key]: &[&str; 2]) -> Result<Vec<&'a str>> {
    let list = policy.get(*table).and_then(|table| table.get(*key)?.as_array());
    let list = list.with_context(|| format!("deny.toml has no list {table}.{key}"))?;
    list.iter().map(|entry| entry.as_str().with_context(|| format!("{table}.{key}: {entry}"))).collect()
}

/// The crates of one list of `[bans]` with their reasons.
fn reasons<'a>(policy: &'a toml::Table, key: &str) -> Result<BTreeMap<&'a str, &'a str>> {
    let list = policy["bans"].get(key).and_then(toml::Value::as_array);
    let list = list.with_context(|| format!("deny.toml has no list bans.{key}"))?;
    let entry = |entry: &'a toml::Value| {
        let text = |name: &str| entry.get(name).and_then(toml::Value::as_str);
        let whole = text("crate").zip(text("reason").filter(|reason| !reason.is_empty()));
        whole.with_context(|| format!("bans.{key}: {entry} lacks a crate or a reason"))
    };
    list.iter().map(entry).collect()
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
