//! Sources without a repository: as in stock systemd, and local directories.

use std::fs;

use anyhow::{Result, ensure};
use sysext_manifests::digest::Sha256;
use tests::node::{Node, Publisher, leftovers};
use tests::server::{Fault, Times};

use crate::{SYSUPDATE, Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_installs_from_unsigned_manifest_with_verify_no", plain),
    ("fault_hides_the_password_of_a_url", password),
    ("fault_requires_signed_manifest_with_verify_yes", must_be_signed),
    ("fault_reports_missing_manifest", no_manifest),
    ("fault_rejects_manifest_after_best_before", stale),
    ("fault_rejects_image_that_differs_from_manifest", other_bytes),
    ("fault_installs_from_directory_without_manifest", directory),
    ("fault_verifies_directory_with_manifest", directory_with_checksums),
    ("fault_reads_directory_with_special_characters", directory_with_a_strange_name),
];

/// A node with or without `Verify=`.
fn site(verify: &str) -> Result<Site> {
    let site = Site::new()?;
    site.redefine(|text| {
        let (stock, _) = text.split_once("[X-Sysupdate]").unwrap_or((text, ""));
        format!("{}[X-Sysupdate]\nActivate=none\n", stock.replace("Verify=no\n", verify))
    })?;
    Ok(site)
}

fn plain() -> Result<()> {
    let mut site = site("Verify=no\n")?;
    let seen = site.update()?.well()?.prints("demo: installed 1\n")?;
    ensure!(seen.stderr.contains("demo: downloaded 1 (SERVER/demo/SHA256SUMS, not signed)\n"), "{seen}");
    site.offer("2")?;
    site.update()?.well()?;
    site.uses("2")?;
    site.publisher.server.fault("/demo/SHA256SUMS", Fault::Status(500), Times::Always);
    site.update()?.ended(1)?.mentions("error: demo: gave up after 5 attempts: SERVER/demo/SHA256SUMS: ")?;
    site.uses("2")
}

/// It is used, but never printed.
fn password() -> Result<()> {
    let mut site = site("Verify=no\n")?;
    let hide = |text: &str| text.replace("http://", "http://user:pa55word@");
    site.node
        .define("demo", &hide(&fs::read_to_string(site.node.path("etc/sysupdate.demo.d/demo.transfer"))?))?;
    let runs = [&["plan"][..], &["plan", "--json=short"], &["list"], &["update"]];
    for arguments in runs {
        let seen = site.node.run(&[arguments, &["-C", "demo"]].concat())?.well()?;
        ensure!(!seen.stdout.contains("pa55word") && !seen.stderr.contains("pa55word"), "{seen}");
    }
    let request = site.publisher.server.requests().pop();
    ensure!(request.is_some_and(|request| request.header("authorization").is_some()));
    site.uses("1")?;
    site.offer("2")?;
    for fault in [Fault::Status(403), Fault::WrongBytes, Fault::Status(404)] {
        site.publisher.server.fault("/demo/SHA256SUMS", fault, Times::Next(1));
        let seen = site.update()?.ended(1)?;
        ensure!(!seen.stdout.contains("pa55word") && !seen.stderr.contains("pa55word"), "{seen}");
    }
    Ok(())
}

fn must_be_signed() -> Result<()> {
    for verify in ["", "Verify=yes\n"] {
        let site = site(verify)?;
        site.refuses(
            "error: demo: this node has no OpenPGP keyring: ROOT/etc/systemd/import-pubring.pgp, \
             ROOT/etc/systemd/import-pubring.gpg, ROOT/usr/lib/systemd/import-pubring.pgp, \
             ROOT/usr/lib/systemd/import-pubring.gpg\n\
             hint: put the publisher's public key into ROOT/etc/systemd/import-pubring.pgp (`gpg --export KEY`), \
             or set Repository= to use a signed catalog instead\n",
        )?;
        ensure!(site.publisher.server.requests().is_empty());
        site.node.run(&["update", "-C", "demo", "--verify=no"])?.well()?;
        site.uses("1")?;
    }
    let site = site("Verify=no\n")?;
    site.node.run(&["update", "-C", "demo", "--verify=yes"])?.ended(1)?;
    site.has(&[])
}

fn no_manifest() -> Result<()> {
    let site = site("Verify=no\n")?;
    fs::remove_file(site.publisher.path("demo/SHA256SUMS"))?;
    site.refuses(
        "error: demo: not found: SERVER/demo/SHA256SUMS\n\
         hint: the version may have been withdrawn, or a mirror has not caught up\n",
    )
}

fn stale() -> Result<()> {
    let site = site("Verify=no\n")?;
    let path = site.publisher.path("demo/SHA256SUMS");
    let digest = Sha256::of(b"");
    let lines = fs::read_to_string(&path)?;
    fs::write(&path, format!("{digest}  BEST-BEFORE-2026-11-24\n{lines}"))?;
    let seen = site.update()?.ended(1)?;
    seen.mentions("\nhint: check this node's clock, or tell the publisher\n")?;
    site.has(&[])?;
    fs::write(&path, format!("{digest}  BEST-BEFORE-2026-11-26\n{lines}"))?;
    site.update()?.well()?;
    site.uses("1")
}

fn other_bytes() -> Result<()> {
    let site = site("Verify=no\n")?;
    let name = Publisher::file("demo", "1")?;
    fs::write(site.publisher.path(format!("demo/{name}")), "altered")?;
    let seen = site.update()?.ended(1)?;
    seen.mentions(&format!(
        "error: demo: SERVER/demo/{name}: the SHA-256 digest is {}",
        Sha256::of(b"altered")
    ))?;
    site.has(&[])?;
    ensure!(leftovers(&site.node.root)?.is_empty());
    Ok(())
}

/// A node that installs from a local directory.
fn local(node: &Node, path: &str) -> Result<()> {
    node.define(
        "demo",
        &format!(
            "[Source]\nType=regular-file\nPath={path}\nMatchPattern=demo-@v.raw\n\
             [Target]\nType=regular-file\nPath=/var/lib/images\nMatchPattern=demo-@v.raw\n\
             CurrentSymlink=/var/lib/extensions/demo.raw\n[X-Sysupdate]\nActivate=none\n"
        ),
    )
}

fn directory() -> Result<()> {
    let node = Node::new(SYSUPDATE)?;
    local(&node, "/opt/drop")?;
    node.run(&["update", "-C", "demo"])?.well()?.prints("demo: nothing to install\n")?;
    node.write("opt/drop/demo-1.raw", "one")?;
    node.write("opt/drop/demo-3.raw.part", "three")?;
    let seen = node.run(&["update", "-C", "demo"])?.well()?.prints("demo: installed 1\n")?;
    ensure!(seen.stderr.contains("demo: downloaded 1 (copied from a directory of this node)\n"), "{seen}");
    node.write("opt/drop/demo-2.raw", "two")?;
    node.run(&["update", "-C", "demo"])?.well()?.prints("demo: updated from 1 to 2\n")?;
    ensure!(fs::read_to_string(node.path("var/lib/extensions/demo.raw"))? == "two");
    ensure!(node.names("var/lib/images")? == ["demo-1.raw", "demo-2.raw"]);
    Ok(())
}

fn directory_with_checksums() -> Result<()> {
    let node = Node::new(SYSUPDATE)?;
    local(&node, "/opt/drop")?;
    node.write("opt/drop/demo-1.raw", "one")?;
    node.write("opt/drop/demo-2.raw", "two")?;
    node.write("opt/drop/demo-3.raw", "three, which is not listed")?;
    let sums = format!("{}  demo-1.raw\n{}  demo-2.raw\n", Sha256::of(b"one"), Sha256::of(b"other"));
    node.write("opt/drop/SHA256SUMS", sums)?;
    let seen = node.run(&["update", "-C", "demo"])?.ended(1)?;
    seen.mentions(&format!(
        "the SHA-256 digest is {}, expected {}",
        Sha256::of(b"two"),
        Sha256::of(b"other")
    ))?;
    ensure!(node.names("var/lib/images")?.is_empty());
    node.run(&["update", "-C", "demo", "1"])?.well()?;
    ensure!(node.names("var/lib/images")? == ["demo-1.raw"]);
    node.write("opt/drop/demo-2.raw", "other")?;
    node.run(&["update", "-C", "demo"])?.well()?;
    ensure!(fs::read_to_string(node.path("var/lib/extensions/demo.raw"))? == "other");
    Ok(())
}

/// A path is not a URL: special characters of URLs have no meaning.
fn directory_with_a_strange_name() -> Result<()> {
    let node = Node::new(SYSUPDATE)?;
    local(&node, "/opt/50%41 #1?/ü")?;
    for checksums in [None, Some(format!("{}  demo-2.raw\n", Sha256::of(b"two")))] {
        node.write("opt/50%41 #1?/ü/demo-1.raw", "one")?;
        if let Some(checksums) = checksums {
            node.write("opt/50%41 #1?/ü/demo-2.raw", "two")?;
            node.write("opt/50%41 #1?/ü/SHA256SUMS", checksums)?;
        }
        node.run(&["update", "-C", "demo"])?.well()?;
    }
    ensure!(fs::read_to_string(node.path("var/lib/extensions/demo.raw"))? == "two");
    Ok(())
}
