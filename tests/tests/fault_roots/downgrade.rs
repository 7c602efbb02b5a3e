//! Attempts to make a node accept unsigned files instead of a signed catalog. The SHA256SUMS with the right
//! digest is available all the time, but nodes must not use it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::site::Site;

/// Options and keys with which an operator, or an attacker who edits a transfer file, may try to disable
/// signatures.
const MODES: [(&[&str], &str); 4] = [
    (&[], ""),
    (&["--verify=no"], ""),
    (&["--verify=yes"], ""),
    (&["--verify=no"], "[Transfer]\nVerify=no\n"),
];

/// A node with 1.0 installed, and 1.1 on offer.
fn site() -> Result<Site> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    site.release("1.1")?;
    ensure!(site.read("served/x/SHA256SUMS")?.contains("x-1.1-"), "there is nothing to fall back to");
    Ok(site)
}

/// In no mode is 1.1 installed, and each prints the reason.
fn is_refused(site: &Site, reason: &str) -> Result<()> {
    for (arguments, drop_in) in MODES {
        site.node.drop_in("x", "x", "20-verify", drop_in)?;
        let run = site.sysupdate(&[arguments, &["-C", "x", "update"]].concat())?;
        let error = run.fails()?;
        ensure!(error.contains(reason), "{arguments:?} {drop_in:?}: {error}\nbut expected: {reason}");
        ensure!(!site.has("1.1")?, "{arguments:?} {drop_in:?}: 1.1 was installed without a signature");
    }
    ensure!(site.has("1.0")?, "what was there is gone");
    Ok(())
}

/// The same for a modified catalog; the valid one is accepted afterwards.
fn altered(alter: impl FnOnce(&mut Value) -> Result<()>, reason: &str) -> Result<()> {
    let site = site()?;
    let honest = site.served()?;
    let mut catalog = honest.clone();
    alter(&mut catalog)?;
    ensure!(catalog != honest, "nothing was altered");
    site.serve(&catalog)?;
    is_refused(&site, reason)?;
    assert_eq!(site.marks()?, (1, 1));
    site.serve(&honest)?;
    site.update()?.succeeds()?;
    ensure!(site.has("1.1")?, "the honest catalog was refused as well");
    Ok(())
}

/// The same for a catalog with other signatures.
fn signed_with(signatures: &Value, reason: &str) -> Result<()> {
    let alter = |catalog: &mut Value| {
        catalog["signatures"] = signatures.clone();
        Ok(())
    };
    altered(alter, reason)
}

/// Changes the algorithm of a signature, which is in its first two bytes: originally `ED`.
fn with_algorithm(catalog: &mut Value, algorithm: impl Fn(&str) -> Option<String>) -> Result<()> {
    let minisig = catalog["signatures"][0]["minisig"].as_str().context("no signature")?;
    let mut lines: Vec<String> = minisig.lines().map(str::to_owned).collect();
    lines[1] = algorithm(&lines[1]).with_context(|| format!("another algorithm already: {minisig}"))?;
    catalog["signatures"][0]["minisig"] = json!(lines.join("\n"));
    Ok(())
}

#[test]
fn fault_rejects_catalog_with_missing_signatures() -> Result<()> {
    altered(
        |catalog| {
            catalog.as_object_mut().context("no object")?.remove("signatures");
            Ok(())
        },
        "missing field `signatures`",
    )
}

#[test]
fn fault_rejects_catalog_with_empty_signatures() -> Result<()> {
    let nobody = "signed by nobody, none of which is a trusted key";
    signed_with(&json!([]), nobody)
}

#[test]
fn fault_rejects_catalog_with_null_signatures() -> Result<()> {
    signed_with(&Value::Null, ": invalid type: null")
}

#[test]
fn fault_rejects_signature_with_unknown_algorithm() -> Result<()> {
    let unknown = |line: &str| {
        // `XX`; the third character contains four bits of the second byte and two of the identifier
        let third = line.chars().nth(2)?;
        let third = "ghij".chars().nth("QRST".find(third)?)?;
        line.starts_with("RU").then(|| format!("WF{third}{}", &line[3..]))
    };
    altered(
        |catalog| with_algorithm(catalog, unknown),
        "has the algorithm \"XX\"; only minisign's \"ED\" is supported",
    )
}

#[test]
fn fault_rejects_signature_with_legacy_algorithm() -> Result<()> {
    let legacy = |line: &str| line.strip_prefix("RU").map(|rest| format!("RW{rest}"));
    altered(
        |catalog| with_algorithm(catalog, legacy),
        "is in minisign's legacy format (\"Ed\"), which is not supported",
    )
}

#[test]
fn fault_rejects_signature_of_another_file() -> Result<()> {
    // It claims the right key, but is for other bytes and by another key
    let other = Site::open()?.served()?;
    let forge = |catalog: &mut Value| {
        catalog["signatures"][0]["minisig"] = other["signatures"][0]["minisig"].clone();
        Ok(())
    };
    altered(forge, "was made by a key with another identifier")
}

#[test]
fn fault_rejects_signature_of_the_previous_catalog() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    let before = site.served()?;
    site.release("1.1")?;
    let mut catalog = site.served()?;
    catalog["signatures"] = before["signatures"].clone();
    site.serve(&catalog)?;
    is_refused(&site, "does not match: the file was altered or damaged")
}

#[test]
fn fault_rejects_signature_by_an_unknown_key() -> Result<()> {
    signed_with(&Site::open()?.served()?["signatures"], "none of which is a trusted key")
}

#[test]
fn fault_rejects_catalog_without_roots() -> Result<()> {
    // Without roots, the recorded one still counts; a new node has none
    let site = Site::open()?;
    site.release("1.1")?;
    let mut catalog = site.served()?;
    catalog["roots"] = json!([]);
    site.serve(&catalog)?;
    site.refuses("1.1", "no root of example is signed by the keys")
}

#[test]
fn fault_rejects_update_without_catalog() -> Result<()> {
    let site = site()?;
    fs::remove_file(site.path("served/catalog/catalog.json"))?;
    is_refused(&site, "catalog/catalog.json")
}

#[test]
fn fault_rejects_update_without_repository_file() -> Result<()> {
    let site = site()?;
    let described = site.node.below("etc/sysupdate/repositories/example.toml");
    let text = fs::read_to_string(&described)?;
    for (defect, reason) in [
        (String::new(), "example.toml not found, but a transfer sets Repository=example"),
        (text.replace("threshold = 1", "threshold = 0"), "the threshold is 0"),
        (
            format!("url = '{}'\nkeys = []\n", site.url()),
            "the threshold is 1; it must be between 1 and the number of distinct keys, which is 0",
        ),
        (format!("url = '{}'\n", site.url()), "missing field `keys`"),
    ] {
        fs::write(&described, defect)?;
        is_refused(&site, reason)?;
    }
    fs::write(&described, text)?;
    site.update()?.succeeds()?;
    ensure!(site.has("1.1")?, "the keys are back, and 1.1 is refused");
    Ok(())
}
